"""The estimates of one measured cell."""

from dataclasses import replace

import pytest
from msgspec import structs

from harness.builder.quantize.layout import stored_bytes
from harness.builder.quantize.levels import CACHES, LEVELS
from harness.estimator.cell import CellLengths, bandwidth_only, cell_estimate, whole_cache
from harness.estimator.rules import HardwarePeaks, rule_values
from harness.estimator.timing import decode_step, prefill
from harness.estimator.utilisation import mbu, mfu
from harness.models.catalog.catalog import catalog_model, load_spec
from harness.results.calibration import Constants, RatePoint

MODEL = catalog_model("smollm2-135m").structure
FP32 = LEVELS["fp32"]
FULL = Constants(
    "measured",
    (RatePoint(30e9),),
    {"float-32": (RatePoint(200e9),), "attention": (RatePoint(75e9),)},
    operator_s=7e-6,
)


def test_a_prefill_has_prefill_metrics_only():
    cell = cell_estimate(MODEL, FP32, FULL, CellLengths(512, 0))
    assert set(cell.values) == {
        *("prefill_ms", "prefill_tok_s", "ttft_ms", "peak_rss_bytes", "weights_bytes")
    }
    assert cell.values["prefill_tok_s"] == pytest.approx(512e3 / cell.values["prefill_ms"])
    assert cell.values["weights_bytes"] == stored_bytes(load_spec("smollm2-135m"), FP32)


def test_chunks_of_a_prompt_are_passes_at_their_depths():
    """300 as 128, 128 and 44: the sum of three passes, the memory of the widest."""
    cell = cell_estimate(MODEL, FP32, FULL, CellLengths(300, 0, 16, chunk_tokens=128))
    passes = [
        prefill(MODEL, FP32, FULL, prompt_tokens=tokens, depth_tokens=depth)
        for tokens, depth in ((128, 16), (128, 144), (44, 272))
    ]
    expected_ms = 1e3 * sum(one.seconds for one in passes)
    assert cell.values["prefill_ms"] == pytest.approx(expected_ms)
    names = [term.work.name for term in cell.times["prefill"].terms]
    assert len(names) == len(passes[0].terms)
    assert cell.times["prefill"].flop == pytest.approx(sum(one.flop for one in passes))
    whole = cell_estimate(MODEL, FP32, FULL, CellLengths(300, 0, 16))
    assert cell.memory.part_bytes("cache") == whole.memory.part_bytes("cache")
    assert cell.memory.part_bytes("activations") < whole.memory.part_bytes("activations") / 2


def test_a_cache_is_as_large_as_what_is_allocated():
    """smollm2-135m: 30 layers x 2 x 3 heads x 64 x 4 bytes = 46,080 a position, of 8,192 in all."""
    usual = CellLengths(128, 16)
    cell = cell_estimate(MODEL, FP32, FULL, replace(usual, capacity_tokens=1024))
    plain = cell_estimate(MODEL, FP32, FULL, usual)
    assert cell.memory.part_bytes("cache") == 46_080 * 1024
    assert cell.memory.peak_bytes - plain.memory.peak_bytes == 46_080 * (1024 - 144)
    assert cell.values["ttft_ms"] == plain.values["ttft_ms"]
    whole = whole_cache(MODEL, FP32, usual)
    assert (whole.context_tokens, whole.allocated_tokens) == (8192, 144)
    assert whole.more_bytes == 46_080 * (8192 - 144)
    assert whole.peak_bytes == plain.memory.peak_bytes + whole.more_bytes
    assert whole_cache(MODEL, FP32, replace(usual, capacity_tokens=8192)) is None
    assert whole_cache(MODEL, FP32, replace(usual, written_out=1)) is None
    assert whole_cache(catalog_model("all-minilm-l6-v2").structure, FP32, CellLengths(9, 0)) is None


def test_a_turn_is_a_request_behind_its_depth_and_a_prompt_from_nothing():
    lengths = CellLengths(128, 64, 384, rereads=True)
    turn = cell_estimate(MODEL, FP32, FULL, lengths)
    kept = prefill(MODEL, FP32, FULL, prompt_tokens=128, depth_tokens=384)
    whole = prefill(MODEL, FP32, FULL, prompt_tokens=512, depth_tokens=0)
    assert turn.values["ttft_ms"] == pytest.approx(1e3 * kept.seconds)
    assert turn.values["reread_ttft_ms"] == pytest.approx(1e3 * whole.seconds)
    request = cell_estimate(MODEL, FP32, FULL, replace(lengths, rereads=False))
    assert turn.memory == request.memory
    assert "reread_ttft_ms" not in request.values
    chunks = cell_estimate(MODEL, FP32, FULL, replace(lengths, chunk_tokens=256)).values
    halves = [prefill(MODEL, FP32, FULL, prompt_tokens=256, depth_tokens=d) for d in (0, 256)]
    assert chunks["reread_ttft_ms"] == pytest.approx(1e3 * sum(one.seconds for one in halves))
    rule = rule_values(MODEL.parameters, 32, lengths, HardwarePeaks(30e9, FULL), 1.0)
    assert rule["reread_ttft_ms"] == pytest.approx(4 * rule["ttft_ms"])


