"""Both paths against torch, against each other, and what the child says of bad logits."""

import json
import math
from functools import cache
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from msgspec import to_builtins

from harness.core.errors import HarnessError, UsageError
from harness.models.weights.source import resolve_model
from harness.results.entries import TextBytes
from harness.runner.quality.chunks import ChunkPlan
from harness.runner.quality.measure import graphs
from harness.runner.quality.paths import OPENERS
from harness.runner.quality.summary import DECODE, PREFILL
from harness.runner.quality.worker import evaluate, tokenizer_bytes, tokens
from harness.store.cache import ensure_artifact
from tests.runner.quality.built_models import changed_folder, rounded

FIXTURE = Path(__file__).resolve().parents[2] / "fixtures" / "bytelm_scores.json"
TORCH = json.loads(FIXTURE.read_text(encoding="utf-8"))
BYTELM = resolve_model("bytelm")
PLAN = ChunkPlan(chunk_tokens=TORCH["chunk_tokens"], chunks=TORCH["chunks"])
PATHS = (PREFILL, DECODE)


@pytest.fixture(scope="module")
def chunks():
    """The chunks of heldout.txt that torch has scored."""
    return tokens(str(BYTELM.folder), 256, None, PLAN, seed=0).chunks


@pytest.fixture(scope="module")
def built(shared_cache):
    """A call that builds bytelm at a level, once."""
    return lambda level, kv_cache="auto": graphs(
        ensure_artifact(BYTELM, level, shared_cache, kv_cache=kv_cache)
    )


@pytest.fixture(scope="module")
def coarse(tmp_path_factory, shared_cache):
    """The candidate of the torch fixture: bytelm with rounded weights, at fp32."""
    folder = tmp_path_factory.mktemp("coarse") / "model"
    source = resolve_model(str(changed_folder(folder, "bytelm", rounded(TORCH["rounding"]))))
    return graphs(ensure_artifact(source, "fp32", shared_cache))


@pytest.fixture(scope="module")
def of_bytelm(built, chunks):
    """A call that scores a level of bytelm on a path, once."""
    return cache(lambda path, level: scored(path, built("fp32"), built(level), chunks))


def scored(path, reference, level, chunks):
    return evaluate(path, reference, level, device="cpu", threads=1, chunks=chunks)


def test_every_path_has_an_opener():
    assert tuple(OPENERS) == PATHS


@pytest.mark.parametrize("path", PATHS)
def test_both_paths_equal_torch(path, built, coarse, chunks):
    """Two float32 models: torch in float64 over whole chunks, ours by either path, to 1e-4."""
    reply = scored(path, built("fp32"), coarse, chunks)
    assert reply.bad is None
    np.testing.assert_allclose(reply.kl_nats, TORCH["kl"], atol=1e-4)
    np.testing.assert_allclose(reply.reference_nll_nats, TORCH["reference_nll"], atol=1e-4)
    np.testing.assert_allclose(reply.candidate_nll_nats, TORCH["candidate_nll"], atol=1e-4)
    assert fmean(reply.kl_nats) == pytest.approx(fmean(TORCH["kl"]), abs=1e-5)
    perplexity = math.exp(fmean(reply.candidate_nll_nats))
    assert perplexity == pytest.approx(math.exp(fmean(TORCH["candidate_nll"])), abs=1e-4)
    assert abs(sum(reply.same_top) - TORCH["same_top"]) <= 1  # a tie may fall either way


def test_a_model_does_not_diverge_from_itself(of_bytelm):
    """Exactly on the prefill path; up to the rounding of other sums on the decode path."""
    prefill, decode = (of_bytelm(path, "fp32") for path in PATHS)
    assert not any(prefill.kl_nats)
    assert all(prefill.same_top)
    assert prefill.reference_nll_nats == prefill.candidate_nll_nats
    assert max(decode.kl_nats) < 1e-8
    assert fmean(decode.candidate_nll_nats) == pytest.approx(
        fmean(decode.reference_nll_nats), abs=1e-6
    )


@pytest.mark.parametrize(
    ("level", "least", "most"), [("int8", 1e-5, 0.02), ("int4", 1e-3, 0.2), ("fp16", 0, 1e-4)]
)
def test_levels_lose_what_their_bits_lose(level, least, most, of_bytelm):
    """Wide bounds, decades apart: a slip in the comparison is worth several nats."""
    for path in PATHS:
        assert least < fmean(of_bytelm(path, level).kl_nats) < most


