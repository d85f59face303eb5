"""A comparison as text: one list of columns, drawn in every format."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from harness.analysis.axis_words import MACHINE_AXIS
from harness.analysis.compare import CompareRow, Comparison
from harness.analysis.compare_match import TOLD, describe
from harness.analysis.compare_sides import COUNTED, KNOWN
from harness.analysis.paired import LEAST_PAIRS, Ending
from harness.core.units import KIB, MIB
from harness.report.exporters import draw_sides
from harness.report.grid import (
    ALWAYS,
    MISSING,
    VARIES,
    Column,
    bullets,
    draw_columns,
    draw_records,
    json_text,
    prose,
)
from harness.report.numbers import (
    counted,
    four_decimals,
    percent,
    ratio,
    signed_percent,
    three_digits,
)
from harness.report.rows import test_of
from harness.report.same_keys import same_keys
from harness.results.enums import Verdict
from harness.results.identity import field_word
from harness.results.machine_views import machine_views
from harness.results.metric_names import limit_name
from harness.results.metrics import differences
from harness.results.schema import Cell, Document

LEGEND = (
    "base, new: geometric means; ratio: new / base, with its 95 % interval (new - base for "
    f"{differences()}); MDE (minimum detectable effect): a difference of that size "
    "would have been found (bench explain MDE)"
)
ALONE = "*"  # after a verdict that the correction for multiple comparisons does not confirm
UNCONFIRMED = (
    "not confirmed by the correction for multiple comparisons (Holm); one of 20 equal lines"
    " looks so"
)
LARGEST_SHOWN = 10.0
# What tells one line from another, where it varies; in the order of the table.
IDENTITY = (
    *("model", "level", "weights", "device", "runtime", "threads", "batch"),
    *(name for name in Cell.__struct_fields__ if name not in TOLD),
)
# Fields that change with another one of an axis.
SAID_ELSEWHERE = ("parameters", "active_parameters", "provider", "workload", "level_label")
WHOLE_SESSION = "session"
ENDINGS = {
    Ending.PRECISION: "every interval is within {:.1%}",
    Ending.PAIRS: "all that were asked for",
    Ending.BUDGET: "the budget is used up",
    Ending.INTERRUPTED: "interrupted",
    Ending.LOST: "a worker was lost twice in a row",
}


def draw_table(
    comparison: Comparison, style: str, more: Sequence[str] = (), closing: str = ""
) -> str:
    """Headline, table and notes, as text for people.

    Args:
        comparison: what is drawn.
        style: `table`, `wide` or `md`.
        more: further notes.
        closing: the last line; empty: none.
    """
    shown = [column for column in COLUMNS if column.tells(comparison.rows)]
    always = [replace(column, shown=ALWAYS) for column in shown]  # also of lines that tell nothing
    table = draw_columns(always, [row for row in comparison.rows if tells(row)], style)
    below = bullets((tally(comparison), *comparison.notes, LEGEND, *more), style)
    return f"{prose(headline(comparison), style)}\n\n{table}\n\n{below}\n" + (
        f"\n{prose(closing, style)}\n" if closing else ""
    )


def headline(comparison: Comparison) -> str:
    """What stands beside what."""
    first, second = (", ".join(runs) for runs in (comparison.base_runs, comparison.new_runs))
    if comparison.axis is None:
        return f"new beside base: {second} beside {first}"
    if comparison.axis == MACHINE_AXIS:
        base, new = (", ".join(names) for names in comparison.axis_values)
        return f"new beside base: machine {new} beside {base}, each measured by itself"
    base, new = (" ".join(words) for words in comparison.axis_values)
    sides = f"{comparison.axis} {new} beside {base}"
    return f"new beside base: {sides} in {first}, paired by round"


def tally(comparison: Comparison) -> str:
    """How many lines have which verdict, by which tolerance, and what the star means."""
    words = [verdict_word(row) for row in comparison.rows]
    counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
    text = f"{counts}; tolerance {percent(comparison.question.tolerance)}"
    if any(word.endswith(ALONE) for word in words):
        text += f"; {ALONE}: {UNCONFIRMED}"
    equal = sum(not tells(row) for row in comparison.rows)
    return text + (f"; equal sizes not shown: {equal}" if equal else "")


def test_name(row: CompareRow) -> str:
    """The test with its depth where it has one; a metric of the session has none."""
    if row.metric.of_session:
        return WHOLE_SESSION
    return row.cell.workload if row.cell.depth else test_of(row.cell)


def row_values(row: CompareRow) -> dict[str, Any]:
    """One line as values, units in their names or beside them; null where there is none."""
    interval = row.interval
    return {
        **{name: getattr(row.cell, name) for name in Cell.__struct_fields__},
        "new_cell": {
            name: getattr(row.new_cell, name)
            for name in Cell.__struct_fields__
            if getattr(row.new_cell, name) != getattr(row.cell, name)
        },
        "base_machine": row.sides[0] or None,
        "new_machine": row.sides[1] or None,
        "metric": row.metric.name,
        "unit": row.unit,
        "base": row.base,
        "new": row.new,
        "is_ratio": row.metric.is_ratio,
        "ratio": row.center,
        "low": None if interval is None else interval[0],
        "high": None if interval is None else interval[1],
        "rank_ratio": None if row.ranks is None else row.ranks.center,
        "rank_low": None if row.ranks is None else row.ranks.low,
        "rank_high": None if row.ranks is None else row.ranks.high,
        "p_value": None if row.difference is None else row.difference.p_value(),
        "p_adjusted": row.p_adjusted,
        "verdict": row.word,
        "holds_together": row.holds_together,
        "could_show": row.could_show,
        "mde": row.mde,
        "basis": row.basis,
        "base_count": row.counts[0],
        "new_count": row.counts[1],
        "reason": row.reason,
        "base_others_cpu_share": row.background[0].cpu_share,
        "new_others_cpu_share": row.background[1].cpu_share,
        "base_host_cpu_share": row.background[0].steal_share,
        "new_host_cpu_share": row.background[1].steal_share,
        # names of before 0.2.0, for who reads them: deprecated
        "p_family": row.p_adjusted,
        "sure_to_show": row.mde,
    }


def draw_json(
    comparison: Comparison,
    gates: Sequence[dict[str, Any]] = (),
    required: Sequence[dict[str, Any]] = (),
) -> str:
    """The whole comparison as one JSON value, with what its gates and requirements say."""
    table = {
        "axis": comparison.axis,
        "base_runs": comparison.base_runs,
        "new_runs": comparison.new_runs,
        "tolerance": comparison.question.tolerance,
        "no_correction": comparison.question.no_correction,
        "each_alone": comparison.question.no_correction,  # deprecated: the name of before 0.2.0
        "rows": _all_values(comparison),
        "gates": list(gates),
        "required": list(required),
        "notes": comparison.notes,
        "partial": comparison.partial,
    }
    return json_text(table, indent=1, ensure_ascii=True) + "\n"


def draw_json_lines(comparison: Comparison) -> str:
    """One line of JSON per row."""
    return "".join(f"{json_text(values)}\n" for values in same_keys(_all_values(comparison)))


def draw_csv(comparison: Comparison) -> str:
    """One line per row, full precision."""
    return draw_records(_all_values(comparison), "csv") + "\n"


def _all_values(comparison: Comparison) -> list[dict[str, Any]]:
    """Every line as values, with what its runs lack: few formats have another place for it."""
    partial = "; ".join(comparison.partial) or None
    return [{**row_values(row), "partial": partial} for row in comparison.rows]


def pairs_note(count: int, ending: Ending, precision: float) -> str:
    """How many pairs of `bench ab` there are, and why no more."""
    words = f"{count} interleaved pairs of processes; then {ENDINGS[ending].format(precision)}"
    few = f"; no verdict under {LEAST_PAIRS} pairs" * (count < LEAST_PAIRS)
    return words + few


def draw_comparison_benchstat(
    documents: tuple[Sequence[Document], Sequence[Document]], axis: str | None = None
) -> str:
    """The values of every process; sides, and machines, told apart by the key `side`."""
    first, second = documents
    if axis == MACHINE_AXIS:
        return draw_sides({one.name: one.runs for one in machine_views(first) if one.id})
    return draw_sides({"base": first, "new": second} if second else {"": first})


def sentence(row: CompareRow) -> str:
    """One line of the table in words: `… tg32 t2 decode_tok_s: SLOWER, 0.910 [0.880, 0.940]`."""
    interval = "no interval" if row.interval is None else f"[{_end(row, 0)}, {_end(row, 1)}]"
    return f"{line_name(row)}: {verdict_word(row)}, {center_words(row, row.center)} {interval}"


def effect(row: CompareRow, size: float) -> str:
    """The size of a difference: a share of the base, or an amount in the metric's unit."""
    if not row.metric.is_ratio:
        return four_decimals(size)
    return percent(size) if size < LARGEST_SHOWN else f"> {LARGEST_SHOWN:.0f} times"


