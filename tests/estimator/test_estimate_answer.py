"""Estimates for any model on any device: what must hold for all of them."""

import json
import math
import random
from dataclasses import replace
from itertools import pairwise

import pytest

from harness.api import estimate
from harness.builder.quantize.levels import LEVELS
from harness.core.errors import HarnessError, UsageError
from harness.estimator.flat import flat_values
from harness.estimator.query import nominal_level
from harness.models.catalog.catalog import catalog_names
from harness.models.catalog.devices import Engine, catalog_device, device_keys
from harness.models.catalog.target import counted_target
from harness.models.specs.structure import Role
from harness.runner.models import find_model

COUNTS = [f"published_{of}_{what}" for of in ("device", "class") for what in ("rows", "inside")]


def centre(ends):
    """The middle of a range: its width follows from what is known of a device."""
    return math.sqrt(ends.low * ends.high)


def numbers(result):
    """Every number of an estimate by name."""
    values = flat_values(result).items()
    return {k: v for k, v in values if isinstance(v, int | float) and not isinstance(v, bool)}


@pytest.mark.parametrize("model", catalog_names())
def test_every_model_is_sane_on_devices(model):
    """Positive, finite, ranges in order, the floor under the model, memory above the weights.

    A table that is only looked up stays in the file: its weights need not be resident. Which
    devices is drawn anew for each model, so that together the models meet all of them.
    """
    choose = random.Random(model)
    for device in choose.sample(device_keys(), 12):
        level, depth = choose.choice(list(LEVELS)), choose.choice([0, 100])
        check_sane(estimate(model, level, device=device, depth=depth, price_per_kwh=0.2))


def test_every_device_is_sane():
    choose = random.Random(22)
    for device in device_keys():
        level = choose.choice(list(LEVELS))
        check_sane(estimate("smollm2-135m", level, device=device, price_per_kwh=0.2))


def check_sane(result):
    """What holds for every estimate of a model with a structure."""
    found = numbers(result)
    zeros = {"depth_tokens", "kv_bytes_per_token", *COUNTS}
    assert [k for k, v in found.items() if not (v > 0 or k in zeros) or not math.isfinite(v)] == []
    for name in found:
        if name.endswith("_low"):
            assert found[name] <= found[name.removesuffix("low") + "high"]
    assert result.energy.floor_j <= result.energy.modelled_j.low
    assert (result.speeds.decode_tok_s is None) != result.case.decodes
    groups = result.case.target.structure.groups
    tables = sum(group.parameters for group in groups if group.role is Role.TABLE)
    resident_bytes = result.sizes.weights_bytes - 4 * tables
    assert result.sizes.memory.peak_bytes > resident_bytes


def test_more_parameters_are_never_lighter_or_faster():
    """Seeded pairs of counts from 1e6 to 1e15."""
    choose = random.Random(7)
    for _ in range(200):
        small, large = sorted(round(10 ** choose.uniform(6, 15)) for _ in range(2))
        level, device = choose.choice(list(LEVELS)), choose.choice(device_keys())
        first, second = (
            estimate(counted_target(count, "x"), level, device=device) for count in (small, large)
        )
        assert first.sizes.memory.peak_bytes <= second.sizes.memory.peak_bytes
        assert centre(first.speeds.step_s) <= centre(second.speeds.step_s)
        assert centre(first.speeds.ttft_s) <= centre(second.speeds.ttft_s)
        assert first.energy.floor_j <= second.energy.floor_j


@pytest.mark.parametrize("model", ["llama-3.2-1b", "mixtral-8x22b", "gemma-3-1b", "whisper-tiny"])
def test_deeper_is_never_faster_or_lighter(model):
    """Depths from 0 to far beyond the context."""
    for device in ("rpi5", "rtx-4060"):
        results = [
            estimate(model, "int4", device=device, depth=depth)
            for depth in (0, 1, 100, 511, 512, 513, 10_000, 1_000_000)
        ]
        for first, second in pairwise(results):
            assert centre(first.speeds.step_s) <= centre(second.speeds.step_s)
            assert centre(first.speeds.ttft_s) <= centre(second.speeds.ttft_s)
            assert first.sizes.memory.peak_bytes <= second.sizes.memory.peak_bytes
        assert results[0].sizes.memory.peak_bytes < results[-1].sizes.memory.peak_bytes


