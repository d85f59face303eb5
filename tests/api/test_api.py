"""The public functions on a tiny model: build, load, run."""

import numpy as np
import pytest

import harness
from harness.core.errors import UsageError

IDS = [[1, 2, 3, 250, 5, 6], [9, 8, 7, 6, 5, 4]]


@pytest.fixture(scope="module")
def folder(tiny_folder, shared_cache):
    return harness.build(str(tiny_folder), "fp32", cache=shared_cache)


@pytest.fixture(scope="module")
def model(folder):
    return harness.load(folder, threads=1)


def test_build_finds_what_it_built(folder, tiny_folder, shared_cache):
    assert harness.build(str(tiny_folder), "fp32", cache=shared_cache) == folder


def test_logits_have_batch_tokens_vocab(model):
    logits = model.logits(IDS)
    assert (logits.shape, logits.dtype) == ((2, 6, 256), np.float32)


def test_prefill_and_steps_equal_the_full_pass(model):
    """Logits of positions 2..5, one by one through the cache, against one pass over all."""
    full = model.logits(IDS)
    ids = np.array(IDS)
    parts = [model.prefill(ids[:, :3])] + [model.step(ids[:, i : i + 1]) for i in range(3, 6)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), full[:, 2:], atol=1e-4)


def test_a_new_prefill_forgets_the_old_sequence(model):
    first = model.prefill([[1, 2, 3]])
    model.step([[4]])
    np.testing.assert_array_equal(model.prefill([[1, 2, 3]]), first)


def test_a_model_by_name_and_level(tiny_folder, shared_cache, model):
    other = harness.load(str(tiny_folder), level="int4", threads=1, cache=shared_cache)
    cosine = _cosine(other.logits(IDS), model.logits(IDS))
    assert 0.9 < cosine < 0.999999


def test_run_returns_typed_records(tiny_folder, shared_cache, tmp_path):
    document = harness.run(
        model=str(tiny_folder),
        quant="fp32",
        prompt="8",
        threads="1",
        rounds=1,
        warm_seconds=0.05,
        sample_seconds=0.01,
        calibrate=False,
        results=tmp_path,
        cache=shared_cache,
    )
    (record,) = document.records
    assert record.cell.workload == "pp8 @ d0"
    assert record.metrics["prefill_tok_s"].unit == "tok/s"


@pytest.mark.parametrize(
    "call",
    [
        lambda model: model.logits([1, 2, 3]),
        lambda model: model.logits([[1], [2, 3]]),
        lambda model: model.logits([[0.5]]),
        lambda model: model.logits([[256]]),
        lambda model: model.logits([[-1]]),
        lambda model: model.logits([[]]),
        lambda model: model.prefill([[1] * 129]),
    ],
)
def test_bad_ids_are_refused_with_a_way_out(model, call):
    with pytest.raises(UsageError) as caught:
        call(model)
    assert caught.value.fix


def test_step_needs_a_prefill(folder):
    with pytest.raises(UsageError, match="prefill"):
        harness.load(folder, threads=1).step([[1]])


def test_a_level_is_needed_for_a_model_that_is_not_built(tiny_folder):
    with pytest.raises(UsageError, match="level"):
        harness.load(str(tiny_folder))


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))
