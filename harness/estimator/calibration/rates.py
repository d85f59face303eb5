"""Raw passes of the probes to constants with intervals: arithmetic, no clock and no process.

A reply is the list that one fresh process gave (see probe_worker.py); the median of its passes
stands for the process, and intervals are taken over processes.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from harness.builder.quantize.levels import CACHES, CacheLevel, QuantLevel, find_level
from harness.core.errors import MeasurementError
from harness.core.units import MIB, NS_PER_S
from harness.estimator.calibration.constants import (
    ATTENTION,
    ATTENTION_CALL,
    CHOICE,
    ELEMENTWISE,
    OPERATOR_CALL,
    SESSION_CALL,
    STACK_LEVEL,
    Sizes,
    attention_flop,
    cache_bytes,
    caches_apart,
    call_name,
    elementwise_bytes,
    held_bytes,
    kernel_levels,
    kernel_name,
    matrix_flop,
    small_bytes,
    values_per_flop,
)
from harness.results.calibration import Constants, RatePoint, TimePoint, rate_at
from harness.stats.intervals import log_t_interval, t_interval

Reply = Sequence[Mapping[str, Any]]
# Known fixed costs are taken off a pass, but never more than this share of it: past that the
# shape is too small to say anything about a rate.
MOST_OVERHEAD = 0.5
LEAST_CALL_S = 1e-8  # a few tens of cycles: no call takes less
LEAST_VALUE_S = 1e-12  # a value that is taken in for nothing: noise around 0


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


def kernel_calls(
    replies: Sequence[Reply], sizes: Sizes, level: QuantLevel, session_s: float
) -> tuple[RatePoint, RatePoint]:
    """Return calls/s of a matrix kernel at one row, in a cache and from memory.

    A line through small and large matrices of a chain of each kind, met at no weights:

        a matrix = (pass - session call) / matrices = call + weights · time of a weight

    A call from memory takes longer: its first bytes are waited for, and what it needs beside its
    weights has been pushed out of the cache by those of others.
    """
    hot, cold = [], []
    for reply in replies:
        each = {
            shot["graph"]: (seconds_of(shot) - session_s) / _matrices(shot["graph"], sizes, level)
            for shot in reply
            if shot["rows"] == 1
        }
        hot.append(_intercept(sizes, each["few"], each["pair"]))
        cold.append(_intercept(sizes, each["small"], each["chain"]))
    return (
        calls_of(time_point(hot), small_bytes(sizes, level, sizes.few)),
        calls_of(time_point(cold), small_bytes(sizes, level, sizes.small_matrices(level))),
    )


def kernel_rates(
    replies: Sequence[Reply],
    sizes: Sizes,
    level: QuantLevel,
    session_s: float,
    calls: tuple[RatePoint, RatePoint],
) -> tuple[RatePoint, ...]:
    """Return flop / time of every shape of large matrices, session call and calls taken off.

    rate = 2 · matrices · rows · hidden · wide / (pass - session call - matrices · call)
    """
    points = []
    for shots in zip(*replies, strict=True):
        rows, graph = shots[0]["rows"], shots[0]["graph"]
        if graph != "pair" and graph not in sizes.long_chains:
            continue
        matrices = _matrices(graph, sizes, level)
        call = calls[graph != "pair"]
        fixed_s = session_s + matrices / call.rate_per_s
        flop = matrix_flop(sizes, matrices, rows)
        rates = [flop / net(seconds_of(shot), fixed_s) for shot in shots]
        points.append(rate_point(rates, held_bytes(sizes, level, matrices), rows))
    return tuple(points)


def kernel_inputs(
    replies: Sequence[Reply],
    sizes: Sizes,
    session_s: float,
    call: RatePoint,
    rates: Sequence[RatePoint],
) -> tuple[RatePoint, ...]:
    """Return values/s that matrices take in on top of their products, whatever the rows.

    What small matrices take longer than the rate of large ones says, over the values that they
    take in beyond what large ones do for as many operations:

        s a value = (pass - session call - matrices · call - flop / rate)
                    / (values - flop · values a flop of the large ones)

    The median over the numbers of rows, then over processes: differences of like times scatter.

    Kernels of blocks round a prompt's values to 8 bits before they multiply, on one thread whatever
    the session has, so that the time does not fall with threads as that of products does.
    """
    costs = [
        median(_value_costs(reply, sizes, session_s, call, rates))
        for reply in replies
        if any(shot["graph"] == "few" and shot["rows"] > 1 for shot in reply)
    ]
    if not costs:
        return ()
    found, rows = t_interval(costs), min(point.rows for point in rates if point.rows > 1)
    ends = (max(s, LEAST_VALUE_S) for s in (median(costs), found.low, found.high))
    center_s, low_s, high_s = ends
    return (RatePoint(1 / center_s, 1.0, rows, 1 / high_s, 1 / low_s, len(costs)),)


def _value_costs(
    reply: Reply, sizes: Sizes, session_s: float, call: RatePoint, rates: Sequence[RatePoint]
) -> Iterator[float]:
    """Yield the seconds of a value at each number of rows that small matrices ran with."""
    for shot in reply:
        rows = shot["rows"]
        if shot["graph"] != "few" or rows == 1:
            continue
        flop = 2.0 * sizes.few * rows * sizes.small**2
        values = sizes.few * rows * sizes.small - flop * values_per_flop(sizes)
        fixed_s = session_s + sizes.few / call.rate_per_s
        yield (net(seconds_of(shot), fixed_s) - flop / rate_at(rates, rows, 1.0)) / values


def stack_calls(
    replies: Sequence[Reply],
    sizes: Sizes,
    operators: int,
    session_s: float,
    rates: Mapping[str, Sequence[RatePoint]],
) -> tuple[RatePoint, RatePoint]:
    """Return calls/s of an operator and of an attention between matrices read from memory.

        operator = (pass - session call - matrices) / operators - bytes of its vectors / rate
        attention = (pass - session call - matrices) / layers - operator

    `matrices` is their number · call + their flop / rate, both from memory.
    """
    kernel = kernel_name(find_level(STACK_LEVEL).body)
    call_s = 1.0 / rates[call_name(kernel)][-1].rate_per_s
    steps = [point for point in rates[kernel] if point.rows == 1]
    alike = min(steps, key=lambda point: abs(point.size_bytes - sizes.stack_bytes))
    flop_per_s = alike.rate_per_s
    moved_s = elementwise_bytes(1, 1, sizes.small) / rates[ELEMENTWISE][0].rate_per_s
    small_s = call_s + 2.0 * sizes.small**2 / flop_per_s
    layer_s = 2 * call_s + 2.0 * sizes.stack_layer_weights / flop_per_s
    passes = [{shot["graph"]: seconds_of(shot) - session_s for shot in reply} for reply in replies]
    spare_s = [one["operators"] - sizes.stack_matrices * small_s for one in passes]
    operator = time_point([net(spare / operators, moved_s) for spare in spare_s])
    attention = [
        one["attention"] / sizes.stack_layers - layer_s - operator.seconds for one in passes
    ]
    stack_bytes = sizes.stack_bytes
    return calls_of(operator, stack_bytes), calls_of(time_point(attention), stack_bytes)


def _matrices(graph: str, sizes: Sizes, level: QuantLevel) -> int:
    """Return how many matrices a chain has."""
    if graph in ("pair", "few"):
        return {"pair": 2, "few": sizes.few}[graph]
    if graph in sizes.long_chains:
        return sizes.chain_matrices(level, graph)
    return sizes.small_matrices(level)


def _intercept(sizes: Sizes, small_s: float, large_s: float) -> float:
    """Return the time of a matrix without weights, from one small and one large matrix."""
    small, large = sizes.small**2, sizes.hidden * sizes.wide
    return (large * small_s - small * large_s) / (large - small)


MEASURED_HERE = "measured here"  # the basis of such constants
BANDWIDTH, OPERATORS, STACKS = "bandwidth", "operators", "stacks"


def constants_of(
    replies: Mapping[str, Sequence[Reply]],
    sizes: Sizes,
    levels: tuple[str, ...],
    built: Mapping[str, Any],
    threads: int,
    caches: tuple[str, ...] = (),
) -> Constants:
    """Return the constants that the replies of all probes hold.

    Args:
        replies: by probe: BANDWIDTH, OPERATORS, STACKS, ATTENTION, CHOICE, names of kernels and
            of attentions over caches of integers; one reply per process each.
        sizes: that they were measured with.
        levels: whose kernels were measured.
        built: operators in each of the graphs, as the builder counted them.
        threads: that they were measured with.
        caches: cache levels of integers that were measured.

    Raises:
        MeasurementError: fewer than two processes, or passes that no machine gives.
    """
    elementwise = elementwise_rate(replies[OPERATORS], sizes, built["operators"])
    hot = hot_times(replies[OPERATORS], sizes, built["operators"], elementwise)
    session_s = hot[SESSION_CALL].seconds
    rates = {ELEMENTWISE: (elementwise,), CHOICE: bandwidth_curve(replies[CHOICE])}
    rates |= matrix_rates(replies, sizes, levels, session_s)
    inputs = {
        kernel: kernel_inputs(
            replies[kernel], sizes, session_s, rates[call_name(kernel)][0], rates[kernel]
        )
        for kernel in kernel_levels(levels)
    }
    operator, attention = stack_calls(
        replies[STACKS], sizes, built["stack_operators"], session_s, rates
    )
    rates[OPERATOR_CALL] = (calls_of(hot[OPERATOR_CALL], MIB), operator)
    hot_attention = attention_call(replies[ATTENTION], hot)
    rates[ATTENTION_CALL] = (calls_of(hot_attention, MIB), attention)
    rates[ATTENTION] = attention_rates(replies[ATTENTION], sizes, hot, hot_attention)
    for name, cache in caches_apart(caches).items():
        rates[name] = attention_rates(replies[name], sizes, hot, hot_attention, cache)
    return Constants(
        basis=MEASURED_HERE,
        bandwidth=bandwidth_curve(replies[BANDWIDTH]),
        rates=rates,
        operator_s=1.0 / operator.rate_per_s,
        threads=threads,
        times={SESSION_CALL: hot[SESSION_CALL]},
        inputs=inputs,
    )


def matrix_rates(
    replies: Mapping[str, Sequence[Reply]], sizes: Sizes, levels: tuple[str, ...], session_s: float
) -> dict[str, tuple[RatePoint, ...]]:
    """Return the rate of every kernel of these levels, and of its calls.

    Args:
        replies: by kernel, one per process each.
        sizes: that they were measured with.
        levels: whose kernels were measured.
        session_s: the fixed time of a run.
    """
    rates: dict[str, tuple[RatePoint, ...]] = {}
    for kernel, level in kernel_levels(levels).items():
        calls = kernel_calls(replies[kernel], sizes, level, session_s)
        rates[call_name(kernel)] = calls
        rates[kernel] = kernel_rates(replies[kernel], sizes, level, session_s, calls)
    return rates


def bandwidth_curve(replies: Sequence[Reply]) -> tuple[RatePoint, ...]:
    """Return bytes / median pass of every working set."""
    return tuple(
        rate_point(
            [shot["size_bytes"] / seconds_of(shot) for shot in shots], shots[0]["size_bytes"]
        )
        for shots in zip(*replies, strict=True)
    )


def elementwise_rate(replies: Sequence[Reply], sizes: Sizes, operators: Sequence[int]) -> RatePoint:
    """Return the bytes/s of norms, sigmoids and products: what many rows take more than one row.

    rate = bytes of (rows - 1) rows / (pass of many rows - pass of one)
    """
    middle = operators[len(operators) // 2]
    moved = elementwise_bytes(middle, sizes.operator_rows - 1, sizes.operator_width)
    rates = []
    for reply in replies:
        many = next(shot for shot in reply if shot["rows"] > 1)
        one = next(s for s in reply if s["rows"] == 1 and s["layers"] == many["layers"])
        rates.append(moved / max(seconds_of(many) - seconds_of(one), LEAST_CALL_S))
    return rate_point(rates, moved / middle, sizes.operator_rows)


def hot_times(
    replies: Sequence[Reply], sizes: Sizes, operators: Sequence[int], elementwise: RatePoint
) -> dict[str, TimePoint]:
    """Return the time of an operator whose vectors are in the cache, and of a session call.

    Slope and intercept of a line over the chains:

        pass = session call + operators · (operator call + bytes of its vectors / elementwise rate)
    """
    work_s = elementwise_bytes(1, 1, sizes.operator_width) / elementwise.rate_per_s
    lines = [
        line(operators, [seconds_of(shot) for shot in reply if shot["rows"] == 1])
        for reply in replies
    ]
    return {
        SESSION_CALL: time_point([intercept for intercept, _ in lines]),
        OPERATOR_CALL: time_point([net(slope, work_s) for _, slope in lines]),
    }


def attention_call(replies: Sequence[Reply], hot: Mapping[str, TimePoint]) -> TimePoint:
    """Return what one attention takes before it reads a cache worth speaking of.

        (pass at the least depth - session call) / layers - operator call

    Not the intercept of a line over the depths: a short cache stays in a fast one, a long one does
    not, and the line through both meets depth 0 below 0.
    """
    fixed_s, operator_s = hot[SESSION_CALL].seconds, hot[OPERATOR_CALL].seconds
    least = [next(shot for shot in reply if shot["tokens"] == 1) for reply in replies]
    return time_point([(seconds_of(s) - fixed_s) / s["layers"] - operator_s for s in least])


def attention_rates(
    replies: Sequence[Reply],
    sizes: Sizes,
    hot: Mapping[str, TimePoint],
    call: TimePoint,
    cache: CacheLevel = CACHES["fp32"],
) -> tuple[RatePoint, ...]:
    """Return the rate at which one token meets each depth, and each prompt itself.

        rate = flop / (pass - session call - layers · (operator call + attention call))

    Masked pairs of a prompt are counted: T² of them. The call is that of a float cache for every
    cache: an estimate adds the same, so what another takes longer stays in its rate.
    """
    layer_s = hot[OPERATOR_CALL].seconds + call.seconds
    points = []
    for shots in list(zip(*replies, strict=True))[1:]:  # the first one is the fixed time
        layers, tokens, seen = shots[0]["layers"], shots[0]["tokens"], shots[0]["seen"]
        fixed_s = hot[SESSION_CALL].seconds + layers * layer_s
        flop = attention_flop(sizes, layers, tokens, seen)
        rates = [flop / net(seconds_of(shot), fixed_s) for shot in shots]
        points.append(rate_point(rates, cache_bytes(sizes, layers, seen, cache), tokens))
    return tuple(points)
