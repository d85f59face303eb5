"""Raw passes to constants, on replies made from known peaks: the peaks must come back."""

import math

import pytest

from harness.builder.quantize.levels import LEVELS
from harness.core.errors import MeasurementError
from harness.estimator.calibration import rates
from harness.estimator.calibration.constants import (
    ATTENTION,
    ATTENTION_CALL,
    CHOICE,
    ELEMENTWISE,
    OPERATOR_CALL,
    SESSION_CALL,
    Sizes,
    attention_flop,
    call_name,
    elementwise_bytes,
    held_bytes,
    kernel_levels,
    kernel_name,
    matrix_flop,
    values_per_flop,
)
from harness.estimator.calibration.rates import net
from harness.results.calibration import RatePoint

SIZES = Sizes(rounds=3, rows=(1, 16), depths=(0, 128, 1024), prompts=(64,))
CALL_S, OPERATOR_S, ATTENTION_S, FLOP_PER_S = 10e-6, 1e-6, 4e-6, 50e9
VALUE_S, KERNEL_S, READ_PER_S, MOVED_PER_S, CHOICE_PER_S = 5e-10, 3e-6, 20e9, 30e9, 8e9
# From memory everything is slower: a matrix call, an operator, an attention, the kernel itself.
COLD_KERNEL_S, COLD_OPERATOR_S, COLD_ATTENTION_S, COLD_FLOP_PER_S = 7e-6, 2e-6, 20e-6, 30e9
OPERATORS, STACK_OPERATORS = (32, 128, 384), 3000
INT4 = LEVELS["int4"]


def shot(seconds, **shape):
    return {"pass_ns": [seconds * 1e9], **shape}


def attend(layers, tokens, seen):
    fixed_s = CALL_S + layers * (OPERATOR_S + ATTENTION_S)
    work_s = attention_flop(SIZES, layers, tokens, seen) / FLOP_PER_S if seen > 1 else 0.0
    return shot(fixed_s + work_s, layers=layers, tokens=tokens, seen=seen)


def multiply(graph, rows):
    large, small = 2.0 * SIZES.hidden * SIZES.wide, 2.0 * SIZES.small**2
    count, flop, call_s, rate = {
        "pair": (2, large, KERNEL_S, FLOP_PER_S),
        "few": (SIZES.few, small, KERNEL_S, FLOP_PER_S),
        "chain": (SIZES.chain_matrices(INT4), large, COLD_KERNEL_S, COLD_FLOP_PER_S),
        "small": (SIZES.small_matrices(INT4), small, COLD_KERNEL_S, COLD_FLOP_PER_S),
    }[graph]
    taken_s = VALUE_S * rows * small_values() if graph == "few" and rows > 1 else 0.0
    one_s = call_s + flop * rows / rate + taken_s
    return shot(CALL_S + count * one_s, graph=graph, rows=rows)


def small_values():
    """Of a small matrix and one row: what it takes in beyond large ones for as many operations."""
    return SIZES.small - 2.0 * SIZES.small**2 * values_per_flop(SIZES)


