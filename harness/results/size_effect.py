"""Whether the time of a pass moves with what it reads: where it must and does not, it is no number.

A graph that is fed another size than its test says (a length that is 0, a prompt that is cut) takes
the same time for every size. So may an honest one, whose constant cost hides the rest: weights read
or unpacked once a pass, many small operators. Two rows that differ in their size alone are
therefore doubted only where the larger one has to take noticeably longer whatever the constant
cost: by the calibrated estimate, which knows that cost; without one, by the least time that the
products of the extra tokens take at a rate that no processor reaches. Pure.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

from msgspec import structs

from harness.core.units import NS_PER_MS, NS_PER_S
from harness.results.enums import Grade, Kind, PlacementVerdict, ReasonCode, Status
from harness.results.schema import Cell, Reason, Record, Trust, kind_of
from harness.results.summarize import process_values
from harness.stats.differences import Difference, paired_difference, welch_difference

# kind of a test -> the time of its pass, and what it reads at once: tokens, or pictures. Each of
# them passes every parameter once; a picture several times, which makes the least less.
PASSES: dict[Kind, tuple[str, Callable[[Cell], int]]] = {
    Kind.PREFILL: ("prefill_ms", lambda cell: cell.batch * cell.prompt),
    Kind.ENCODE: ("encode_ms", lambda cell: cell.prompt * cell.sequences),
    Kind.IMAGE: ("image_ms", lambda cell: cell.sequences),
}
SIZE_FIELDS = ("workload", "prompt", "sequences", "batch")  # of a cell, that a size may move
HOST = "CPUExecutionProvider"  # others hide hundreds of tokens behind one read of their weights
LEAST_FACTOR = 4.0  # between two sizes: nearer ones differ by less than estimates err
LEAST_GROWTH = 0.2  # of the time that must come on top, as a share of the smaller one's
FELT = 0.1  # of that growth: the least that counts as felt
# Assumes: no thread does more; the fastest known, 8-bit matrix units, reach it on large products.
FLOP_PER_S_A_THREAD = 1e12
FLOP_A_PARAMETER = 2
EXPECTED_BY = "calibrated"  # the estimator that knows constant costs


def judge_sizes(records: Sequence[Record]) -> tuple[Record, ...]:
    """The records, INVALID where their time stood still although their size moved.

    Args:
        records: of one run.
    """
    doubts: dict[int, str] = {}
    for group in _groups(records):
        for (small, first), (large, second) in combinations(group, 2):
            told = _stands_still(first, second)
            if told is not None:
                doubts[small] = doubts[large] = told
    return tuple(
        _doubted(record, doubts[place]) if place in doubts else record
        for place, record in enumerate(records)
    )


def _groups(records: Sequence[Record]) -> Iterator[list[tuple[int, Record]]]:
    """Yield the rows of one model and level whose sizes alone differ, the smallest first."""
    found: dict[tuple[object, ...], list[tuple[int, Record]]] = {}
    for place, record in enumerate(records):
        kind = kind_of(record.cell)
        if kind not in PASSES or not _can_be_judged(record):
            continue
        others = [name for name in Cell.__struct_fields__ if name not in SIZE_FIELDS]
        key = (kind, *(getattr(record.cell, name) for name in others))
        found.setdefault(key, []).append((place, record))
    for rows in found.values():
        yield sorted(rows, key=lambda row: _items(row[1].cell))


def _can_be_judged(record: Record) -> bool:
    """Whether its passes ran on this machine's processor, at the size of the test alone."""
    return (
        record.status == Status.OK
        and record.cell.provider == HOST
        and not record.simulated
        and record.shapes is None
        and (record.placement is None or record.placement.verdict != PlacementVerdict.UNKNOWN)
    )


def _stands_still(small: Record, large: Record) -> str | None:
    """Why the times of two sizes cannot both be right; None: they may be."""
    fewer, more = _items(small.cell), _items(large.cell)
    if more < LEAST_FACTOR * fewer:
        return None
    name = PASSES[kind_of(small.cell)][0]
    times = [process_values(record, name) for record in (small, large)]
    difference = _log_difference(*times)
    if difference is None:
        return None
    grown, most = (math.expm1(end) for end in (difference.center, difference.interval()[1]))
    growth = _expected_growth(small, large, name, min(times[0].values()))
    if growth < LEAST_GROWTH or most >= FELT * growth:
        return None
    sizes = " and ".join(f"{record.cell.workload}" for record in (small, large))
    return (
        f"{sizes} read {fewer} and {more} at once and take the same time ({grown:+.1%}, at most"
        f" {most:+.1%}) where at least {growth:+.0%} must come on top: the size is not fed"
    )


def _log_difference(small: Mapping[int, float], large: Mapping[int, float]) -> Difference | None:
    """Ln of the larger size's time over the smaller one's; within rounds where they share some."""
    rounds = sorted(small.keys() & large.keys())
    if len(rounds) > 1:
        return paired_difference(
            *([math.log(one[place]) for place in rounds] for one in (small, large))
        )
    if min(len(small), len(large)) < 2:
        return None
    return welch_difference(*(list(map(math.log, one.values())) for one in (small, large)))


def _expected_growth(small: Record, large: Record, name: str, small_ms: float) -> float:
    """The least that the larger size takes on top, as a share of the smaller one's time."""
    known = [record.estimates.get(name, {}).get(EXPECTED_BY) for record in (small, large)]
    if known[0] and known[1]:
        return (known[1] - known[0]) / known[0]
    parameters = small.cell.active_parameters or small.cell.parameters
    extra_flop = FLOP_A_PARAMETER * parameters * (_items(large.cell) - _items(small.cell))
    least_s = extra_flop / (FLOP_PER_S_A_THREAD * max(small.cell.threads, 1))
    return least_s * NS_PER_S / NS_PER_MS / small_ms


def _items(cell: Cell) -> int:
    """What a pass reads at once: tokens of all texts, or pictures."""
    return PASSES[kind_of(cell)][1](cell)


def _doubted(record: Record, detail: str) -> Record:
    """The same record, whose numbers may not be shown."""
    reasons = () if record.trust is None else record.trust.reasons
    reason = Reason(code=ReasonCode.SIZE_IGNORED, detail=detail)
    return structs.replace(record, trust=Trust(grade=Grade.INVALID, reasons=(reason, *reasons)))
