"""Numbers of lm-evaluation-harness, a row each. Pure."""

from collections.abc import Sequence

import msgspec

from harness.report.grid import PEOPLE, VARIES, Column, draw_columns, draw_records
from harness.report.numbers import four_decimals
from harness.runner.evaluation.replies import TaskValue

Found = tuple[str, TaskValue]
COLUMNS: tuple[Column[Found], ...] = (
    Column("level", lambda row: row[0]),
    Column("task", lambda row: row[1].task),
    Column("filter", lambda row: row[1].filter, shown=VARIES),
    Column("metric", lambda row: row[1].metric),
    Column("value", lambda row: row[1].value, four_decimals),
    Column("± s.e.", lambda row: row[1].standard_error, four_decimals),
    Column("items", lambda row: row[1].items),
)


def draw_evaluation(rows: Sequence[Found], style: str) -> str:
    """Draw every number.

    Args:
        rows: level and number.
        style: `table`, `md`, `csv`, `json` or `jsonl`.
    """
    if style in PEOPLE:
        return draw_columns(COLUMNS, rows, style)
    return draw_records(
        [{"level": level, **msgspec.structs.asdict(value)} for level, value in rows], style
    )
