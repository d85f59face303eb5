"""`--fail-on slower:3%`: by what a build must not be worse, and whether it surely is. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.compare import CompareRow, Comparison
from harness.analysis.compare_sides import compared
from harness.core.errors import UsageError
from harness.core.names import suggestion
from harness.core.ranges import parse_number, parse_share
from harness.results.metric_row import MetricRow
from harness.results.metrics import METRICS


def _gates() -> dict[str, tuple[str, ...]]:
    """What a gate may be called, and the metrics it watches; any metric's own name is one too."""
    found: dict[str, tuple[str, ...]] = {}
    for row in METRICS:
        if row.gate:
            found[row.gate] = (*found.get(row.gate, ()), row.name)
    return found


GATES = _gates()


@dataclass(frozen=True, slots=True)
class Gate:
    """One limit.

    Attributes:
        text: as it was asked for.
        metrics: names of what it watches.
        limit: share by which new may be worse, or an amount in the metric's unit.
    """

    text: str
    metrics: tuple[str, ...]
    limit: float


@dataclass(frozen=True, slots=True)
class Broken:
    """A line that is significantly worse than a gate allows."""

    gate: Gate
    row: CompareRow


def parse_gate(text: str) -> Gate:
    """Read `slower:3%`, `memory:0.02` or `kld:0.01`.

    Raises:
        UsageError: no such gate, or a limit that is none.
    """
    name, _, limit = text.partition(":")
    known = compared()
    metrics = GATES.get(name, (name,) if name in known else ())
    if not metrics:
        raise UsageError(
            f"--fail-on {text}: no gate is called {name!r}",
            fix=suggestion(name, (*GATES, *known)),
        )
    if not limit:
        raise UsageError(f"--fail-on {text} has no limit", fix=f"--fail-on {name}:3%")
    if known[metrics[0]].is_ratio:
        return Gate(text, metrics, parse_share(limit, f"--fail-on {text}"))
    return Gate(text, metrics, _parse_amount(limit, f"--fail-on {text}"))


def watched_metrics(gates: Sequence[Gate]) -> tuple[str, ...]:
    """Names of everything that gates watch, each once."""
    return tuple(dict.fromkeys(name for gate in gates for name in gate.metrics))


def judge_gates(comparison: Comparison, gates: Sequence[Gate]) -> tuple[Broken, ...]:
    """Every line that is significantly worse by more than its gate allows.

    Beyond doubt: the difference is real beside all other lines of the table, and its whole 95 %
    interval lies beyond the limit. A line that nobody can judge breaks nothing; records that are
    INVALID or simulated are no lines.

    Raises:
        UsageError: a gate whose metrics no line holds: it could never fail.
    """
    broken = []
    for gate in gates:
        rows = [row for row in comparison.rows if row.metric.name in gate.metrics]
        if not rows:
            raise UsageError(
                f"--fail-on {gate.text} can never fail: no cell has {' or '.join(gate.metrics)} on "
                "both sides",
                fix="measure it on both sides (--quality for kld and top1), or leave the gate out",
            )
        broken += [Broken(gate, row) for row in rows if _is_beyond(row, gate.limit)]
    return tuple(broken)


def confirmed(first: Sequence[Broken], second: Sequence[Broken]) -> tuple[tuple[Broken, ...], str]:
    """What broke a gate in two measurements that share nothing, and that in words.

    A false alarm of 1 in 20 is one of 1 in 400 when it has to come twice.
    """
    again = {_place(one) for one in second}
    both = tuple(one for one in first if _place(one) in again)
    return both, f"measured anew, {len(both)} of {len(first)} broken lines break again"


def _place(broken: Broken) -> tuple[str, str, str]:
    """Which gate, metric and test."""
    return broken.gate.text, broken.row.metric.name, broken.row.cell.workload


def surely_within(comparison: Comparison, gate: Gate) -> tuple[int, int]:
    """How many of a gate's lines are within its limit with certainty, and how many it has."""
    rows = [row for row in comparison.rows if row.metric.name in gate.metrics]
    known = [(row.metric, row.difference) for row in rows if row.difference is not None]
    within = sum(found.interval()[1] <= _on_scale(metric, gate.limit) for metric, found in known)
    return within, len(rows)


def _is_beyond(row: CompareRow, limit: float) -> bool:
    """Whether the whole interval is worse by more than `limit`, and the correction confirms it."""
    if row.difference is None or not row.holds_together:
        return False
    low, _ = row.difference.interval()
    return low > _on_scale(row.metric, limit)


def _on_scale(metric: MetricRow, limit: float) -> float:
    """A limit on the scale of the differences."""
    return math.log1p(limit) if metric.is_ratio else limit


def _parse_amount(text: str, flag: str) -> float:
    """Read a limit in the metric's own unit."""
    number = parse_number(text, flag, "0.01")
    if number <= 0:
        raise UsageError(f"{flag}: a limit of {text} is not above 0", fix="0.01")
    return number