def operate(count, rows):
    work_s = elementwise_bytes(count, rows, SIZES.operator_width) / MOVED_PER_S
    return shot(CALL_S + count * OPERATOR_S + work_s, layers=count // 4, rows=rows)


def stack(graph):
    small_s = COLD_KERNEL_S + 2.0 * SIZES.small**2 / COLD_FLOP_PER_S
    if graph == "operators":
        moved_s = elementwise_bytes(1, 1, SIZES.small) / MOVED_PER_S
        others_s = STACK_OPERATORS * (COLD_OPERATOR_S + moved_s)
        return shot(CALL_S + SIZES.stack_matrices * small_s + others_s, graph=graph)
    layer_s = 2 * COLD_KERNEL_S + 2.0 * SIZES.stack_layer_weights / COLD_FLOP_PER_S
    return shot(
        CALL_S + SIZES.stack_layers * (layer_s + COLD_OPERATOR_S + COLD_ATTENTION_S), graph=graph
    )


def machine(factor=1.0):
    """Replies of one process of a machine with the constants above, all times scaled."""
    sizes = SIZES.bandwidth_bytes
    replies = {
        "bandwidth": [shot(size / READ_PER_S, size_bytes=size) for size in sizes],
        "operators": [operate(32, 1), operate(128, 1), operate(128, 128), operate(384, 1)],
        "stacks": [stack("operators"), stack("attention")],
        ATTENTION: [*(attend(8, 1, depth + 1) for depth in SIZES.depths), attend(2, 64, 64)],
        CHOICE: [shot(4e6 / CHOICE_PER_S, size_bytes=4e6)],
        "block-4-32": [
            *(multiply("pair", 1), multiply("pair", 16), multiply("chain", 1)),
            *(multiply("few", 1), multiply("few", 16), multiply("small", 1)),
        ],
    }
    for shots in replies.values():
        for one in shots:
            one["pass_ns"] = [ns * factor for ns in one["pass_ns"]]
    return replies


def constants(*factors):
    processes = [machine(factor) for factor in factors]
    replies = {probe: [process[probe] for process in processes] for probe in processes[0]}
    built = {"operators": OPERATORS, "stack_operators": STACK_OPERATORS}
    return rates.constants_of(replies, SIZES, ("int4",), built, threads=2)


def test_every_rate_of_a_known_machine_comes_back():
    found = constants(1.0, 1.0, 1.0)
    assert [point.rate_per_s for point in found.bandwidth] == pytest.approx([20e9] * 5)
    assert found.rates[ELEMENTWISE][0].rate_per_s == pytest.approx(MOVED_PER_S)
    assert found.rates[CHOICE][0].rate_per_s == pytest.approx(CHOICE_PER_S)
    pair, rows, chain = found.rates["block-4-32"]
    assert (pair.rate_per_s, rows.rate_per_s) == pytest.approx((FLOP_PER_S, FLOP_PER_S))
    assert chain.rate_per_s == pytest.approx(COLD_FLOP_PER_S)
    attention = [point.rate_per_s for point in found.rates[ATTENTION]]
    assert attention == pytest.approx([FLOP_PER_S] * len(attention))
    assert [point.rows for point in found.rates["block-4-32"]] == [1, 16, 1]
    assert [point.rows for point in found.rates[ATTENTION]] == [1, 1, 64]
    assert found.measured
    assert found.threads == 2


def test_every_fixed_time_comes_back_in_a_cache_and_from_memory():
    """1 µs an operator, 3 a matrix, 4 an attention, 10 a run; from memory 2, 7 and 20."""
    found = constants(1.0, 1.0, 1.0)
    for name, hot_s, cold_s in (
        (OPERATOR_CALL, OPERATOR_S, COLD_OPERATOR_S),
        (call_name("block-4-32"), KERNEL_S, COLD_KERNEL_S),
        (ATTENTION_CALL, ATTENTION_S, COLD_ATTENTION_S),
    ):
        hot, cold = found.rates[name]
        assert (1 / hot.rate_per_s, 1 / cold.rate_per_s) == pytest.approx((hot_s, cold_s))
        assert hot.size_bytes < cold.size_bytes
    assert found.times[SESSION_CALL].seconds == pytest.approx(CALL_S)
    assert found.operator_s == pytest.approx(COLD_OPERATOR_S)


def test_what_matrices_take_in_on_top_of_products_comes_back():
    """Half a nanosecond a value; nothing below 0 where small matrices are no slower."""
    found = constants(1.0, 1.0, 1.0)
    (point,) = found.inputs["block-4-32"]
    assert (1 / point.rate_per_s, point.rows) == pytest.approx((VALUE_S, 16))
    assert found.inputs_per_s("block-4-32", 64) == pytest.approx(1 / VALUE_S)
    assert found.inputs_per_s("channel-8", 64) is None
    replies = [[multiply("pair", 16), shot(1e-6, graph="few", rows=16)]] * 2
    call, rate = RatePoint(1e9), (RatePoint(FLOP_PER_S, rows=16),)
    (point,) = rates.kernel_inputs(replies, SIZES, 0.0, call, rate)
    assert point.rate_per_s == pytest.approx(1 / rates.LEAST_VALUE_S)
    assert rates.kernel_inputs([replies[0][:1]] * 2, SIZES, 0.0, call, rate) == ()


def test_interval_is_over_processes():
    """One process 10 % slower, one 10 % faster: the centre stays, the interval holds both."""
    found = constants(1.0, 1.1, 1 / 1.1)
    point = found.bandwidth[0]
    assert point.rate_per_s == pytest.approx(20e9)
    assert point.low_per_s < 20e9 / 1.1
    assert point.high_per_s > 20e9 * 1.1
    assert point.processes == 3
    operator = found.rates[OPERATOR_CALL][0]
    assert operator.low_per_s < 1 / OPERATOR_S < operator.high_per_s


def test_one_slow_pass_does_not_move_a_process():
    """The median of 1, 1 and 50 ms is 1 ms."""
    reply = [{"size_bytes": 1000, "pass_ns": [1e6, 50e6, 1e6]}]
    assert rates.bandwidth_curve([reply, reply])[0].rate_per_s == pytest.approx(1e6)


def test_fixed_costs_take_at_most_half_of_a_pass():
    """A pass shorter than its known fixed costs still gives a finite rate above 0."""
    assert net(10.0, 4.0) == 6.0
    assert net(10.0, 40.0) == 5.0


def test_more_work_in_less_time_is_refused():
    reply = [shot(seconds, rows=1) for seconds in (3e-6, 2e-6, 1e-6)]
    with pytest.raises(MeasurementError, match="more work took less time"):
        rates.hot_times([reply, reply], SIZES, OPERATORS, RatePoint(1e9))


def test_one_process_has_no_interval():
    with pytest.raises(MeasurementError, match="interval"):
        constants(1.0)


def test_held_bytes_are_those_the_estimates_count():
    """Both rooms count alike, pair by pair: 4 bytes a float, scales and block sums included."""
    from harness.estimator import memory
    from harness.models.specs.structure import ParameterGroup, Role

    for level in LEVELS.values():
        shapes = ((SIZES.wide, SIZES.hidden), (SIZES.hidden, SIZES.wide))
        groups = [ParameterGroup("matrix", Role.BODY, *shape) for shape in shapes]
        expected = sum(memory.held_copy_bytes(group, level, memory.ORT_CPU) for group in groups)
        assert held_bytes(SIZES, level, 2) == expected


def test_kernels_have_the_names_that_the_estimates_ask_for():
    """int8: layers per channel, its head in blocks; between int4 matrices calls are timed."""
    assert list(kernel_levels(("int8",))) == ["block-4-32", "block-8-32", "channel-8"]
    for name, level in kernel_levels(tuple(LEVELS)).items():
        assert kernel_name(level.body) == name


def test_long_chain_holds_what_was_asked():
    for level in LEVELS.values():
        count = SIZES.chain_matrices(level)
        assert count % 2 == 0
        assert held_bytes(SIZES, level, count) >= SIZES.chain_bytes
        assert math.isfinite(matrix_flop(SIZES, count, 1))
