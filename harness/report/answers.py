"""What a run answers, in a sentence a model: how many times as fast a level is, in how much memory.

The ratio is that of `bench compare --axis quant`, paired by round, with its 95 % interval. Pure.
"""

from collections.abc import Iterator, Sequence

from harness.analysis.compare import CompareRow, Question, compare_axis
from harness.core.errors import HarnessError
from harness.report.grid import short
from harness.report.numbers import three_digits
from harness.report.rows import JUDGED_FIRST, Row
from harness.results.enums import Kind, Verdict
from harness.results.identity import field_word
from harness.results.machine_views import measured_machines
from harness.results.metrics import rate_of_kind
from harness.results.schema import Cell, Document, kind_of

VERBS = {
    Kind.PREFILL: "reads prompts",
    Kind.ENCODE: "encodes",
    Kind.IMAGE: "sees images",
    Kind.SOUND: "hears sounds",
    Kind.GRAPH: "runs",
}
DECODES = "decodes"  # all others
# What levels are compared within. A cache may be its level's own; of depths the first test stands.
SETTING = ("device", "runtime", "prepack", "threads", "batch", "capacity")


def answers(document: Document, rows: Sequence[Row]) -> tuple[str, ...]:
    """One sentence a model, setting and machine: its fastest level beside its first one.

    Args:
        document: one run.
        rows: of its table.

    Returns:
        Nothing where levels cannot be compared: one level, one round, or nothing that counts.
    """
    machines = measured_machines(document)
    if len(machines) > 1:
        return tuple(
            f"{one.name}: {told}"
            for one in machines
            for told in answers(one.document, [row for row in rows if row.machine == one.name])
        )
    if len({row.cell.level for row in rows}) < 2:
        return ()
    rates = tuple(dict.fromkeys(rate_of_kind(kind).name for kind in JUDGED_FIRST))
    try:
        found = compare_axis(document, "quant", None, Question(metrics=rates))
    except HarnessError:
        return ()
    several = len({row.cell.model for row in rows}) > 1
    best = list(_fastest(found.rows))
    varying = [name for name in SETTING if len({getattr(one.cell, name) for one in best}) > 1]
    return tuple(_sentence(one, rows, several, varying) for one in best)


def _fastest(lines: Sequence[CompareRow]) -> Iterator[CompareRow]:
    """Yield the fastest level of each model and setting, by the test that stands for a row."""
    groups: dict[tuple[object, ...], list[CompareRow]] = {}
    for line in lines:
        if line.interval is not None and line.metric.judges:
            groups.setdefault(_setting(line.cell), []).append(line)
    for group in groups.values():
        kinds = {kind_of(line.cell) for line in group}
        judged = next(kind for kind in JUDGED_FIRST if kind in kinds)
        of_kind = [line for line in group if kind_of(line.cell) == judged]
        tests = {line.cell.workload: None for line in of_kind}
        first = [line for line in of_kind if line.cell.workload == next(iter(tests))]
        yield max(first, key=lambda line: line.center)


def _setting(cell: Cell) -> tuple[object, ...]:
    """What rows of one model share, whatever their levels and tests."""
    return (cell.model, *(getattr(cell, name) for name in SETTING))


def _sentence(line: CompareRow, rows: Sequence[Row], several: bool, varying: Sequence[str]) -> str:
    """A ratio with its interval: int4 decodes 3.49 times as fast as fp32, in 29% of the memory.

    The model stands before it where there are several, and so does the setting.
    """
    low, high = line.interval or (line.center, line.center)
    verb = VERBS.get(kind_of(line.cell), DECODES)
    words = [short(line.cell.model)] if several else []
    words += [f"{name} {field_word(line.cell, name)}" for name in varying]
    model = f"{', '.join(words)}: " if words else ""
    told = "" if line.verdict in (Verdict.BETTER, Verdict.WORSE) else ", not told apart"
    ratio = f"{three_digits(line.center)} times as fast as {line.cell.level}"
    share = _memory_share(line, rows)
    memory = "" if share is None else f", in {share:.0%} of the memory"
    ends = f"({three_digits(low)} to {three_digits(high)}{told})"
    return f"{model}{line.new_cell.level} {verb} {ratio} {ends}{memory}"


def _memory_share(line: CompareRow, rows: Sequence[Row]) -> float | None:
    """Peak of the new level's row over that of the base's; None where either is not known."""
    peaks = [
        next(
            (
                row.largest_shown("peak_rss_bytes")
                for row in rows
                if row.cell.level == cell.level
                and _setting(row.cell) == _setting(cell)
                and (row.cell.capacity, row.cell.depth) == (cell.capacity, cell.depth)
            ),
            None,
        )
        for cell in (line.cell, line.new_cell)
    ]
    base, new = peaks
    return new / base if base and new else None
