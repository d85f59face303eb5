"""The sum of terms, rates between measured points, and memory, by hand."""

from math import exp

import pytest
from msgspec import structs

from harness.builder.quantize.levels import LEVELS
from harness.core.errors import MeasurementError
from harness.estimator.answer import (
    cost_per_million_tokens,
    floor_j,
    memory_pj_per_byte,
    modelled_j,
    prefill_tok_s,
    rule_of_thumb_decode_tok_s,
)
from harness.estimator.calibration.constants import (
    ATTENTION_CALL,
    OPERATOR_CALL,
    QUICK,
    SESSION_CALL,
    values_per_flop,
)
from harness.estimator.memory import ORT_CPU, peak_memory
from harness.estimator.timing import decode_step, prefill, timed
from harness.estimator.work import Pass, Work, pass_work
from harness.models.catalog.catalog import catalog_model
from harness.results.calibration import Constants, Drift, RatePoint, TimePoint, rate_at

# HardwarePeaks measured on two cores of an EPYC with onnxruntime 1.31.1, one thread: read rate as
# kernels reach it, matrix rates at 512 rows, attention, and 79 us per layer of eleven nodes.
MEASURED = Constants(
    "measured",
    (RatePoint(27.8e9),),
    {
        "float-32": (RatePoint(204e9),),
        "channel-8": (RatePoint(620e9),),
        "block-8-32": (RatePoint(265e9),),
        "block-4-32": (RatePoint(235e9),),
        "block-4-128": (RatePoint(340e9),),
        "attention": (RatePoint(75e9),),
    },
    operator_s=79e-6 / 11,
    threads=1,
)


def test_a_term_is_the_longer_of_reading_and_computing():
    """1e9 bytes at 10 GB/s: 0.1 s; 4e9 flop at 20e9/s: 0.2 s; 50 calls of 1 ms: 0.05 s."""
    constants = Constants("", (RatePoint(10e9),), {"k": (RatePoint(20e9),)}, operator_s=1e-3)
    work = (
        Work("reads", "k", 1, read_bytes=1e9, flop=1e9, useful_flop=1e9),
        Work("computes", "k", 1, read_bytes=1e9, flop=4e9, useful_flop=3e9),
        Work("calls", OPERATOR_CALL, 1, calls=50),
    )
    whole = timed("pass", work, constants)
    assert [term.seconds for term in whole.terms] == pytest.approx([0.1, 0.2, 0.05])
    assert [term.bound for term in whole.terms] == ["memory", "compute", "overhead"]
    assert whole.seconds == pytest.approx(0.35)
    assert whole.dominating.work.name == "computes"
    assert whole.bound == "compute"
    assert whole.flop == 4e9
    assert whole.compute_known


def test_a_kernel_without_a_rate_is_said_to_be_unknown():
    whole = timed("pass", (Work("m", "k", 1, 1e9, 1e12, 1e12),), Constants("", (RatePoint(1e9),)))
    assert whole.seconds == 1.0
    assert not whole.compute_known


def test_times_are_scaled_by_how_the_machine_has_drifted():
    """Memory at half, products at 0.8, calls at 0.5 of what they were when it was calibrated.

    Of 0.2 s that a kernel took while it read, memory explains half: 0.1 / 0.5 + 0.1 / 0.8 = 0.325.
    A prompt: the longer of 0.1 / 0.5 and 0.4 / 0.8. 50 calls of 1 ms: 0.1 s. A stream: 0.1 / 0.5.
    """
    rates = {"k": (RatePoint(20e9, processes=4),), "e": (RatePoint(10e9),)}
    steady = Constants("", (RatePoint(10e9),), rates, operator_s=1e-3)
    drifted = structs.replace(steady, drift=Drift(0.5, 0.8, 0.5, 3))
    work = (
        Work("step", "k", 1, read_bytes=1e9, flop=4e9),
        Work("prompt", "k", 64, read_bytes=1e9, flop=8e9),
        Work("calls", OPERATOR_CALL, 1, calls=50),
        Work("stream", "none", 1, read_bytes=1e9),
        Work("elementwise", "e", 1, read_bytes=1e9),
    )
    before, after = (timed("pass", work, known).terms for known in (steady, drifted))
    # The stream of all reads 3e9 bytes: 0.1 s each.
    assert [term.seconds for term in before] == pytest.approx([0.2, 0.4, 0.05, 0.1, 0.1])
    assert [term.seconds for term in after] == pytest.approx([0.325, 0.5, 0.1, 0.2, 0.125])
    assert [term.bound for term in after] == [term.bound for term in before]


