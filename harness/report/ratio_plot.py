"""A comparison as points with their intervals: ratios around 1, differences around 0. Pure."""

from collections.abc import Sequence

from harness.analysis.compare import CompareRow, Comparison
from harness.report.bars import (
    Bar,
    Group,
    Signs,
    difference_scale,
    draw_points,
    ratio_scale,
    wrapped,
)
from harness.report.compare_table import (
    COLUMNS,
    center_words,
    tells,
    verdict_word,
)
from harness.report.plot import as_block

TOLD_BY_LABEL = ("test", "metric")
VALUES = ("base", "new", "ratio", "low", "high", "verdict", "MDE", "from")


def draw_ratio_plot(comparison: Comparison, signs: Signs, width: int, style: str = "table") -> str:
    """Draw every line of a comparison with its interval; ends with a line feed, empty without any.

    Args:
        comparison: what was found.
        signs: what is drawn with.
        width: of a line, in characters.
        style: `table`, or `md`: the same as a block that Markdown leaves alone.
    """
    rows = [row for row in comparison.rows if tells(row)]
    ratios = _grouped([row for row in rows if row.metric.is_ratio], rows)
    parts = []
    if ratios:
        scale = ratio_scale([bar for group in ratios for bar in group.bars])
        head = f"new / base with its 95 % interval; {signs.line} 1, as base"
        parts.append("\n".join([*wrapped(head, width), *draw_points(ratios, signs, width, scale)]))
    others = [row for row in rows if not row.metric.is_ratio]
    for name in dict.fromkeys(row.metric.name for row in others):
        groups = _grouped([row for row in others if row.metric.name == name], rows)
        scale = difference_scale([bar for group in groups for bar in group.bars])
        head = f"{name}: new - base with its 95 % interval; {signs.line} 0, as base"
        parts.append("\n".join([*wrapped(head, width), *draw_points(groups, signs, width, scale)]))
    return as_block("\n\n".join(parts), style)


def _grouped(some: Sequence[CompareRow], every: Sequence[CompareRow]) -> list[Group]:
    """Lines of one cell under what tells it from others."""
    identity = [
        column
        for column in COLUMNS
        if column.header not in (*TOLD_BY_LABEL, *VALUES) and column.tells(every)
    ]
    groups: dict[tuple[str, ...], list[CompareRow]] = {}
    for row in some:
        groups.setdefault(tuple(column.cell(row) for column in identity), []).append(row)
    return [Group(" · ".join(words), tuple(map(_bar, rows))) for words, rows in groups.items()]


def _bar(row: CompareRow) -> Bar:
    """The point of one line."""
    by_header = {column.header: column for column in COLUMNS}
    low, high = row.interval or (None, None)
    return Bar(
        " ".join(by_header[header].cell(row) for header in TOLD_BY_LABEL),
        center_words(row, row.center),
        verdict_word(row),
        row.center,
        low,
        high,
    )
