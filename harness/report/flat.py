"""Documents for programs: the whole as JSON, one record per line, one metric per CSV line."""

from collections.abc import Iterator

from msgspec import to_builtins

from harness.report.export import is_number
from harness.report.grid import MISSING, draw_csv, json_text
from harness.report.rows import shown_metric, test_of
from harness.report.same_keys import same_keys
from harness.results.document import encode_document, plain
from harness.results.machines import machine_of
from harness.results.merged import runs_of
from harness.results.progress import ending_of, go_on_command, progress_of
from harness.results.schema import Document, Metric, Record

ESTIMATORS = ("params", "rule_of_thumb", "structure", "calibrated")  # as estimates.record has them
CELL_FIELDS = (
    *("model", "parameters", "weights", "level", "kv_cache", "device", "provider", "runtime"),
    *("prepack", "workload", "prompt", "gen", "depth", "chunk", "capacity", "batch", "threads"),
)
CSV_HEADER = (
    *("run_id", *CELL_FIELDS, "test", "status", "reason", "trust", "trust_reasons", "simulated"),
    *(
        "metric",
        "unit",
        "value",
        "low",
        "high",
        "processes",
        *(f"estimate_{name}" for name in ESTIMATORS),
    ),
    *("run_ended", "run_goes_on_with", "machine"),
)


def draw_document_json(document: Document) -> str:
    """The document as it is stored: one valid JSON value, raw samples included."""
    return encode_document(document).decode()


def draw_json_lines(document: Document) -> str:
    """One record per line, each with the run it belongs to and with every key of all of them."""
    lines = same_keys(
        {**_run(run), **plain(record)} for run in runs_of(document) for record in run.records
    )
    return "".join(f"{json_text(line)}\n" for line in lines)


def _run(run: Document) -> dict[str, object]:
    """What every line of a run says of it."""
    return {
        "run_id": run.run_id,
        "created_utc": run.created_utc,
        "schema_version": run.schema_version,
        "method_version": run.method_version,
        "ended": ending_of(run),
        "progress": to_builtins(progress_of(run)),
        "machine": machine_of(run),
    }


def draw_metric_csv(document: Document) -> str:
    """One line per record and metric, and one for a record without any; full precision.

    The numbers of an INVALID record are left empty; its trust column says why.
    """
    rows = [
        [*row, ending_of(run), go_on_command(run) or MISSING, machine_of(run)]
        for run in runs_of(document)
        for record in run.records
        for row in _rows(run.run_id, record)
    ]
    return draw_csv(CSV_HEADER, rows) + "\n"


def _rows(run_id: str, record: Record) -> Iterator[list[str]]:
    """The lines of one record."""
    head = [run_id, *(str(getattr(record.cell, field)) for field in CELL_FIELDS)]
    trust = record.trust
    head += [test_of(record.cell), record.status, record.reason or MISSING]
    head += [trust.grade if trust else MISSING]
    head += [" ".join(reason.code for reason in trust.reasons) if trust else MISSING]
    head += [str(record.simulated).lower()]
    for name, metric in record.metrics.items():
        estimates = record.estimates.get(name, {})
        numbers = _numbers(shown_metric(record, name))
        guesses = [_number(estimates.get(estimator)) for estimator in ESTIMATORS]
        yield [*head, name, metric.unit, *numbers, *guesses]
    if not record.metrics:
        yield [*head, *([MISSING] * (6 + len(ESTIMATORS)))]


def _numbers(metric: Metric | None) -> list[str]:
    """Value, interval and processes of one metric; dashes where it may not be shown."""
    if metric is None:
        return [MISSING] * 4
    return [
        *(_number(number) for number in (metric.value, metric.low, metric.high)),
        str(metric.processes),
    ]


def _number(number: float | None) -> str:
    """Every digit of a number; a dash for None."""
    return repr(number) if is_number(number) else MISSING
