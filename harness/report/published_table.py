"""Estimates beside published measurements as text, and as the JSON that is kept of them."""

from dataclasses import asdict

from harness.analysis.published import GroupRow, PublishedStudy
from harness.report.grid import Column, bullets, draw_columns, draw_records, json_text
from harness.results.schema import Json

SCHEMA = "bench.published-errors"
SCHEMA_VERSION = 1
DIGITS = 4
MOST_NAMED = 6
MEANING = (
    "inside: share of published values that the ranges hold, of which {coverage:.0%} should be;"
    " ratio: median of published / centre; |ln|: its error, 0.69 is twice as much or half;"
    " width: median of upper over lower end",
    "ours: fitted to the rows that ship; left out: without the device of each row; split: to every"
    " other device only; params: bandwidth over parameters times bits, or peak over twice the"
    " parameters, or stated watts; thumb: 55 % of that",
)

COLUMNS: tuple[Column[GroupRow], ...] = (
    Column("metric", lambda row: row.metric),
    Column("group", lambda row: row.group),
    Column("estimator", lambda row: row.estimator),
    Column("rows", lambda row: row.rows, str),
    Column("inside", lambda row: row.inside, lambda share: f"{share:.0%}"),
    Column("ratio", lambda row: row.median_ratio, lambda value: f"{value:.2f}"),
    Column("|ln|", lambda row: row.median_ln, lambda value: f"{value:.2f}"),
    Column("rms", lambda row: row.rms_ln, lambda value: f"{value:.2f}", leaves=2),
    Column("width", lambda row: row.width, lambda value: f"{value:.2f}", leaves=1),
)


def published_json(study: PublishedStudy, source: str) -> Json:
    """Return everything that is kept of a study, numbers to four digits."""
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "source": source,
        "by": study.by,
        "coverage": study.coverage,
        "asked": study.asked,
        "left_out": study.counts,
        "left_out_rows": [
            {"line": one.row.line, "device": one.row.device, "model": one.row.model}
            | {"reason": one.reason}
            for one in study.left
        ],
        "split_fitted_to": list(study.split),
        "rows": [_rounded(row) for row in study.rows],
    }


def draw_published(study: PublishedStudy, table: Json, style: str) -> tuple[str, tuple[str, ...]]:
    """Draw the groups, what the columns mean, and which rows were asked nothing.

    Returns:
        The text, and the notes that the format has no room for.
    """
    notes = (MEANING[0].format(coverage=study.coverage), MEANING[1], *_left(study))
    if style == "json":
        return json_text(table, indent=1), ()
    if style in ("csv", "jsonl"):
        return draw_records([_rounded(row) for row in study.rows], style), notes
    return f"{draw_columns(COLUMNS, study.rows, style)}\n\n{bullets(notes, style)}", ()


def _left(study: PublishedStudy) -> list[str]:
    """Return how many rows were asked, and of each reason which rows were not."""
    lines = [f"{study.asked} rows asked, {len(study.left)} left out"]
    for reason, count in study.counts.items():
        of = [one.row for one in study.left if one.reason == reason]
        named = dict.fromkeys(f"{row.model} on {row.device} (line {row.line})" for row in of)
        shown = ", ".join(list(named)[:MOST_NAMED])
        more = f" and {count - MOST_NAMED} more" if count > MOST_NAMED else ""
        lines.append(f"left out, {reason}: {count}: {shown}{more}")
    return lines


def _rounded(row: GroupRow) -> dict[str, object]:
    """Return a row with numbers of four digits."""
    return {
        key: float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
        for key, value in asdict(row).items()
    }