@pytest.mark.parametrize("model", ["smollm2-135m", "qwen3-30b-a3b", "lfm2-1.2b"])
def test_more_bits_are_never_lighter_or_faster(model):
    """Block-wise 4 and 8 bit, then float 32 bit; of a bare count 4, 8, 16 and 32."""
    for device in ("rpi5", "m4"):
        results = [estimate(model, name, device=device) for name in ("int4", "int8-block", "fp32")]
        for first, second in pairwise(results):
            assert centre(first.speeds.step_s) < centre(second.speeds.step_s)
            assert first.sizes.memory.peak_bytes < second.sizes.memory.peak_bytes


def test_longer_prompts_and_larger_batches_are_never_quicker():
    results = [
        estimate("qwen2.5-0.5b", "int4", device="m4", prompt=prompt, batch=batch)
        for prompt, batch in ((1, 1), (2, 1), (128, 1), (128, 2), (512, 2), (512, 8))
    ]
    for first, second in pairwise(results):
        assert centre(first.speeds.ttft_s) < centre(second.speeds.ttft_s)
        assert first.sizes.memory.peak_bytes < second.sizes.memory.peak_bytes


def test_thirteen_billion_on_a_snapdragon_x_elite():
    """w4a16 is 4.25 bit: 13e9 * 4.25 / 8 = 6.9e9 bytes, which its NPU reads at a third of 135 GB/s.

    Published there: 6.87 to 12.3 tokens a second at 7 and 8 billion.
    """
    result = estimate(counted_target(13_000_000_000, "13B"), "int4", device="snapdragon-x-elite")
    assert result.case.engine.kind == "npu"
    assert result.sizes.weights_bytes == 13e9 * 4.25 / 8
    assert result.sizes.fits
    assert 3 < result.speeds.decode_tok_s.low < result.speeds.decode_tok_s.high < 9
    assert result.naive_decode_tok_s == pytest.approx(135.2e9 / 6.5e9)


@pytest.mark.parametrize(("memory_gb", "fits"), [(8, True), (12, True), (16, True), (5, False)])
def test_ten_billion_at_four_bit_on_phones(memory_gb, fits):
    """10e9 * 4.25 / 8 = 5.3e9 bytes and a runtime; without a system 8 GB are enough, 5 are not."""
    target = counted_target(10_000_000_000, "10B")
    result = estimate(
        target, "int4", device="galaxy-s24", memory_bytes=memory_gb * 10**9, os_share=0.0
    )
    assert result.sizes.fits is fits


def test_the_share_of_the_system_decides_what_fits():
    """A quarter of 6 GB is the system's: 4.5 GB hold no 5.3e9 bytes."""
    target = counted_target(10_000_000_000, "10B")
    result = estimate(target, "int4", device="galaxy-s24", memory_bytes=6 * 10**9)
    assert result.sizes.available_bytes == 4.5e9
    assert not result.sizes.fits
    assert any("does not fit" in note for note in result.notes)


def test_a_closed_model_answers_from_its_stated_count():
    result = estimate("gpt-4", "int4", device="galaxy-s24")
    assert result.case.target.basis == "stated, unofficial"
    assert result.case.target.parameters == 1_760_000_000_000
    assert not result.sizes.fits
    assert any("layers are typical of the count" in note for note in result.notes)
    assert any("unofficial" in note for note in result.notes)


def test_a_name_of_the_documents_leads_to_its_catalog_model():
    assert find_model("SOLAR").target.name == "solar-10.7b"
    assert find_model("phi-3").target.name == "phi-3-mini-4k"


def test_a_cache_is_as_large_as_it_is_allocated_and_no_speed_changes():
    """llama-3.2-1b: 16 layers x 2 x 8 heads x 64 x 2 bytes = 32,768 a position, of 8,192."""
    plain = estimate("llama-3.2-1b", "int4", device="rpi5")
    whole = estimate("llama-3.2-1b", "int4", device="rpi5", capacity=8192)
    assert whole.sizes.memory.part_bytes("cache") == 32_768 * 8192
    assert whole.sizes.memory.peak_bytes > plain.sizes.memory.peak_bytes + 32_768 * 6000
    assert whole.speeds == plain.speeds
    for model, capacity, problem in (
        ("llama-3.2-1b", 100, "need 128 positions"),
        ("llama-3.2-1b", 131_073, "takes 131072 tokens at most"),
        ("all-minilm-l6-v2", 512, "keeps no cache"),
        ("7B", 512, "a bare count"),
    ):
        with pytest.raises(UsageError, match=problem):
            estimate(model, "int4", device="rpi5", capacity=capacity)


def test_beyond_the_context_is_a_warning_with_the_number():
    result = estimate("smollm2-135m", "int4", device="rpi5", depth=8100)
    assert any("8,192" in note for note in result.notes)
    assert not any("8,192" in n for n in estimate("smollm2-135m", "int4", device="rpi5").notes)


