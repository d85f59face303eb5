"""Where a series changes its level: two detectors that do not share a method, and their vote.

One is our interval rule (`harness.stats.shifts`): windows before and after, Student's t over the
scatter from run to run, corrected for all positions. The other is the cost of segments: the split
of the whole series that leaves least squares at a price for each change, by `ruptures` (KernelCPD
with a linear kernel, which is PELT on means; Killick et al. 2012,
doi:10.1080/01621459.2012.737745). A step that both see is confirmed; one alone is a suspicion.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.core.errors import DeviceError
from harness.history.series import Better, Point, Series
from harness.results.metrics import find_metric
from harness.stats.differences import Difference
from harness.stats.distributions import t_quantile
from harness.stats.intervals import CONFIDENCE
from harness.stats.shifts import (
    RULE,
    Rule,
    clipped,
    difference_at,
    find_shifts,
    memory_of,
    noise_of,
)

INSTALL = "pip install 'ondevice-bench[history]'"
APART = 2  # points between the places of two detectors that mean the same step
PRICE = 3.0  # of a change: times noise**2 ln(n); chosen by benchmarks/step_power.py tune
LEAST_NOISE = 0.001  # of what is counted: a tenth of the smallest step that is told


class Detector(StrEnum):
    """Who votes."""

    INTERVALS = "intervals"
    SEGMENTS = "segments"


@dataclass(frozen=True, slots=True)
class Vote:
    """What detectors say of one place.

    Attributes:
        place: index of the first value after a step.
        difference: after - before, on the scale of the statistics.
        votes: who sees it.
    """

    place: int
    difference: Difference
    votes: tuple[Detector, ...]

    @property
    def is_confirmed(self) -> bool:
        """Whether both detectors see it; else it is only suspected."""
        return len(self.votes) == len(Detector)


@dataclass(frozen=True, slots=True)
class Step:
    """One change of level.

    Attributes:
        place: index of the first point after it.
        last: the last point before it.
        first: the first point after it.
        change: after / before as a geometric mean of the windows; after - before of a metric that
            is compared by differences.
        low: lower end of its 95 % interval, at this place.
        high: upper end.
        is_ratio: whether `change` is a ratio.
        is_worse: whether the metric got worse.
        votes: the detectors that see it.
    """

    place: int
    last: Point
    first: Point
    change: float
    low: float
    high: float
    is_ratio: bool
    is_worse: bool
    votes: tuple[Detector, ...]

    @property
    def is_confirmed(self) -> bool:
        """Whether both detectors see it; else it is only suspected."""
        return len(self.votes) == len(Detector)


def find_steps(series: Series) -> tuple[Step, ...]:
    """Every step of a series, confirmed or suspected, in its order.

    Raises:
        DeviceError: `ruptures` is not installed; with the command that does.
    """
    is_ratio = _is_ratio(series)
    on_scale: Callable[[float], float] = math.log if is_ratio else float
    off_scale: Callable[[float], float] = math.exp if is_ratio else float
    values = [on_scale(point.value) for point in series.points]
    errors = [_error(point, on_scale, is_ratio) for point in series.points]
    found = []
    for one in vote(values, errors):
        low, high = one.difference.interval()
        step = Step(
            place=one.place,
            last=series.points[one.place - 1],
            first=series.points[one.place],
            change=off_scale(one.difference.center),
            low=off_scale(low),
            high=off_scale(high),
            is_ratio=is_ratio,
            is_worse=(one.difference.center < 0) is (series.better is Better.MORE),
            votes=one.votes,
        )
        found.append(step)
    return tuple(found)


def vote(
    values: Sequence[float],
    errors: Sequence[float],
    rule: Rule = RULE,
    price: float = PRICE,
) -> tuple[Vote, ...]:
    """Places of steps with the difference there and who sees them, in order.

    Args:
        values: in order of time, on the scale of the statistics.
        errors: standard error of each by itself; 0: not known.
        rule: of the interval rule.
        price: of a segment.
    """
    shifts = find_shifts(values, errors, rule)
    others = list(segment_starts(values, price))
    found = []
    for shift in shifts:
        partner = _nearest(shift.place, others)
        if partner is not None:
            others.remove(partner)
        votes = (Detector.INTERVALS,) if partner is None else tuple(Detector)
        found.append(Vote(shift.place, shift.difference, votes))
    places = [0, *sorted([*(shift.place for shift in shifts), *others]), len(values)]
    for place in others:
        index = places.index(place)
        low, high = places[index - 1], places[index + 1]
        difference = difference_at(values, errors, low, place, high)
        found.append(Vote(place, difference, (Detector.SEGMENTS,)))
    return tuple(sorted(found, key=lambda one: one.place))


def segment_starts(values: Sequence[float], price: float = PRICE) -> tuple[int, ...]:
    """Places where the cheapest split of the series begins a segment, by `ruptures`.

    A change costs price * noise**2 ln(n), raised as far as neighbours that resemble each other
    make means wander; the noise is that from point to point, which no step moves. Wild points are
    clipped as in the interval rule.

    Raises:
        DeviceError: it is not installed.
    """
    if len(values) < 2 * RULE.least:
        return ()
    check_library()
    import numpy
    import ruptures

    memory = memory_of(values)
    noise = max(noise_of(values), LEAST_NOISE)
    cost = price * noise**2 * math.log(len(values)) * (1 + memory) / (1 - memory)
    signal = numpy.array(clipped(values, RULE.clip)).reshape(-1, 1)
    ends = ruptures.KernelCPD(kernel="linear", min_size=RULE.least).fit(signal).predict(pen=cost)
    return tuple(int(end) for end in ends[:-1])


def check_library() -> None:
    """Refuse to go on without the library: before hours of measuring, not after them.

    Raises:
        DeviceError: it is not installed; with the command that does.
    """
    try:
        import ruptures  # noqa: F401
    except ImportError as error:
        raise DeviceError("steps of a history are found with ruptures", fix=INSTALL) from error


def _nearest(place: int, others: Sequence[int]) -> int | None:
    """The place of another detector that means the same step; None: there is none."""
    near = [other for other in others if abs(other - place) <= APART]
    return min(near, key=lambda other: abs(other - place), default=None)


def _is_ratio(series: Series) -> bool:
    """Whether values are compared as ratios: by the registry, where all of them are above 0."""
    metric = find_metric(series.metric)
    return (metric is None or metric.is_ratio) and all(one.value > 0 for one in series.points)


def _error(point: Point, on_scale: Callable[[float], float], is_ratio: bool) -> float:
    """Standard error of a point on the scale, from its 95 % interval; 0: not known."""
    if point.low is None or point.high is None or point.processes < 2:
        return 0.0
    if is_ratio and point.low <= 0:
        return 0.0
    half = (on_scale(point.high) - on_scale(point.low)) / 2
    return half / t_quantile((1 + CONFIDENCE) / 2, point.processes - 1)
