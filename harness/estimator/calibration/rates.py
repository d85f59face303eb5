"""Raw passes of the probes to constants with intervals: pure arithmetic, no clock and no process.

A reply is the list that one fresh process gave (see probe_worker.py); the median of its passes
stands for the process, and intervals are taken over processes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.builder.quantize.cache import CACHES, CacheLevel
from harness.core.units import MIB
from harness.estimator.calibration.constants import (
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
from harness.estimator.calibration.passes import (
    LEAST_CALL_S,
    Reply,
    calls_of,
    line,
    net,
    rate_point,
    seconds_of,
    time_point,
)
from harness.estimator.calibration.products import kernel_calls, kernel_rates, stack_calls
from harness.estimator.calibration.shapes import (
    Sizes,
    attention_flop,
    cache_bytes,
    elementwise_bytes,
    integer_caches,
    kernel_levels,
)

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
    for kernel, level in kernel_levels(levels).items():
        calls = kernel_calls(replies[kernel], sizes, level, session_s)
        rates[call_name(kernel)] = calls
        rates[kernel] = kernel_rates(replies[kernel], sizes, level, session_s, calls)
    operator, attention = stack_calls(
        replies[STACKS], sizes, built["stack_operators"], session_s, rates
    )
    rates[OPERATOR_CALL] = (calls_of(hot[OPERATOR_CALL], MIB), operator)
    hot_attention = attention_call(replies[ATTENTION], hot)
    rates[ATTENTION_CALL] = (calls_of(hot_attention, MIB), attention)
    rates[ATTENTION] = attention_rates(replies[ATTENTION], sizes, hot, hot_attention)
    for name, cache in integer_caches(caches).items():
        rates[name] = attention_rates(replies[name], sizes, hot, hot_attention, cache)
    return Constants(
        basis="measured here",
        bandwidth=bandwidth_curve(replies[BANDWIDTH]),
        rates=rates,
        operator_s=1.0 / operator.rate_per_s,
        threads=threads,
        times={SESSION_CALL: hot[SESSION_CALL]},
    )


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