def test_narrow_matrices_take_more_in_for_as_many_products():
    """1e9 values beyond those of the calibration's shape at 2e9 a second: half a second more.

    As many as there, or fewer: nothing. A step reads its weights meanwhile, and a kernel that was
    not asked takes nothing in on top.
    """
    rates = {name: (RatePoint(1e9, processes=4),) for name in ("k", "other")}
    inputs = {"k": (RatePoint(2e9, rows=64),)}
    constants = Constants("", (RatePoint(1e12),), rates, inputs=inputs)
    alike = 1e9 * values_per_flop(QUICK)
    works = (
        Work("alike", "k", 64, flop=1e9, values=alike),
        Work("narrow", "k", 64, flop=1e9, values=alike + 1e9),
        Work("wide", "k", 64, flop=1e9, values=alike / 2),
        Work("step", "k", 1, flop=1e9, values=alike + 1e9),
        Work("other", "other", 64, flop=1e9, values=alike + 1e9),
    )
    found = timed("pass", works, constants).terms
    assert [term.seconds for term in found] == pytest.approx([1.0, 1.5, 1.0, 1.0, 1.0])


def test_attention_of_a_token_multiplies_by_query_heads_and_reads_by_key_heads():
    """Calibrated with two query heads a key head: a flop per byte of a float cache.

    In a cache 10 Gflop/s, from memory 5: reading takes 1 / 5 - 1 / 10 = 0.1 ns a byte. 1e9 flop
    over 1e9 bytes: 0.1 + 0.1 s, as calibrated; over a quarter of the bytes, of eight query heads
    each, 0.1 + 0.025 s. Integers of 8 bits have 4 flop a byte: 0.1 + 0.4 · 0.25.
    """
    points = (RatePoint(10e9, 1e6, processes=4), RatePoint(5e9, 1e8, processes=4))
    rates = {"attention": points, "attention-int8": points, "k": (RatePoint(1e12),)}
    constants = Constants("", (RatePoint(20e9),), rates)
    weights = Work("body", "k", 1, read_bytes=1e9, flop=1.0)

    def seconds(kernel, held_bytes, rows=1):
        work = Work("attention", kernel, rows, 2e9, 1e9, 1e9, set_bytes=held_bytes)
        return timed("pass", (weights, work), constants).terms[1].seconds

    assert seconds("attention", 1e9) == pytest.approx(0.2)
    assert seconds("attention", 0.25e9) == pytest.approx(0.125)
    assert seconds("attention-int8", 0.25e9) == pytest.approx(0.2)
    assert seconds("attention-int8", 0.0625e9) == pytest.approx(0.125)


def test_a_working_set_beyond_a_cache_is_read_from_memory():
    """In a cache 40 GB/s, beyond it 10: 0.1 ns a byte there, none of a set that the cache holds.

    At 16 GB/s, 1 / 16 - 1 / 40 of 1 / 10 - 1 / 40, half of the way: 0.05 ns. Calibrated attention
    that never left the cache, at 10 Gflop/s, says nothing of it.
    """
    curve = tuple(RatePoint(rate, size) for rate, size in ((40e9, 1e7), (16e9, 1e8), (10e9, 4e8)))
    rates = {"attention": (RatePoint(10e9, 1e7, processes=4),), "k": (RatePoint(1e12),)}
    constants = Constants("", curve, rates)

    def seconds(weights_bytes):
        weights = Work("body", "k", 1, read_bytes=weights_bytes, flop=1.0)
        work = Work("attention", "attention", 1, 0.0, 1e9, 1e9, set_bytes=1e6)
        return timed("pass", (weights, work), constants).terms[1].seconds - 0.1

    assert seconds(1e6) == pytest.approx(0.0)
    assert seconds(1e8) == pytest.approx(1e6 * 0.05e-9)
    assert seconds(1e9) == pytest.approx(1e6 * 0.1e-9)


