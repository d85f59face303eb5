"""One level against its reference, end to end through what the child is asked and answers."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from msgspec import to_builtins

from harness.core.errors import EXIT_USAGE, UsageError, WorkerError
from harness.core.units import GIB
from harness.machine.process.worker import Worker
from harness.models.configs.config import spec_from_config
from harness.models.weights.source import ModelSource, resolve_model
from harness.results.entries import TextBytes
from harness.runner.quality import measure
from harness.runner.quality.chunks import ChunkPlan
from harness.runner.quality.measure import (
    NUMERIC_ONLY,
    check_own_reference,
    check_reference,
    measure_quality,
    text_bytes_per_token,
)
from harness.store.cache import ensure_artifact
from tests.runner.quality.built_models import changed_folder

PLAN = ChunkPlan(chunk_tokens=24, chunks=20)
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
}


def seeded_source(**changes):
    return ModelSource("seeded", "seeded", spec_from_config(CONFIG | changes, "seeded"), None)


@pytest.fixture(scope="module")
def build(shared_cache):
    return lambda source, level, seed=0: ensure_artifact(source, level, shared_cache, seed)


@pytest.fixture(scope="module")
def bytelm(build):
    source = resolve_model("bytelm")
    return measure_quality(source, build(source, "fp32"), build(source, "int8"), plan=PLAN)


def test_a_trained_byte_model_has_every_metric(bytelm):
    assert (bytelm.model, bytelm.level, bytelm.label) == ("bytelm", "int8", "")
    assert (bytelm.text, bytelm.tokenization) == ("heldout.txt", "bytes")
    assert bytelm.chunk_tokens == 24
    assert bytelm.invalid is None
    for path in (bytelm.prefill, bytelm.decode):
        assert (path.tokens, path.chunks) == (480, 20)
        for mean in (path.kld_nats, path.top1_agreement, path.nll_delta, path.perplexity):
            assert mean.low <= mean.value <= mean.high
        assert 0 < path.kld_nats.value < path.kld_p99_nats
        assert 0.9 < path.top1_agreement.value <= 1
        bits = path.bits_per_byte.value
        assert path.perplexity.value == pytest.approx(2**bits)
        assert path.reference_perplexity == pytest.approx(2**path.reference_bits_per_byte)
        assert 1 < path.reference_bits_per_byte < 4
    assert (bytelm.prefill.path, bytelm.decode.path) == ("prefill", "decode")


def test_a_record_is_plain_data(bytelm):
    assert json.loads(json.dumps(to_builtins(bytelm), allow_nan=False))["prefill"]["chunks"] == 20


def test_seeded_weights_are_labelled(build):
    """Random tokens, since there is no tokenizer; the same numbers, under their label."""
    source = seeded_source()
    quality = measure_quality(source, build(source, "fp32"), build(source, "int4"), plan=PLAN)
    assert quality.label == NUMERIC_ONLY
    assert (quality.text, quality.tokenization) == ("seeded random token ids", "none")
    assert quality.prefill.kld_nats.value > 0
    assert quality.prefill.bits_per_byte is None
    assert quality.decode.reference_bits_per_byte is None


def test_the_reference_is_as_good_as_itself(build):
    source = seeded_source()
    reference = build(source, "fp32")
    quality = measure_quality(source, reference, reference, plan=PLAN)
    assert quality.prefill.kld_nats.value == quality.prefill.kld_nats.high == 0
    assert quality.prefill.nll_delta.value == 0
    assert quality.decode.kld_nats.high < 1e-8
    assert quality.decode.top1_agreement.value == 1


def test_a_level_without_finite_logits_is_invalid(build, tmp_path):
    """The values of layer 1 are near 1e5 in float32, and beyond the largest float16, 65,504."""

    def change(name, tensor):
        return tensor * np.float32(1e5 if "layers.1.self_attn.v_proj" in name else 1)

    source = resolve_model(str(changed_folder(tmp_path / "hot", "bytelm", change)))
    quality = measure_quality(source, build(source, "fp32"), build(source, "fp16"), plan=PLAN)
    assert quality.prefill is None
    assert quality.decode is None
    assert "the level's logits are not finite (prefill path, chunk 0" in quality.invalid
    assert "layer 1" in quality.invalid


def test_another_level_is_no_reference(build):
    source = seeded_source()
    with pytest.raises(UsageError, match="at int4 cannot be the fp32 reference"):
        check_own_reference(build(source, "int4"), build(source, "int4"))


def test_other_weights_are_no_reference(build):
    source = seeded_source()
    with pytest.raises(UsageError, match="seeded-v1-1") as caught:
        check_own_reference(build(source, "fp32", seed=1), build(source, "int4"))
    assert "one seed" in caught.value.fix


def test_another_architecture_is_no_reference(build):
    level = build(seeded_source(), "int4")
    other = replace(level, level="fp32", spec=seeded_source(rms_norm_eps=1e-6).spec)
    with pytest.raises(UsageError, match="not the fp32 reference"):
        check_own_reference(other, level)


def test_a_reference_of_the_same_tokens_may_have_other_weights(build):
    source, other = seeded_source(), seeded_source(num_hidden_layers=3)
    reference = build(other, "fp32")
    found = measure_quality(source, reference, build(source, "int4"), other=other, plan=PLAN)
    assert (found.reference, found.label) == ("seeded", NUMERIC_ONLY)
    own = measure_quality(source, build(source, "fp32"), build(source, "int4"), plan=PLAN)
    assert own.reference is None
    assert found.prefill.kld_nats.value > own.prefill.kld_nats.value > 0


def test_a_reference_with_another_tokenizer_is_refused(make_tiny, tmp_path):
    folders = [make_tiny(tmp_path / name) for name in ("one", "two")]
    (folders[0] / "tokenizer.json").write_text("{}")
    one, two = (resolve_model(str(folder)) for folder in folders)
    with pytest.raises(UsageError, match="another tokenizer than two"):
        check_reference(one, two)
    with pytest.raises(UsageError, match="300 words, two 256"):
        check_reference(seeded_source(), two)


def test_a_plan_is_refused_before_any_child(build, monkeypatch):
    monkeypatch.setattr("harness.runner.quality.measure.Worker", None)
    source = seeded_source()
    with pytest.raises(UsageError, match="takes 128 at once"):
        measure_quality(source, build(source, "fp32"), build(source, "int4"), plan=ChunkPlan(129))


def test_a_short_text_keeps_its_exit_code(build, tmp_path, monkeypatch):
    """The child's own words and code come through the pipe."""
    monkeypatch.setattr(measure, "Worker", Worker)
    source = resolve_model("bytelm")
    (tmp_path / "short.txt").write_text("x" * 480, encoding="utf-8")
    reference, text = build(source, "fp32"), str(tmp_path / "short.txt")
    with pytest.raises(WorkerError, match=r"short\.txt has 480 tokens.*481") as caught:
        measure_quality(source, reference, reference, plan=PLAN, text=text)
    assert caught.value.exit_code == EXIT_USAGE
    assert caught.value.fix


