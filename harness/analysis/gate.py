"""`--fail-on slower:3%`: by what a build must not be worse, and what the data says of it. Pure.

Three outcomes, by where a line's 95 % interval lies beside the limit:

    FAIL           wholly beyond it, confirmed by the correction for multiple comparisons
    PASS           wholly within it, of data that could have shown a difference of the limit's size
    INCONCLUSIVE   anything else, and whatever was measured beside other programs

A real difference beyond the limit passes in at most 2.5 % of comparisons, none at all fails in at
most 2.5 %, whatever the scatter; the test-suite holds both over seeded draws.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from harness.analysis.compare import CompareRow, Comparison
from harness.analysis.compare_sides import compared
from harness.analysis.paired import LEAST_PAIRS
from harness.core.errors import UsageError, suggestion
from harness.core.ranges import parse_number, parse_share
from harness.results.enums import Outcome as Required
from harness.results.judged import Judged
from harness.results.metric_names import SHORT, full_name, limit_name
from harness.results.metric_row import MetricRow, Source
from harness.results.metrics import METRICS
from harness.results.schema import Cell, kind_of
from harness.stats.power import detectable

LEAST_PROCESSES = LEAST_PAIRS  # of each side: with fewer, one odd process decides
TIMED = (
    Source.SAMPLES,
    Source.COUNTERS,
    Source.TURNS,
    Source.SUSTAIN,
)  # what other programs can move
# A minimum detectable effect is stated to so many digits, and so compared: 0.1 % of the base.
SHARE_DIGITS, AMOUNT_DIGITS = 3, 4


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
        text: as it was asked for, a metric by the name that limits call it.
        metrics: names of what it watches.
        limit: share by which new may be worse, or an amount in the metric's unit.
    """

    text: str
    metrics: tuple[str, ...]
    limit: float


class Outcome(StrEnum):
    """What a gate says, the gravest first."""

    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    PASS = "PASS"


class Cause(StrEnum):
    """Why a line is INCONCLUSIVE."""

    FEW = "few"  # processes or pairs
    SILENT = "silent"  # no interval
    BUSY = "busy"  # a side was measured beside other programs
    UNCONFIRMED = "unconfirmed"  # beyond the limit, not confirmed by the correction
    ONCE = "once"  # beyond the limit, not when it was measured anew
    WEAK = "weak"  # the limit is below the minimum detectable effect
    STRADDLES = "straddles"  # the limit lies inside the interval


class Inconclusive(StrEnum):
    """What becomes of a gate that nothing can be told of."""

    WARN = "warn"
    FAIL = "fail"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class GateLine:
    """What one line says of a gate.

    Attributes:
        gate: which one.
        row: the line.
        outcome: see the module.
        cause: why it is INCONCLUSIVE; else None.
        mde: the least real difference, in the direction of worse, that would have been told from
            none with a chance of 80 % at the scatter seen: a share of the base for a ratio, else
            in the unit; None without an interval.
    """

    gate: Gate
    row: CompareRow
    outcome: Outcome
    cause: Cause | None
    mde: float | None