def effect_range(row: CompareRow) -> str:
    """The 95 % interval of a difference, in percent of the base, or in the metric's unit."""
    if row.interval is None:
        return "unknown"
    low, high = row.interval
    if not row.metric.is_ratio:
        return f"{low:+.4f} to {high:+.4f}"
    return f"{signed_percent(low - 1)} to {signed_percent(high - 1)}"


def line_name(row: CompareRow) -> str:
    """The cell, the metric, and along an axis what differs: unlike for any two lines."""
    name = f"{describe(row.cell)} {row.metric.name}"
    changed = [f"machine {row.sides[0]} to {row.sides[1]}"] * any(row.sides) + [
        f"{field} {field_word(row.cell, field)} to {field_word(row.new_cell, field)}"
        for field in Cell.__struct_fields__
        if field not in SAID_ELSEWHERE and getattr(row.cell, field) != getattr(row.new_cell, field)
    ]
    return ", ".join([name, *changed])


def _identity(name: str) -> Callable[[CompareRow], str]:
    """Draws one field of the cell; `fp32 > int4` where the sides differ in it."""

    def draw(row: CompareRow) -> str:
        first, second = field_word(row.cell, name), field_word(row.new_cell, name)
        return first if first == second else f"{first} → {second}"

    return draw


def _new_side(name: str) -> Callable[[CompareRow], str]:
    """The same where there is little room: `→ int4`, of a base that the headline names."""

    def draw(row: CompareRow) -> str:
        first, second = field_word(row.cell, name), field_word(row.new_cell, name)
        return first if first == second else f"→ {second}"

    return draw