def test_a_prompt_meets_what_was_cached_before_it_twice_as_fast():
    """Rates of 10 and 30 Gflop/s at 64 and 512 tokens; 1e9 flop of 3e9 behind: 0.2 s + 1 / 60 s."""
    points = (RatePoint(10e9, rows=64, processes=4), RatePoint(30e9, rows=512, processes=4))
    constants = Constants("", (RatePoint(1e12),), {"attention": points})
    alone = Work("attention", "attention", 64, flop=2e9)
    behind = Work("attention", "attention", 64, flop=3e9, past_flop=1e9)
    found = timed("pass", (alone, behind), constants).terms
    assert [term.seconds for term in found] == pytest.approx([0.2, 0.2 + 1 / 60])


def test_the_last_columns_of_blocks_take_longer_in_prompts():
    """1e9 flop and as good as 0.2e9 more for its tail at 1e9 a second; a step waits for weights."""
    constants = Constants("", (RatePoint(1e12),), {"k": (RatePoint(1e9, processes=4),)})
    works = [Work("body", "k", rows, flop=1e9, tail_flop=0.2e9) for rows in (64, 1)]
    found = timed("pass", works, constants).terms
    assert [term.seconds for term in found] == pytest.approx([1.2, 1.0])


def test_only_blocks_have_tails_where_inputs_are_no_multiple_of_128():
    """smollm2-135m: 576 inputs have 64 left, of 4 bits three times as long; 1536 have none."""
    model = catalog_model("smollm2-135m").structure
    found = {}
    for level in ("fp32", "int8", "int4", "int8-block"):
        works = pass_work(model, LEVELS[level], ORT_CPU, Pass(64))
        body = next(work for work in works if work.name == "body")
        found[level] = body.tail_flop / body.flop
    down = 576 * 1536 / (576 * 960 + 576 * 576 + 3 * 576 * 1536)
    assert found["fp32"] == found["int8"] == 0.0
    assert found["int4"] == pytest.approx((1 - down) * 2 * 64 / 576)
    assert found["int8-block"] == pytest.approx((1 - down) * 0.5 * 64 / 576)
    whole = pass_work(catalog_model("qwen3-0.6b").structure, LEVELS["int4"], ORT_CPU, Pass(64))
    assert sum(work.tail_flop for work in whole) == 0.0


def test_fixed_costs_that_were_measured_are_added():
    """30 layers: 30 attention calls of 10 us and one run of 100 us make 400 us."""
    model = catalog_model("smollm2-135m").structure
    times = {
        ATTENTION_CALL: TimePoint(10e-6, 9e-6, 11e-6, 3),
        SESSION_CALL: TimePoint(100e-6, 90e-6, 110e-6, 3),
    }
    with_times = Constants("", MEASURED.bandwidth, MEASURED.rates, MEASURED.operator_s, 1, times)
    without = decode_step(model, LEVELS["int4"], MEASURED)
    longer = decode_step(model, LEVELS["int4"], with_times)
    assert longer.seconds - without.seconds == pytest.approx(400e-6)
    assert len(longer.terms) == len(without.terms) + 2


def test_rates_are_interpolated_in_logs_and_held_outside():
    """Halfway between 1e6 and 1e8 bytes in log lies 1e7: sqrt(100 * 25) = 50 GB/s."""
    cache, memory = RatePoint(100e9, 1e6), RatePoint(25e9, 1e8)
    assert rate_at((memory, cache), 1, 1e7) == pytest.approx(50e9)
    assert rate_at((memory, cache), 1, 1.0) == pytest.approx(100e9)
    assert rate_at((memory, cache), 1, 1e12) == pytest.approx(25e9)


