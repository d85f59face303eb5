"""`bench scaling`: whether the parameter count predicts what was measured."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from harness.analysis.scaling import ScalingRow, ScalingStudy, study_scaling
from harness.analysis.scaling_fit import percent_of_factor
from harness.cli.options import FORMATS, Word
from harness.report.grid import MISSING, draw_rows
from harness.results.document import read_document

EXAMPLE = "Example:  bench scaling results/run-20261122-101500-1a2b.json --format md"
PEOPLE = ("table", "md")
LEGEND = (
    "exponent: of the fitted law, metric = factor x parameters ^ exponent, with its 95 % interval; "
    "rule: what size alone says; off: of the model farthest from its law, the larger of measured "
    "and fitted over the smaller; usual: what the models here have at its size"
)


@click.command("scaling", epilog=EXAMPLE)
@click.argument(
    "results", metavar="RESULTS...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--format", "style", type=Word(FORMATS), default="table", show_default=True)
def command(results: tuple[Path, ...], style: str) -> None:
    """Put to the test that a model's parameter count predicts its speed and its memory.

    Over all models of the results files RESULTS, fits metric = factor x parameters ^ exponent for
    every metric, level and test that three models or more share, and sets the exponent beside the
    one that people expect. The model farthest from its law is named, with a cause where its
    structure tells one. Fitting results: `bench run --config scaling`.
    """
    text, notes = draw_study(study_scaling([read_document(path) for path in results]), style)
    click.echo(text)
    for note in notes:
        click.echo(note, err=True)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table.

    Attributes:
        header: with the unit as its last word.
        cell: draws it.
        is_key: left out of the table where it never varies.
    """

    header: str
    cell: Callable[[ScalingRow], str]
    is_key: bool = False


COLUMNS = (
    Column("metric", lambda row: row.group.rule.metric),
    Column("level", lambda row: row.group.level),
    Column("device", lambda row: row.group.device or MISSING, is_key=True),
    Column("threads", lambda row: _count(row.group.threads), is_key=True),
    Column("batch", lambda row: _count(row.group.batch), is_key=True),
    Column("test", lambda row: row.group.test or MISSING),
    Column("models", lambda row: str(len(row.models))),
    Column("exponent", lambda row: f"{row.law.exponent:.2f}"),
    Column("low", lambda row: f"{row.law.low:.2f}"),
    Column("high", lambda row: f"{row.law.high:.2f}"),
    Column("rule", lambda row: f"{row.group.rule.exponent:.0f}"),
    Column("R²", lambda row: MISSING if row.law.r2 is None else f"{row.law.r2:.2f}"),
    Column("off %", lambda row: f"{percent_of_factor(row.largest_ln):.0f}"),
    Column("breaks it", lambda row: MISSING if row.breaker is None else row.breaker.model),
)


def draw_study(study: ScalingStudy, style: str) -> tuple[str, tuple[str, ...]]:
    """Draw a study.

    Args:
        study: with at least one row.
        style: of `options.FORMATS`; machine formats hold every value, people's those that vary.

    Returns:
        The text, and the notes that the format has no room for.
    """
    records = [row_values(row) for row in study.rows]
    if style == "json":
        return json.dumps(records, indent=1, ensure_ascii=False), study.notes
    if style == "jsonl":
        lines = [json.dumps(record, ensure_ascii=False) for record in records]
        return "\n".join(lines), study.notes
    if style not in PEOPLE:
        cells = [[_plain(value) for value in record.values()] for record in records]
        return draw_rows(list(records[0]), cells, style), study.notes
    below = [f"- {line}" for line in (*_breakers(study.rows), *study.notes, LEGEND)]
    return "\n\n".join([_table(study.rows, style), "\n".join(below)]), ()


def row_values(row: ScalingRow) -> dict[str, object]:
    """Return one row as values, units in their names; null where there is none."""
    group, law, breaker = row.group, row.law, row.breaker
    return {
        "metric": group.rule.metric,
        "level": group.level,
        "device": group.device,
        "runtime": group.runtime,
        "threads": group.threads,
        "batch": group.batch,
        "test": group.test,
        "depth": group.depth,
        "prompt": group.prompt,
        "models": list(row.models),
        "exponent": law.exponent,
        "exponent_low": law.low,
        "exponent_high": law.high,
        "rule_exponent": group.rule.exponent,
        "r2": law.r2,
        "off_percent": percent_of_factor(row.largest_ln),
        "breaker": None if breaker is None else breaker.model,
        "breaker_percent": None if breaker is None else breaker.percent,
        "breaker_word": None if breaker is None else breaker.word,
        "why": None if breaker is None else breaker.why,
    }


def _table(rows: Sequence[ScalingRow], style: str) -> str:
    """Draw the columns that vary, and the answers."""
    columns = [(column, [column.cell(row) for row in rows]) for column in COLUMNS]
    shown = [
        (column.header, cells)
        for column, cells in columns
        if not column.is_key or len({*cells} - {MISSING}) > 1
    ]
    cells = [list(row) for row in zip(*(drawn for _, drawn in shown), strict=True)]
    return draw_rows([header for header, _ in shown], cells, style)


def _breakers(rows: Sequence[ScalingRow]) -> list[str]:
    """One line per model that breaks its law, and why."""
    return [
        f"{row.group.label}: {row.breaker.text}; {row.breaker.why}"
        for row in rows
        if row.breaker is not None
    ]


def _count(number: int | None) -> str:
    """Draw a count that some metrics do not depend on."""
    return MISSING if number is None else str(number)


def _plain(value: object) -> str:
    """Return a value as CSV holds it: floats to six digits, lists with spaces, None as missing."""
    if value is None:
        return MISSING
    if isinstance(value, list):
        return " ".join(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