def tells(row: CompareRow) -> bool:
    """Whether a line says anything: sizes that were counted and are equal do not."""
    return not (row.basis == COUNTED and row.base == row.new)


def verdict_word(row: CompareRow) -> str:
    """The verdict, marked where it stands alone only."""
    is_claim = row.verdict in (Verdict.WORSE, Verdict.BETTER)
    return row.word + (ALONE if is_claim and not row.holds_together else "")


def _value(row: CompareRow, value: float) -> str:
    """A value with its unit; bytes as MiB or KiB."""
    if row.unit == "bytes":
        size, unit = (value / MIB, "MiB") if value >= MIB else (value / KIB, "KiB")
        return f"{three_digits(size)} {unit}"
    if not row.metric.is_ratio:
        return f"{four_decimals(value)} {row.unit}"
    return f"{three_digits(value)} {row.unit}"


def center_words(row: CompareRow, value: float) -> str:
    """A ratio, or a difference with its sign."""
    return ratio(value) if row.metric.is_ratio else f"{value:+.4f}"


def _end(row: CompareRow, which: int) -> str:
    """One end of the interval."""
    return MISSING if row.interval is None else center_words(row, row.interval[which])


def _detectable(row: CompareRow) -> str:
    """The minimum detectable effect: a larger difference would have been found."""
    return MISSING if row.mde is None else effect(row, row.mde)


def _counts(row: CompareRow) -> str:
    """How many of what stand on each side."""
    first, second = row.counts
    if row.basis in (COUNTED, KNOWN):
        return row.basis
    return f"{first}+{second} {row.basis}" if first != second else counted(first, row.basis)


def _machine(row: CompareRow) -> str:
    """`→ shelf-3`, of a base that the headline names; empty: no machines are compared."""
    return f"→ {row.sides[1]}" if row.sides[1] else ""


COLUMNS: tuple[Column[CompareRow], ...] = (
    Column("machine", _machine, shown=VARIES),
    *(Column(name, _identity(name), shown=VARIES, brief=_new_side(name)) for name in IDENTITY),
    Column("test", test_name),
    Column("metric", lambda row: row.metric.name, brief=lambda row: limit_name(row.metric.name)),
    Column("base", lambda row: _value(row, row.base), leaves=1),
    Column("new", lambda row: _value(row, row.new), leaves=1),
    Column("ratio", lambda row: center_words(row, row.center)),
    Column("low", lambda row: _end(row, 0)),
    Column("high", lambda row: _end(row, 1)),
    Column("verdict", verdict_word, leaves=-1),  # the last to leave
    Column("MDE", _detectable, leaves=2),
    Column("from", _counts, leaves=3),
)