def test_rates_are_interpolated_over_rows_too():
    """At 1 row 10, at 100 rows 1000 flop/s: 10 rows give 100."""
    points = (RatePoint(10.0, rows=1), RatePoint(1000.0, rows=100))
    assert rate_at(points, 10, 1.0) == pytest.approx(100.0)
    assert rate_at(points, 512, 1.0) == pytest.approx(1000.0)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(MeasurementError):
        RatePoint(rate)
    with pytest.raises(MeasurementError):
        rate_at((), 1, 1.0)


@pytest.mark.parametrize(
    ("name", "level", "at_0", "at_512"),
    [
        ("smollm2-135m", "fp32", 47.2, 44.8),
        ("smollm2-135m", "int8-block", 109.0, 90.3),
        ("smollm2-135m", "int4", 171.0, 123.3),
        ("qwen2.5-0.5b", "fp32", 13.7, 11.5),
        ("qwen2.5-0.5b", "int8", 49.3, 44.0),
        ("qwen2.5-0.5b", "int4-b128", 76.6, 64.5),
        ("llama-3.2-1b", "fp32", 5.6, 5.6),
        ("llama-3.2-1b", "int8", 20.6, 20.6),
        ("llama-3.2-1b", "int4", 28.3, 25.5),
    ],
)
def test_measured_decode_rates_are_met(name, level, at_0, at_512):
    """Rates someone measured in one process on one thread; three constants for all: within 15 %."""
    model = catalog_model(name).structure
    for depth, measured in ((0, at_0), (512, at_512)):
        seconds = decode_step(model, LEVELS[level], MEASURED, depth_tokens=depth).seconds
        assert 1 / seconds == pytest.approx(measured, rel=0.15)


@pytest.mark.parametrize(
    ("name", "level", "measured_mib"),
    [
        ("smollm2-135m", "fp32", 685),
        ("smollm2-135m", "int4", 194),
        ("qwen2.5-0.5b", "fp32", 2484),
        ("qwen2.5-0.5b", "int4", 542),
        ("llama-3.2-1b", "int4", 1267),
    ],
)
def test_measured_peaks_are_met(name, level, measured_mib):
    """Peaks after a prompt of 512, over 45 MiB of a process with onnxruntime: within 10 %."""
    model = catalog_model(name).structure
    peak = peak_memory(model, LEVELS[level], prompt_tokens=512)
    assert peak.peak_bytes / 2**20 - 45 == pytest.approx(measured_mib, rel=0.10)


def test_memory_parts_by_hand():
    """smollm2 int4: 106,203,456 - 61*576 weights of 0.75 byte, scales mapped beside."""
    model = catalog_model("smollm2-135m").structure
    memory = peak_memory(model, LEVELS["int4"], prompt_tokens=10, depth_tokens=80, gen_tokens=10)
    table, norms = 49152 * 576, 61 * 576
    body = 106_203_456 - norms
    blocks = (body + table) / 32
    assert memory.part_bytes("weights as held") == pytest.approx(
        0.75 * (body + table) + 1.2 * blocks + 4 * norms
    )
    assert memory.part_bytes("mapped file") == 4 * blocks
    running = sum(memory.part_bytes(name) for name in ("cache", "activations", "arena slack"))
    stored = 0.625 * table
    looked_up = stored * (1 - exp(-10 * (0.625 * 576 + 65_536) / stored))
    assert memory.part_bytes("rows looked up") == pytest.approx(looked_up)
    beyond = memory.part_bytes("loading, beyond the run")
    assert beyond == pytest.approx(max(0, 0.5 * table - running - looked_up))
    assert memory.part_bytes("cache") == 100 * 2 * 30 * 3 * 64 * 4
    assert memory.part_bytes("rotary tables") == 8192 * 64 * 4
    assert memory.part_bytes("runtime") == ORT_CPU.base_bytes
    assert memory.part_bytes("no such part") == 0


