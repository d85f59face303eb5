"""Passes of matrix chains -> the rate of each kernel and the time of a call. Pure."""

from collections.abc import Mapping, Sequence

from harness.builder.quantize.levels import QuantLevel, find_level
from harness.estimator.calibration.constants import ELEMENTWISE, RatePoint, call_name
from harness.estimator.calibration.passes import (
    Reply,
    calls_of,
    net,
    rate_point,
    seconds_of,
    time_point,
)
from harness.estimator.calibration.shapes import (
    STACK_LEVEL,
    Sizes,
    elementwise_bytes,
    held_bytes,
    kernel_name,
    matrix_flop,
    small_bytes,
)


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
        if graph not in ("pair", "chain"):
            continue
        matrices = _matrices(graph, sizes, level)
        call = calls[graph == "chain"]
        fixed_s = session_s + matrices / call.rate_per_s
        flop = matrix_flop(sizes, matrices, rows)
        rates = [flop / net(seconds_of(shot), fixed_s) for shot in shots]
        points.append(rate_point(rates, held_bytes(sizes, level, matrices), rows))
    return tuple(points)


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
    flop_per_s = rates[kernel][-1].rate_per_s
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
    return sizes.chain_matrices(level) if graph == "chain" else sizes.small_matrices(level)


def _intercept(sizes: Sizes, small_s: float, large_s: float) -> float:
    """Return the time of a matrix without weights, from one small and one large matrix."""
    small, large = sizes.small**2, sizes.hidden * sizes.wide
    return (large * small_s - small * large_s) / (large - small)