def test_four_bits_of_cache_lose_far_more_than_eight(built, chunks):
    """fp32 weights, bytelm's own text: measured 0.0001 and 0.011 nats; the same on both paths."""
    loss = {
        (kind, path): fmean(scored(path, built("fp32"), built("fp32", kind), chunks).kl_nats)
        for kind in ("int8", "int4")
        for path in PATHS
    }
    for path in PATHS:
        assert 1e-6 < loss["int8", path] < 1e-3
        assert 1e-3 < loss["int4", path] < 0.05
        assert loss["int4", path] > 20 * loss["int8", path]
    for kind in ("int8", "int4"):
        assert loss[kind, DECODE] == pytest.approx(loss[kind, PREFILL], rel=0.02)


def test_int8_differs_between_the_paths(of_bytelm):
    """Its activations are scaled over a whole pass: 64 tokens on one path, one on the other."""
    prefill, decode = (of_bytelm(path, "int8") for path in PATHS)
    assert prefill.reference_nll_nats == decode.reference_nll_nats
    assert fmean(prefill.kl_nats) > 1.1 * fmean(decode.kl_nats)


def test_weights_quantized_alone_agree_between_the_paths(of_bytelm):
    """int4 scales its activations by blocks of one token, whatever the pass."""
    prefill, decode = (of_bytelm(path, "int4") for path in PATHS)
    assert fmean(prefill.kl_nats) == pytest.approx(fmean(decode.kl_nats), rel=0.02)


def test_the_same_question_has_the_same_answer(built, chunks):
    replies = [scored(DECODE, built("fp32"), built("int8"), chunks[:3]) for _ in range(2)]
    assert replies[0].kl_nats == replies[1].kl_nats
    assert replies[0].peak_bytes > 0


def overflowing(name, tensor):
    """Values of layer 3 near 1e5 · their trained size: numbers in float32, none in float16."""
    return tensor * np.float32(1e5 if "layers.3.self_attn.v_proj" in name else 1)


@pytest.fixture(scope="module")
def hot(tmp_path_factory, shared_cache):
    """The model bytelm with a float16 overflow in layer 3, built at a level."""
    folder = tmp_path_factory.mktemp("hot") / "model"
    source = resolve_model(str(changed_folder(folder, "bytelm", overflowing)))
    return lambda level: graphs(ensure_artifact(source, level, shared_cache))


def test_the_first_bad_token_and_layer_are_told(hot, chunks):
    reply = scored(PREFILL, hot("fp32"), hot("fp16"), chunks)
    assert reply.bad.model == "level"
    assert reply.bad.chunk == 0
    assert reply.bad.layer == 3
    assert reply.kl_nats == ()
    json.dumps(to_builtins(reply), allow_nan=False)


def test_the_decode_path_tells_a_bad_token_too(hot, chunks):
    bad = scored(DECODE, hot("fp32"), hot("fp16"), chunks).bad
    assert (bad.model, bad.chunk, bad.layer) == ("level", 0, None)


def test_a_reference_may_be_the_bad_one(hot, built, chunks):
    assert scored(PREFILL, hot("fp16"), built("fp32"), chunks).bad.model == "reference"


def test_a_model_without_tokenizer_reads_seeded_ids():
    plan = ChunkPlan(chunk_tokens=8, chunks=20)
    reply = tokens(None, 1000, None, plan, seed=3)
    assert reply.text == "seeded random token ids"
    assert reply.tokenization == "none"
    assert reply == tokens(None, 1000, None, plan, seed=3)
    assert reply.chunks != tokens(None, 1000, None, plan, seed=4).chunks
    assert all(0 <= token < 1000 for chunk in reply.chunks for token in chunk)


def test_a_model_without_tokenizer_reads_no_text():
    with pytest.raises(UsageError, match="no tokenizer"):
        tokens(None, 1000, "english", PLAN, seed=0)


def test_byte_chunks_begin_with_the_byte_of_a_file(chunks):
    assert {chunk[0] for chunk in chunks} == {0}
    assert len(chunks) == TORCH["chunks"]
    assert {len(chunk) for chunk in chunks} == {TORCH["chunk_tokens"] + 1}


def test_a_token_outside_the_vocabulary_is_refused(built):
    with pytest.raises(HarnessError, match="vocabulary"):
        scored(DECODE, built("fp32"), built("fp32"), [[1, 2, 256]])


def test_bytes_of_a_tokenizer_are_told():
    assert tokenizer_bytes(str(BYTELM.folder), 256).found == TextBytes(english=1.0, korean=1.0)
    assert tokenizer_bytes(None, 256).found is None