@pytest.mark.parametrize(
    ("name", "table_bytes"),
    [("lfm2-350m", 32_768 * 64 * 4), ("llama-3.2-1b", 32_768 * 64 * 4), ("granite-4.0-h-350m", 0)],
)
def test_rotary_tables_are_those_that_are_built(name, table_bytes):
    """Graphs hold 32,768 positions at most, and none where no layer turns by them."""
    model = catalog_model(name).structure
    memory = peak_memory(model, LEVELS["int4"], prompt_tokens=64)
    assert memory.part_bytes("rotary tables") == table_bytes


def test_states_are_part_of_the_peak():
    """Three sequences of 20,201,472 bytes."""
    model = catalog_model("qwen3.5-0.8b").structure
    memory = peak_memory(model, LEVELS["int4"], prompt_tokens=64, batch=3)
    assert memory.part_bytes("states") == 3 * 20_201_472


def test_an_encoder_has_no_cache_term():
    model = catalog_model("bert-base-uncased").structure
    memory = peak_memory(model, LEVELS["fp32"], prompt_tokens=128)
    assert memory.part_bytes("cache") == 0
    assert prefill(model, LEVELS["fp32"], MEASURED, prompt_tokens=128).name == "encode"


def test_energy_by_hand():
    """1e9 bytes of LPDDR at 32 pJ and 1e9 flop at 0.11 pJ: 0.03211 J; 10 W for 2 s: 20 J."""
    assert memory_pj_per_byte("LPDDR5X-9600, 64 bit") == 32
    assert memory_pj_per_byte("core rope") is None
    assert floor_j(1e9, 1e9, 32) == pytest.approx(0.03211)
    assert modelled_j(10, 2) == 20


def test_cost_by_hand():
    """3.6 J a token: a million tokens are 1 kWh."""
    assert cost_per_million_tokens(3.6, 0.25) == pytest.approx(0.25)


def test_rules_of_thumb_by_hand():
    """1e9 weights: 2e12 flop/s give 1000 tok/s; 5e8 bytes at 10 GB/s and 55 %: 11 tok/s."""
    assert prefill_tok_s(1_000_000_000, 2e12) == pytest.approx(1000)
    assert rule_of_thumb_decode_tok_s(1_000_000_000, 4, 10e9) == pytest.approx(11.0)


def test_a_timed_kernel_is_not_bound_by_memory_twice():
    """A rate that was measured while reading holds alone at one row; a prompt still reads."""
    points = (RatePoint(20e9, processes=5), RatePoint(80e9, rows=64, processes=5))
    constants = Constants("measured", (RatePoint(5e9, processes=5),), {"k": points})
    step, prompt = (Work("m", "k", rows, 1e9, 2e9 * rows, 2e9 * rows) for rows in (1, 64))
    decode = timed("step", (step,), constants).terms[0]
    assert (decode.seconds, decode.memory_s) == pytest.approx((0.1, 0.2))
    assert decode.bound == "memory"
    assert timed("prefill", (prompt,), constants).seconds == pytest.approx(128e9 / 80e9)
    sheet = Constants("sheet", (RatePoint(5e9),), {"k": (RatePoint(20e9),)})
    assert timed("step", (step,), sheet).seconds == 0.2


def test_calls_of_a_kernel_take_their_own_time():
    """30 layers of 5 matrices and a head: 151 calls of 3 us; every other operator 1 us."""
    model, level = catalog_model("smollm2-135m").structure, LEVELS["int4"]
    times = {"block-4-32 call": TimePoint(3e-6, 2e-6, 4e-6, 5)}
    plain = Constants("", MEASURED.bandwidth, MEASURED.rates, 1e-6)
    kernels = Constants("", MEASURED.bandwidth, MEASURED.rates, 1e-6, times=times)
    slower = decode_step(model, level, kernels).seconds - decode_step(model, level, plain).seconds
    assert slower == pytest.approx(151 * 2e-6)
