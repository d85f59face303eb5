"""A level of an encoder against its reference, through built graphs."""

import json
import shutil

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from harness.core.errors import UsageError, WorkerError
from harness.machine.process.worker import Worker
from harness.models.weights.source import resolve_model
from harness.runner.quality import embeddings
from harness.runner.quality.embeddings import (
    check_ranking,
    measure_embeddings,
    summarize_embeddings,
)
from harness.runner.quality.measure import NUMERIC_ONLY
from harness.runner.quality.ranking_set import read_ranking
from harness.runner.quality.replies import Compared
from harness.store.cache import ensure_artifact
from tests.builder.graph.seeded_folder import encoder_folder

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "bread", "moon", "how", "water", "a"]


def word_tokenizer(path, vocab_size=96):
    """A tokenizer of whole words with [CLS] before and [SEP] behind a text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: place for place, word in enumerate(WORDS)}
    rest = range(len(WORDS), vocab_size)
    vocabulary |= {f"word{place}": place for place in rest}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(path))


@pytest.fixture
def folder(tmp_path):
    """The tiny BERT with a tokenizer of its own."""
    copy = shutil.copytree(encoder_folder("bert-mean"), tmp_path / "bert")
    word_tokenizer(copy / "tokenizer.json")
    return copy


def built(folder, level, cache):
    source = resolve_model(str(folder))
    return source, ensure_artifact(source, "fp32", cache), ensure_artifact(source, level, cache)


def test_the_reference_is_its_own_reference(folder, shared_cache, monkeypatch):
    """Told by a child process, as a user's is."""
    monkeypatch.setattr(embeddings, "Worker", Worker)
    source, reference, level = built(folder, "fp32", shared_cache)
    found = measure_embeddings(source, reference, level)
    assert (found.label, found.text, found.tokenization) == ("", "ranking", "tokenizer.json")
    assert found.encode.embedding_cosine.value == pytest.approx(1.0)
    assert found.encode.nearest_agreement.value == 1.0
    assert found.encode.ranking_tau.value == 1.0
    assert (found.encode.texts, found.encode.queries) == (64, 16)


def test_fewer_bits_lose_more(folder, shared_cache):
    losses = []
    for level in ("int8-block", "int4", "int2"):
        source, reference, built_level = built(folder, level, shared_cache)
        scores = measure_embeddings(source, reference, built_level).encode
        mean = scores.embedding_cosine
        assert mean.low <= mean.value <= mean.high <= 1.0
        assert scores.embedding_cosine_min <= mean.value
        losses.append(1 - mean.value)
    assert 0 < losses[0] < losses[1] < losses[2]


def test_without_a_tokenizer_the_numbers_say_nothing_of_text(shared_cache):
    source, reference, level = built(encoder_folder("bert-mean"), "int4", shared_cache)
    found = measure_embeddings(source, reference, level)
    assert (found.label, found.tokenization) == (NUMERIC_ONLY, "none")
    assert found.encode is not None


@pytest.mark.parametrize("name", ["bert-scores", "xlmr-scores", "modernbert-scores"])
def test_rerankers_are_judged_by_the_order_of_their_scores(name, tmp_path, shared_cache):
    """16 queries with 16 passages each; there is no cosine of one number."""
    copy = shutil.copytree(encoder_folder(name), tmp_path / name)
    word_tokenizer(copy / "tokenizer.json")
    found = [measure_embeddings(*built(copy, level, shared_cache)) for level in ("fp32", "int4")]
    same, fewer = (quality.encode for quality in found)
    assert (same.texts, same.queries, same.embedding_cosine) == (256, 16, None)
    assert same.ranking_tau.value == same.nearest_agreement.value == 1.0
    assert 0.2 < fewer.ranking_tau.value < 1.0


def test_a_pair_is_read_with_its_types(folder):
    """[CLS] query [SEP] passage [SEP]: the tokenizer says which is which."""
    pair = read_ranking(folder, 96, 24, pairs=True).pairs[0]
    assert len(pair[0]) == len(pair[1]) <= 24
    seeded = read_ranking(None, 96, 24, pairs=True).pairs
    assert len(seeded) == 256
    assert seeded[0][1] == [0] * 12 + [1] * 12


def test_an_embedding_that_is_no_number_makes_the_level_invalid(tmp_path, shared_cache):
    """The last norm scales by 60,000: float16 holds no activation of that size."""
    folder = shutil.copytree(encoder_folder("bert-mean"), tmp_path / "broken")
    tensors = load_file(folder / "model.safetensors")
    name = "encoder.layer.1.output.LayerNorm.weight"
    tensors[name] = np.full_like(tensors[name], 60_000)
    save_file(tensors, folder / "model.safetensors")
    source, reference, level = built(folder, "fp16", shared_cache)
    found = measure_embeddings(source, reference, level)
    assert found.encode is None
    assert "the level's embeddings are not finite (text 0)" in found.invalid


def test_a_reference_of_another_model_is_refused(folder, shared_cache):
    source, reference, _level = built(folder, "fp32", shared_cache)
    _source, _reference, other = built(encoder_folder("bert-cls"), "int4", shared_cache)
    with pytest.raises(UsageError, match="not the fp32 reference"):
        measure_embeddings(source, reference, other)


def test_a_tokenizer_of_another_model_is_refused_before_anything_is_measured(folder, shared_cache):
    source, reference, _level = built(folder, "fp32", shared_cache)
    word_tokenizer(folder / "tokenizer.json", vocab_size=200)
    with pytest.raises(WorkerError, match="token ids up to 199"):
        check_ranking(source, reference)


def test_intervals_are_over_texts_and_queries():
    """Cosines 1, 0.9, 0.8: mean 0.9, sd 0.1, half-width 4.303 * 0.1 / sqrt 3 = 0.248, cut at 1."""
    reply = {"cosines": [1.0, 0.9, 0.8], "same_nearest": [True, False], "taus": [0.5, 0.7]}
    scores = summarize_embeddings(msgspec.convert({**reply, "peak_bytes": 1}, Compared))
    assert scores.embedding_cosine.value == pytest.approx(0.9)
    assert scores.embedding_cosine.low == pytest.approx(0.9 - 0.2484, abs=1e-3)
    assert scores.embedding_cosine.high == 1.0
    assert scores.embedding_cosine_min == 0.8
    assert scores.nearest_agreement.value == 0.5
    assert json.dumps(scores.ranking_tau.value) == "0.6"