def test_a_exported_tokenizer_keeps_its_exit_code(build, make_tiny, tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    folder = make_tiny(tmp_path / "tiny")
    vocabulary = {f"t{index}": index for index in range(500)}
    model = tokenizers.models.WordLevel(vocabulary, unk_token="t0")
    tokenizers.Tokenizer(model).save(str(folder / "tokenizer.json"))
    source = resolve_model(str(folder))
    reference = build(source, "fp32")
    with pytest.raises(WorkerError, match="ids up to 499") as caught:
        measure_quality(source, reference, reference, plan=PLAN)
    assert caught.value.exit_code == EXIT_USAGE


def test_a_folder_with_a_tokenizer_is_read_by_it(build, make_tiny, tmp_path):
    """A vocabulary of words: perplexity, and no bits per byte."""
    tokenizers = pytest.importorskip("tokenizers")
    folder = make_tiny(tmp_path / "tiny")
    vocabulary = {"the": 0, "of": 1, "<unk>": 255}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    source = resolve_model(str(folder))
    quality = measure_quality(source, build(source, "fp32"), build(source, "int4"), plan=PLAN)
    assert (quality.text, quality.tokenization) == ("english", "tokenizer.json")
    assert quality.label == ""
    assert quality.prefill.bits_per_byte is None
    assert math.isfinite(quality.prefill.perplexity.value)


def test_bytes_per_token_of_a_source():
    assert text_bytes_per_token(resolve_model("bytelm")) == TextBytes(english=1, korean=1)
    assert text_bytes_per_token(seeded_source()) is None


@pytest.mark.slow
def test_a_large_vocabulary_stays_under_one_gibibyte(build, monkeypatch):
    """150,000 words and 1,280 tokens, both models' weights (46 MB at fp32) included, in a child.

    All logits of both would be 3.1 GB in float64 and 1.5 GB in float32; one chunk of both in
    float32 is 77 MB.
    """
    monkeypatch.setattr(measure, "Worker", Worker)
    source = seeded_source(vocab_size=150_000)
    plan = ChunkPlan(chunk_tokens=64, chunks=20)
    quality = measure_quality(source, build(source, "fp32"), build(source, "int4"), plan=plan)
    assert quality.prefill.tokens == 1280
    assert quality.peak_bytes < GIB


def test_the_parent_needs_no_numpy():
    """What the parent imports to ask for quality leaves numpy and onnxruntime to the child."""
    code = (
        "import sys, harness.runner.quality.measure\n"
        "print({'numpy', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
