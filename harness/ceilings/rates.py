"""Raw passes of the probes to constants with intervals: pure arithmetic, no clock and no process.

A reply is the list that one fresh process gave (see probe_worker.py); the median of its passes
stands for the process, and intervals are taken over processes.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any

from harness.ceilings.constants import (
    ATTENTION,
    ATTENTION_CALL,
    CHOICE,
    ELEMENTWISE,
    OPERATOR_CALL,
    SESSION_CALL,
    Constants,
    RatePoint,
    TimePoint,
    call_name,
)
from harness.ceilings.shapes import (
    Sizes,
    attention_flop,
    cache_bytes,
    elementwise_bytes,
    held_bytes,
    kernel_levels,
    matrix_flop,
)
from harness.errors import MeasurementError
from harness.quantize.levels import QuantLevel
from harness.stats.intervals import log_t_interval, t_interval
from harness.units import NS_PER_S

Reply = Sequence[Mapping[str, Any]]
BANDWIDTH, OPERATORS = "bandwidth", "operators"
# Known fixed costs are taken off a pass, but never more than this share of it: past that the
# shape is too small to say anything about a rate.
MOST_OVERHEAD = 0.5


def constants_of(
    replies: Mapping[str, Sequence[Reply]],
    sizes: Sizes,
    levels: tuple[str, ...],
    operators: Sequence[int],
    threads: int,
) -> Constants:
    """Return the constants that the replies of all probes hold.

    Args:
        replies: by probe: BANDWIDTH, OPERATORS, ATTENTION, CHOICE and names of kernels; one reply
            per process each.
        sizes: that they were measured with.
        levels: whose kernels were measured.
        operators: in each of the operator chains.
        threads: that they were measured with.

    Raises:
        MeasurementError: fewer than two processes, or passes that no machine gives.
    """
    elementwise = elementwise_rate(replies[OPERATORS], sizes, operators)
    times = operator_times(replies[OPERATORS], sizes, operators, elementwise)
    times[ATTENTION_CALL] = attention_call(replies[ATTENTION], sizes, times)
    rates = {ELEMENTWISE: (elementwise,), CHOICE: bandwidth_curve(replies[CHOICE])}
    session_s = times[SESSION_CALL].seconds
    for kernel, level in kernel_levels(levels).items():
        call = kernel_call(replies[kernel], sizes, session_s)
        rates[kernel] = kernel_rates(replies[kernel], sizes, level, session_s, call.seconds)
        times[call_name(kernel)] = call
    rates[ATTENTION] = attention_rates(replies[ATTENTION], sizes, times)
    return Constants(
        basis="measured here",
        bandwidth=bandwidth_curve(replies[BANDWIDTH]),
        rates=rates,
        operator_s=times[OPERATOR_CALL].seconds,
        threads=threads,
        times=times,
    )


def bandwidth_curve(replies: Sequence[Reply]) -> tuple[RatePoint, ...]:
    """Return bytes / median pass of every working set."""
    return tuple(
        _rate_point([shot["size_bytes"] / _seconds(shot) for shot in shots], shots[0]["size_bytes"])
        for shots in zip(*replies, strict=True)
    )


def elementwise_rate(replies: Sequence[Reply], sizes: Sizes, operators: Sequence[int]) -> RatePoint:
    """Return the bytes/s of norms, sigmoids and products: what many rows take more than one row.

    rate = bytes of (rows - 1) rows / (pass of many rows - pass of one)
    """
    middle = operators[len(operators) // 2]
    moved = elementwise_bytes(sizes, middle, sizes.operator_rows - 1)
    rates = []
    for reply in replies:
        many = next(shot for shot in reply if shot["rows"] > 1)
        one = next(s for s in reply if s["rows"] == 1 and s["layers"] == many["layers"])
        rates.append(moved / max(_seconds(many) - _seconds(one), 1e-9))
    return _rate_point(rates, moved / middle, sizes.operator_rows)


def operator_times(
    replies: Sequence[Reply], sizes: Sizes, operators: Sequence[int], elementwise: RatePoint
) -> dict[str, TimePoint]:
    """Return the time of an operator and of a session call: slope and intercept over the chains.

    pass = session call + operators · (operator call + bytes of its vectors / elementwise rate)
    """
    work_s = elementwise_bytes(sizes, 1, 1) / elementwise.rate_per_s
    lines = [
        _line(operators, [_seconds(shot) for shot in reply if shot["rows"] == 1])
        for reply in replies
    ]
    return {
        SESSION_CALL: _time_point([intercept for intercept, _ in lines]),
        OPERATOR_CALL: _time_point([_net(slope, work_s) for _, slope in lines]),
    }


def kernel_call(replies: Sequence[Reply], sizes: Sizes, session_s: float) -> TimePoint:
    """Return what one call of a matrix kernel takes at one row, whatever its matrix.

    The line through small and large matrices, met at no weights:

        a matrix = (pass - session call) / matrices = kernel call + weights · time of a weight

    Where large matrices do not fit a cache and small ones do, it is noise around nothing.
    """
    small, large = sizes.call_width**2, sizes.hidden * sizes.wide
    values = []
    for reply in replies:
        shots = {shot["graph"]: shot for shot in reply if shot["rows"] == 1}
        small_s = (_seconds(shots["calls"]) - session_s) / sizes.call_matrices
        large_s = (_seconds(shots["pair"]) - session_s) / 2
        values.append((large * small_s - small * large_s) / (large - small))
    return _time_point(values)


def kernel_rates(
    replies: Sequence[Reply], sizes: Sizes, level: QuantLevel, session_s: float, call_s: float
) -> tuple[RatePoint, ...]:
    """Return flop / time of every shape, session call and kernel calls taken off.

    rate = 2 · matrices · rows · hidden · wide / (pass - session call - matrices · kernel call)
    """
    points = []
    for shots in zip(*replies, strict=True):
        rows, graph = shots[0]["rows"], shots[0]["graph"]
        if graph == "calls":
            continue
        matrices = sizes.chain_matrices(level) if graph == "chain" else 2
        fixed_s = session_s + matrices * call_s
        flop = matrix_flop(sizes, matrices, rows)
        rates = [flop / _net(_seconds(shot), fixed_s) for shot in shots]
        points.append(_rate_point(rates, held_bytes(sizes, level, matrices), rows))
    return tuple(points)


def attention_call(
    replies: Sequence[Reply], sizes: Sizes, times: Mapping[str, TimePoint]
) -> TimePoint:
    """Return what one attention takes before it reads a cache worth speaking of.

        (pass at the least depth - session call) / layers - operator call

    Not the intercept of a line over the depths: a short cache stays in a fast one, a long one does
    not, and the line through both meets depth 0 below 0.
    """
    fixed_s, operator_s = times[SESSION_CALL].seconds, times[OPERATOR_CALL].seconds
    least = [next(shot for shot in reply if shot["tokens"] == 1) for reply in replies]
    return _time_point([(_seconds(s) - fixed_s) / s["layers"] - operator_s for s in least])


def attention_rates(
    replies: Sequence[Reply], sizes: Sizes, times: Mapping[str, TimePoint]
) -> tuple[RatePoint, ...]:
    """Return the rate at which one token meets each depth, and each prompt itself.

        rate = flop / (pass - session call - layers · (operator call + attention call))

    Masked pairs of a prompt are counted: T² of them.
    """
    layer_s = times[OPERATOR_CALL].seconds + times[ATTENTION_CALL].seconds
    points = []
    for shots in list(zip(*replies, strict=True))[1:]:  # the first one is the fixed time
        layers, tokens, seen = shots[0]["layers"], shots[0]["tokens"], shots[0]["seen"]
        fixed_s = times[SESSION_CALL].seconds + layers * layer_s
        flop = attention_flop(sizes, layers, tokens, seen)
        rates = [flop / _net(_seconds(shot), fixed_s) for shot in shots]
        points.append(_rate_point(rates, cache_bytes(sizes, layers, seen), tokens))
    return tuple(points)


def _seconds(shot: Mapping[str, Any]) -> float:
    """Return the median pass of one shape in one process."""
    return float(median(shot["pass_ns"])) / NS_PER_S


def _net(pass_s: float, fixed_s: float) -> float:
    """Take known fixed costs off a pass, at most MOST_OVERHEAD of it."""
    return pass_s - min(fixed_s, MOST_OVERHEAD * pass_s)


def _line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
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


def _rate_point(values: Sequence[float], size_bytes: float, rows: int = 1) -> RatePoint:
    """Return the centre of one rate per process, with its interval."""
    found = log_t_interval(values)
    return RatePoint(found.center, float(size_bytes), rows, found.low, found.high, len(values))


def _time_point(values: Sequence[float]) -> TimePoint:
    """Return the centre of one time per process; below 0 it is noise around nothing."""
    found = t_interval(values)
    return TimePoint(max(0.0, found.center), found.low, found.high, len(values))