def test_a_decode_is_the_middle_step():
    """128 steps from depth 1024: the 64th has 1024 + 63 tokens before it; that is the mean."""
    cell = cell_estimate(MODEL, FP32, FULL, CellLengths(0, 128, 1024, batch=2))
    steps = [
        decode_step(MODEL, FP32, FULL, depth_tokens=1024 + done, batch=2).seconds
        for done in range(128)
    ]
    assert set(cell.values) == {"tpot_ms", "decode_tok_s", "peak_rss_bytes", "weights_bytes"}
    assert cell.values["tpot_ms"] == pytest.approx(sum(steps) / 128 * 1e3, rel=1e-3)
    assert cell.values["decode_tok_s"] == pytest.approx(2e3 / cell.values["tpot_ms"])


def test_a_request_adds_up():
    """The first of 65 tokens comes with the prefill: 64 steps follow."""
    values = cell_estimate(MODEL, FP32, FULL, CellLengths(128, 65)).values
    assert values["e2e_ms"] == pytest.approx(values["ttft_ms"] + 64 * values["tpot_ms"])


def test_one_token_has_no_rate():
    """Decode tok/s leaves out the first token: with one token there is none."""
    values = cell_estimate(MODEL, FP32, FULL, CellLengths(128, 1)).values
    assert "decode_tok_s" not in values
    assert values["e2e_ms"] == values["ttft_ms"]


def test_a_bandwidth_alone_bounds_decoding_but_no_prefill():
    constants = bandwidth_only(30e9)
    assert "decode_tok_s" in cell_estimate(MODEL, FP32, constants, CellLengths(0, 8)).values
    assert "prefill_ms" not in cell_estimate(MODEL, FP32, constants, CellLengths(8, 0)).values
    assert "30 GB/s" in constants.basis


def test_utilisation_by_hand():
    """Everything that is held is read in the time that 30 GB/s need: mbu 1, at twice that 0.5."""
    step = decode_step(MODEL, FP32, FULL)
    held = 4 * (134_515_008 - 61 * 576) + 2 * 30 * 9 * 64 * 4
    assert mbu(step, held / 30e9, FULL) == pytest.approx(1.0)
    assert mbu(step, 2 * held / 30e9, FULL) == pytest.approx(0.5)
    whole = prefill(MODEL, FP32, FULL, prompt_tokens=1)
    flop = 2 * (134_515_008 - 61 * 576) + 4 * 30 * 9 * 64
    assert mfu(whole, 1.0, flop) == pytest.approx(1.0)


@pytest.mark.parametrize(("cache", "bits"), [("int8", 8), ("int4", 4)])
def test_an_integer_cache_counts_by_its_bits(cache, bits):
    """smollm2-135m: 2 · 30 · 3 · 64 = 11,520 values a token; attention reads one per query head."""
    stored = CACHES[cache]
    lengths = CellLengths(0, 32, 1024, cache=stored)
    constants = bandwidth_only(30e9)
    cell = cell_estimate(MODEL, FP32, constants, lengths)
    assert cell.memory.part_bytes("cache") == 11_520 * 1057 * bits / 8
    (term,) = (t for t in cell.times["decode step"].terms if t.work.name == "attention")
    assert term.work.kernel == f"attention-{cache}"
    assert term.work.read_bytes == 3 * 11_520 * (1024 + 15 + 1) * bits / 8
    floats = cell_estimate(MODEL, FP32, constants, CellLengths(0, 32, 1024))
    assert cell.values["decode_tok_s"] > floats.values["decode_tok_s"]
    assert floats.memory.peak_bytes - cell.memory.peak_bytes == 11_520 * 1057 * (32 - bits) / 8


def test_attention_over_integers_has_its_own_rate_or_none():
    """Measured for floats alone, times over an int8 cache are not known; bytes are."""
    int8 = CACHES["int8"]
    measured = {
        "float-32": (RatePoint(200e9, processes=3),),
        "attention": (RatePoint(75e9, processes=3),),
    }
    constants = structs.replace(FULL, rates=measured)
    request = CellLengths(64, 8, cache=int8)
    unknown = cell_estimate(MODEL, FP32, constants, request).values
    assert set(unknown) == {"peak_rss_bytes", "weights_bytes"}
    rates = {**measured, "attention-int8": (RatePoint(150e9, processes=3),)}
    known = cell_estimate(MODEL, FP32, structs.replace(FULL, rates=rates), request).values
    floats = cell_estimate(MODEL, FP32, constants, CellLengths(64, 8)).values
    assert known["tpot_ms"] < floats["tpot_ms"]
    assert known["ttft_ms"] < floats["ttft_ms"]


def test_bandwidth_use_counts_an_integer_cache_by_its_bytes():
    """The same step time over fewer bytes is a smaller share of the bandwidth."""
    steps = [
        decode_step(MODEL, FP32, FULL, depth_tokens=4096, cache=CACHES[name])
        for name in ("fp32", "int8", "int4")
    ]
    shares = [mbu(step, 0.02, FULL, file_bytes=0.0) for step in steps]
    assert shares[1] == pytest.approx(shares[0] / 4)
    assert shares[2] == pytest.approx(shares[0] / 8)