def test_an_engine_without_a_peak_gives_no_time_to_first_token(monkeypatch):
    """Where no source states one: null, with the reason, never 0."""
    device = catalog_device("rpi5")
    peakless = replace(device, engine=(Engine("cpu", "cores", "arm-cpu"),))
    monkeypatch.setattr("harness.estimator.answer.catalog_device", lambda name: peakless)
    result = estimate("smollm2-135m", "int4", device="rpi5", engine="cpu")
    assert result.speeds.ttft_s is None
    assert result.speeds.decode_tok_s is not None
    assert any("no compute peak" in note for note in result.notes)


def test_an_encoder_on_an_engine_without_a_peak_is_refused_with_those_that_have_one():
    """All that it does is multiply: there is no time to tell."""
    with pytest.raises(UsageError, match="no compute peak of the npu of dimensity-8300") as raised:
        estimate("bge-base-en-v1.5", "int4", device="dimensity-8300", engine="npu")
    assert raised.value.fix == "--engine gpu or cpu"


def test_values_that_stand_in_no_source_are_told():
    notes = estimate("smollm2-135m", "int4", device="rpi5").notes
    assert "data sheet values recalled, not read: power" in notes


def test_no_price_no_cost():
    assert estimate("smollm2-135m", "int4", device="rpi5").energy.cost_per_million_tokens is None


def test_every_note_of_the_device_is_shown():
    assert any("34 GB/s" in note for note in estimate("smollm2-135m", "int4", device="rpi5").notes)


@pytest.mark.parametrize(
    "options",
    [
        {"depth": -1},
        {"prompt": 0},
        {"batch": 0},
        {"depth": 10**30},
        {"os_share": 1.0},
        {"os_share": float("nan")},
        {"memory_bytes": -1},
        {"memory_bytes": 0},
        {"price_per_kwh": 1e308},
        {"engine": "npu"},
        {"price_per_kwh": -1.0},
        {"price_per_kwh": float("nan")},
    ],
)
def test_impossible_questions_are_refused(options):
    with pytest.raises(UsageError):
        estimate("smollm2-135m", "int4", device="rpi5", **options)


@pytest.mark.parametrize(
    ("model", "named"),
    [("gpt-44", "gpt-4"), ("llama-3.2-1", "llama-3.2-1b"), ("sora", "bench estimate sora")],
)
def test_unknown_models_name_the_way_out(model, named):
    with pytest.raises(HarnessError) as raised:
        estimate(model, "int4", device="rpi5")
    assert named in raised.value.fix


def test_bits_outside_the_table_are_refused():
    assert nominal_level(4).weight_bits == 4
    for bits in (0, 3, 64, -4):
        with pytest.raises(UsageError, match="bits"):
            nominal_level(bits)


def config(**changes):
    """A config.json of a Llama, changed."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": 49152,
        "hidden_size": 576,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "intermediate_size": 1536,
        "tie_word_embeddings": True,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        **changes,
    }


def test_a_config_of_a_known_class_is_exact(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config()))
    target = find_model(str(tmp_path)).target
    assert target.parameters == 134_515_008
    assert target.structure is not None


def test_a_config_of_an_unknown_class_gives_a_count_with_its_basis(tmp_path):
    """The class is not built here, but its sizes give the same count as a Llama's."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config(architectures=["NewForCausalLM"])))
    target = find_model(str(path)).target
    assert target.parameters == 134_515_008 - 61 * 576
    assert target.structure is None
    assert "assumed" in target.basis
    assert any("NewForCausalLM" in note for note in target.notes)


@pytest.mark.parametrize("text", ["{", "[]", '{"architectures": ["X"]}', "{}"])
def test_a_useless_config_is_refused(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(HarnessError):
        _ = find_model(str(path)).target


def test_a_fixed_input_is_never_beyond_the_context():
    """CLIP's text takes 77 tokens, but its image decides: a prompt of 128 means nothing to it."""
    for model in ("clip-vit-b-32", "whisper-tiny", "vit-small-patch16-224"):
        assert not any("beyond" in note for note in estimate(model, "int8", device="rpi5").notes)


def test_memory_of_a_card_is_what_it_is():
    """A phone may carry less than its chip can; a graphics card carries what it is sold with."""
    phone, card = (estimate("smollm2-135m", "int4", device=d) for d in ("galaxy-s24", "rtx-4060"))
    assert any("--memory" in note for note in phone.notes)
    assert not any("--memory" in note for note in card.notes)
