"""The errors of the estimates as text, and as the JSON that is kept of them."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from msgspec import UNSET, structs, to_builtins

from harness.analysis.errors import REMEASURE, ErrorRow, ErrorStudy
from harness.core.errors import HarnessError
from harness.core.records import data_folder
from harness.report.grid import MD, Column, draw_columns, json_text, prose
from harness.report.headline import runtime_name
from harness.report.numbers import one_decimal, ratio
from harness.results.plan import RunPlan
from harness.results.schema import Document, Json
from harness.results.unknown import spread
from harness.runner.plan import make_plan
from harness.runner.settings import PART_KEYS, Settings, read_plan

SCHEMA = "bench.estimate-errors"
SCHEMA_VERSION = 1
EXACT = "exact"
MEANING = (
    "error: |ln(estimated time / measured time)| in percent, for bytes the same of sizes; "
    "69.3 is twice as much or half",
    "bias: geometric mean of estimated / measured time or bytes; above 1 too slow or too large",
)
REMEASURE_MEANING = "remeasure: the first run, taken for an estimate of the further one"


def study_json(
    study: ErrorStudy, documents: Sequence[Document], remeasured: Sequence[Document], by: str | None
) -> Json:
    """Return everything that is kept of a study; errors are logarithms, not percent.

    Returns:
        `documents`: the runs, what they ran on and as which part (`measured`, `remeasure`);
        `rows` and, for the grouping `by`, `groups`: fields of ErrorRow; `notes`.
    """
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "method_version": documents[0].method_version,
        "documents": [
            *(_source(document, "measured") for document in documents),
            *(_source(document, REMEASURE) for document in remeasured),
        ],
        "by": by,
        "rows": [asdict(row) for row in study.rows],
        "groups": [asdict(row) for row in study.groups],
        "notes": list(study.notes),
    }


def draw_study(study: ErrorStudy, table: Json, style: str) -> tuple[str, tuple[str, ...]]:
    """Draw the rows, or the groups where they were asked for.

    Args:
        study: what to draw.
        table: the same as study_json() keeps it.
        style: one of `options.FORMATS`.

    Returns:
        The text, and the notes that the format has no room for.
    """
    if style == "json":
        return json_text(table, indent=1), ()
    by, rows = table["by"], study.groups or study.rows
    if style == "jsonl":
        return "\n".join(json_text(asdict(row)) for row in rows), study.notes
    drawn = draw_columns(error_columns(by), rows, style)
    if style == "csv":
        return drawn, study.notes
    mark = "- " if style == MD else ""
    meaning = [*MEANING, *[REMEASURE_MEANING] * any(row.estimator == REMEASURE for row in rows)]
    notes = "\n".join(prose(note, style, mark) for note in (*study.notes, *meaning))
    return "\n\n".join([prose(headline(table), style), drawn, notes]), ()


def error_columns(by: str | None) -> tuple[Column[ErrorRow], ...]:
    """The columns of a study: errors in percent, `exact` where there are none."""
    return (
        Column("metric", lambda row: row.metric),
        Column("threads", lambda row: row.threads),
        Column(by or "estimator", lambda row: row.estimator if row.group is None else row.group),
        Column("n", lambda row: row.cells),
        Column("median %", lambda row: row.median_ln, _percent),
        Column("p90 %", lambda row: row.p90_ln, _percent),
        Column("worst %", lambda row: row.worst_ln, _percent),
        Column("worst cell", lambda row: EXACT if row.worst_cell is None else row.worst_cell),
        Column("bias ×", lambda row: row.bias_ratio, ratio),
    )


def headline(table: Json) -> str:
    """Return what is judged, by which runs, and on what they ran."""
    sources = table["documents"]
    what = "the calibrated estimate" if table["by"] else "the estimates"
    parts = [f"Errors of {what}: {_run_ids(sources, 'measured')}"]
    if again := _run_ids(sources, REMEASURE):
        parts.append(f"remeasured: {again}")
    for key, words in (("cpu_model", "CPU {}"), ("runtime", "{}"), ("plan", "plan {}")):
        parts += [words.format(value) for value in _distinct(sources, key)]
    return " · ".join(parts)


def shipped_plan_name(document: Document) -> str | None:
    """Return the shipped plan that a document measured; None for any other, and a changed one.

    A setting that the document's version did not have yet counts as left at its default.
    """
    asked = _filled(structs.replace(document.plan, rounds_done=UNSET))
    usable_threads = max(_threads(document), default=1)
    for path in sorted(data_folder("configs").glob("*.toml")):
        try:
            plan = make_plan(read_plan(path), usable_threads)
        except HarnessError:  # it cannot be run with so few threads, so this is not its document
            continue
        if _filled(plan.as_asked()) == asked:
            return path.stem
    return None


def _filled(plan: RunPlan) -> str:
    """Return a stored plan as text, every setting that it does not name at its default."""
    usual = asdict(Settings())
    cells = {key: usual[key] for key in PART_KEYS}
    table = spread(to_builtins(plan))
    parts = [{**cells, **part} for part in table.get("part", ())]
    return json.dumps({**usual, **table, "part": parts}, sort_keys=True)


def _source(document: Document, role: str) -> Json:
    """Return where numbers come from."""
    return {
        "run_id": document.run_id,
        "created_utc": document.created_utc,
        "role": role,
        "plan": shipped_plan_name(document),
        "cpu_model": document.environment.cpu_model,
        "runtime": runtime_name(document.environment) or None,
        "threads": _threads(document),
    }


def _threads(document: Document) -> list[int]:
    """Return the thread counts of a document, rising."""
    return sorted({record.cell.threads for record in document.records})


def _run_ids(sources: Sequence[dict[str, Any]], role: str) -> str:
    """Return the runs of one role."""
    return ", ".join(source["run_id"] for source in sources if source["role"] == role)


def _distinct(sources: Sequence[dict[str, Any]], key: str) -> list[Any]:
    """Return the known values of a key, each once."""
    return list(dict.fromkeys(source[key] for source in sources if source[key] is not None))


def _percent(error_ln: float) -> str:
    """Return a logarithm in percent, with one digit behind the point."""
    return one_decimal(100 * error_ln)
