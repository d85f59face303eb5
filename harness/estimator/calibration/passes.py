"""Raw passes of one shape -> a rate or a time with its interval. Pure."""

from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any

from harness.core.errors import MeasurementError
from harness.core.units import NS_PER_S
from harness.estimator.calibration.constants import RatePoint, TimePoint
from harness.stats.intervals import log_t_interval, t_interval

Reply = Sequence[Mapping[str, Any]]
# Known fixed costs are taken off a pass, but never more than this share of it: past that the
# shape is too small to say anything about a rate.
MOST_OVERHEAD = 0.5
LEAST_CALL_S = 1e-8  # a few tens of cycles: no call takes less


def calls_of(time: TimePoint, size_bytes: float) -> RatePoint:
    """Return a fixed time as calls/s at a working set; noise around nothing is LEAST_CALL_S."""
    seconds, low_s, high_s = (max(s, LEAST_CALL_S) for s in (time.seconds, time.low_s, time.high_s))
    return RatePoint(1 / seconds, float(size_bytes), 1, 1 / high_s, 1 / low_s, time.processes)


def seconds_of(shot: Mapping[str, Any]) -> float:
    """Return the median pass of one shape in one process."""
    return float(median(shot["pass_ns"])) / NS_PER_S


def net(pass_s: float, fixed_s: float) -> float:
    """Take known fixed costs off a pass, at most MOST_OVERHEAD of it."""
    return pass_s - min(fixed_s, MOST_OVERHEAD * pass_s)


def line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Return intercept and slope of the line through points, each weighted by 1 / y².

    Least squares of relative deviations: times scatter by factors, so the largest must not decide
    alone.

    Raises:
        MeasurementError: it does not rise.
    """
    weights = [1 / value**2 for value in y]
    scale = fmean(weights)
    mean_x = fmean(w * v for w, v in zip(weights, x, strict=True)) / scale
    mean_y = fmean(w * v for w, v in zip(weights, y, strict=True)) / scale
    points = list(zip(weights, x, y, strict=True))
    slope = sum(w * (a - mean_x) * (b - mean_y) for w, a, b in points)
    slope /= sum(w * (a - mean_x) ** 2 for w, a, _ in points)
    if not slope > 0:
        raise MeasurementError(
            "more work took less time", fix="let the machine rest: bench calibrate --again"
        )
    return mean_y - slope * mean_x, slope


def rate_point(values: Sequence[float], size_bytes: float, rows: int = 1) -> RatePoint:
    """Return the centre of one rate per process, with its interval."""
    found = log_t_interval(values)
    return RatePoint(found.center, float(size_bytes), rows, found.low, found.high, len(values))


def time_point(values: Sequence[float]) -> TimePoint:
    """Return the centre of one time per process; below 0 it is noise around nothing."""
    found = t_interval(values)
    return TimePoint(max(0.0, found.center), found.low, found.high, len(values))