@dataclass(frozen=True, slots=True)
class JudgedGate:
    """A gate and its lines, at least one.

    Attributes:
        gate: which one.
        lines: of its metrics.
        lost: cells that one side could not measure, and why: they keep it from passing.
    """

    gate: Gate
    lines: tuple[GateLine, ...]
    lost: tuple[tuple[Cell, str], ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The gravest of its lines: it passes where all of them do and none is missing."""
        outcomes = [line.outcome for line in self.lines]
        outcomes += [Outcome.INCONCLUSIVE] * bool(self.lost)
        return min(outcomes, key=list(Outcome).index)

    def those(self, outcome: Outcome) -> tuple[GateLine, ...]:
        """The lines with this outcome."""
        return tuple(line for line in self.lines if line.outcome is outcome)


def parse_gate(text: str) -> Gate:
    """Read `slower:3%`, `memory:0.02` or `kld:0.01`.

    Raises:
        UsageError: no such gate, or a limit that is none.
    """
    name, _, limit = text.partition(":")
    known = compared()
    full = full_name(name)
    metrics = GATES.get(name, (full,) if full in known else ())
    if not metrics:
        raise UsageError(
            f"--fail-on {text}: no gate is called {name!r}",
            fix=suggestion(name, gate_names()),
        )
    if name not in GATES:  # one metric: drawn as every limit on it is
        name = limit_name(name)
        text = f"{name}:{limit}" if limit else name
    if not limit:
        raise UsageError(
            f"--fail-on {text} has no limit: one stands behind a colon", fix=f"--fail-on {name}:3%"
        )
    if known[metrics[0]].is_ratio:
        return Gate(text, metrics, parse_share(limit, f"--fail-on {text}"))
    return Gate(text, metrics, _parse_amount(limit, f"--fail-on {text}"))


def gate_names() -> tuple[str, ...]:
    """What a gate may be called: words of its own, then metrics, by their short names too."""
    known = compared()
    short = (word for word, name in SHORT.items() if name in known)
    return tuple(dict.fromkeys((*GATES, *short, *known)))


def watched_metrics(gates: Sequence[Gate]) -> tuple[str, ...]:
    """Names of everything that gates watch, each once."""
    return tuple(dict.fromkeys(name for gate in gates for name in gate.metrics))


def judge_gates(comparison: Comparison, gates: Sequence[Gate]) -> tuple[JudgedGate, ...]:
    """What every gate says, in the order asked for; records that are INVALID are no lines.

    Raises:
        UsageError: a gate whose metrics no line holds: it could never fail.
    """
    judged = []
    for gate in gates:
        rows = [row for row in comparison.rows if row.metric.name in gate.metrics]
        if not rows:
            raise UsageError(
                f"--fail-on {gate.text} can never fail: no cell has {' or '.join(gate.metrics)} on "
                "both sides",
                fix="measure it on both sides (--quality for kld and top1, --tasks for accuracy, "
                "--sustain 10m for sustained), or leave the gate out",
            )
        lines = tuple(judge_line(gate, row) for row in rows)
        kinds = {kind for row in rows for kind in row.metric.kinds}
        lost = tuple(one for one in comparison.lost if kind_of(one[0]) in kinds)
        judged.append(JudgedGate(gate, lines, lost))
    return tuple(judged)


def judge_line(gate: Gate, row: CompareRow) -> GateLine:
    """What one line says of one gate."""
    mde = _mde(row)
    cause = _doubt(row)
    if cause is not None or row.difference is None or mde is None:
        return GateLine(gate, row, Outcome.INCONCLUSIVE, cause or Cause.SILENT, mde)
    limit, (low, high) = _on_scale(row.metric, gate.limit), row.difference.interval()
    if low > limit and row.holds_together:
        return GateLine(gate, row, Outcome.FAIL, None, mde)
    if low > limit:
        cause = Cause.UNCONFIRMED
    elif mde > gate.limit:
        cause = Cause.WEAK
    elif high > limit:
        cause = Cause.STRADDLES
    return GateLine(gate, row, Outcome.INCONCLUSIVE if cause else Outcome.PASS, cause, mde)


def refuse_few(judged: Sequence[JudgedGate]) -> None:
    """Refuse a gate of which no line has enough processes.

    Raises:
        UsageError: says how many there are.
    """
    for one in judged:
        if all(line.cause is Cause.FEW for line in one.lines):
            base, new = max((line.row.processes for line in one.lines), key=min)
            raise UsageError(
                f"--fail-on {one.gate.text} needs {LEAST_PROCESSES} processes a side; base has "
                f"{base}, new {new}",
                fix=f"--rounds {LEAST_PROCESSES} or more on both sides, or leave --fail-on out",
            )


def confirmed(
    first: Sequence[JudgedGate], second: Sequence[JudgedGate]
) -> tuple[tuple[JudgedGate, ...], str]:
    """What fails a gate in two measurements that share nothing, and that in words.

    A false alarm of 1 in 20 is one of 1 in 400 when it has to come twice. What fails once only is
    INCONCLUSIVE.
    """
    again = {_place(line) for line in failing(second)}
    kept = tuple(
        replace(one, lines=tuple(_held(line, again) for line in one.lines)) for one in first
    )
    counts = len(failing(kept)), len(failing(first))
    return kept, "measured anew, {} of {} failing lines fail again".format(*counts)


def failing(judged: Sequence[JudgedGate]) -> tuple[GateLine, ...]:
    """Every line that fails its gate."""
    return tuple(line for one in judged for line in one.those(Outcome.FAIL))


def is_failure(judged: Sequence[JudgedGate], inconclusive: Inconclusive) -> bool:
    """Whether the command ends with 1."""
    outcomes = {one.outcome for one in judged}
    counts = {Outcome.FAIL, *([Outcome.INCONCLUSIVE] * (inconclusive is Inconclusive.FAIL))}
    return bool(outcomes & counts)


def requirements_fail(judged: Iterable[Judged], inconclusive: Inconclusive) -> bool:
    """Whether absolute limits end the command with 1."""
    fails = {Required.NOT_MET}
    if inconclusive is Inconclusive.FAIL:
        fails.add(Required.INCONCLUSIVE)
    return any(one.outcome in fails for one in judged)


def _held(line: GateLine, again: set[tuple[str, str, str]]) -> GateLine:
    """A line as it stands after a second measurement."""
    if line.outcome is not Outcome.FAIL or _place(line) in again:
        return line
    return replace(line, outcome=Outcome.INCONCLUSIVE, cause=Cause.ONCE)


def _place(line: GateLine) -> tuple[str, str, str]:
    """Which gate, metric and test."""
    return line.gate.text, line.row.metric.name, line.row.cell.workload


def _doubt(row: CompareRow) -> Cause | None:
    """Why nothing that a line says counts; None: it does.

    A neighbour that slows the base hides a slower build, one that slows the new side makes one up.
    """
    if row.metric.source in TIMED:
        if min(row.processes) < LEAST_PROCESSES:
            return Cause.FEW
        if any(side.is_busy for side in row.background):
            return Cause.BUSY
    return None


def _mde(row: CompareRow) -> float | None:
    """See GateLine."""
    found = row.difference
    if found is None:
        return None
    least = row.metric.off_scale(found.standard_error * _errors_found(_tenth(found.dof)))
    return round(least - 1, SHARE_DIGITS) if row.metric.is_ratio else round(least, AMOUNT_DIGITS)


@lru_cache
def _errors_found(dof: float) -> float:
    """The minimum detectable effect in standard errors."""
    return detectable(1.0, dof)


def _tenth(dof: float) -> float:
    """Degrees of freedom, down to a tenth: what they are used for changes by less than 1 %."""
    return dof if math.isinf(dof) else max(1.0, math.floor(dof * 10) / 10)


def _on_scale(metric: MetricRow, limit: float) -> float:
    """A limit on the scale of the differences."""
    return math.log1p(limit) if metric.is_ratio else limit


def _parse_amount(text: str, flag: str) -> float:
    """Read a limit in the metric's own unit."""
    number = parse_number(text, flag, "0.01")
    if number <= 0:
        raise UsageError(
            f"{flag} has a limit of {text}, which is not above 0",
            fix=f"{flag} with a limit such as 0.01",
        )
    return number
