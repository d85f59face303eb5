"""What `bench tune` would try here, row by row of its table, for `--dry-run`. Pure."""

from harness.report.grid import PEOPLE, Column, bullets, draw_columns, draw_records, prose
from harness.results.entries import TuneSetting
from harness.runner.tuning.space import TABLE, Tunable, Where, changes

Row = tuple[Tunable, str | None]
COLUMNS: tuple[Column[Row], ...] = (
    Column("setting", lambda one: one[0].name),
    Column("tried", lambda one: one[1]),
    Column("applies to", lambda one: one[0].applies),
)


def draw_space(where: Where, default: TuneSetting, style: str) -> str:
    """Draw one line per candidate, rows that have none here too, and what each row is about."""
    found = changes(where, default)
    rows: list[Row] = []
    for row in TABLE:
        mine = [one.beyond(default) for one, of in found.items() if of is row]
        rows += [(row, text) for text in mine] or [(row, None)]
    if style in PEOPLE:
        parts = [
            prose(f"default: {default.name}; tried, one at a time:", style),
            draw_columns(COLUMNS, rows, style),
            bullets([f"{row.name}: {row.why}" for row in TABLE], style),
        ]
        return "\n\n".join(parts)
    records = [
        {"setting": row.name, "tried": text, "applies_to": row.applies, "why": row.why}
        for row, text in rows
    ]
    return draw_records(records, style)
