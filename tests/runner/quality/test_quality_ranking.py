"""What a level changes about rankings, on vectors small enough to check by eye."""

import numpy as np
import pytest

from harness.models.texts.tokens import Tokenization
from harness.runner.quality.ranking import Embeddings, cosines, kendall_taus, same_nearest
from harness.runner.quality.ranking_set import bundled_set, read_ranking


def embeddings(angles, queries=1):
    """Unit vectors at these angles in degrees, queries first."""
    turned = np.deg2rad(np.array(angles, dtype=np.float64))
    vectors = np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)
    return Embeddings(vectors[:queries], vectors[queries:])


def test_cosine_of_a_turned_vector():
    """60 degrees apart: cos 60 = 0.5; lengths do not matter."""
    ours, theirs = embeddings([0, 60]), embeddings([0, 0])
    found = cosines(3 * ours.passages, theirs.passages)
    assert found[0] == pytest.approx(0.5, abs=1e-6)


def test_rounding_never_lifts_a_cosine_above_one():
    vectors = np.full((1, 384), 0.051, np.float32)
    assert cosines(vectors, vectors)[0] == 1.0


def test_a_zero_vector_has_cosine_zero():
    assert cosines(np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32))[0] == 0.0


def test_the_same_order_is_one_the_reverse_minus_one():
    """Passages at 10, 20, 30 degrees from the query, then at 30, 20, 10."""
    theirs = embeddings([0, 10, 20, 30])
    assert kendall_taus(theirs, theirs).tolist() == [1.0]
    assert kendall_taus(embeddings([0, 30, 20, 10]), theirs).tolist() == [-1.0]


def test_one_swapped_pair_of_three():
    """10, 30, 20 against 10, 20, 30: two of three pairs agree: (2 - 1) / 3."""
    found = kendall_taus(embeddings([0, 10, 30, 20]), embeddings([0, 10, 20, 30]))
    assert found[0] == pytest.approx(1 / 3)


def test_passages_that_are_equally_near_have_no_order():
    """10, 20, 20: two ordered pairs, both the same; no pair is ordered at 10, 10, 10."""
    theirs = embeddings([0, 10, 20, 20])
    assert kendall_taus(theirs, theirs).tolist() == [1.0]
    assert kendall_taus(embeddings([0, 10, 10, 10]), theirs).tolist() == [0.0]


def test_the_nearest_passage_may_change():
    """Of two queries one keeps its nearest passage."""
    theirs = embeddings([0, 90, 10, 80], queries=2)
    ours = embeddings([0, 40, 10, 80], queries=2)
    assert same_nearest(ours, theirs).tolist() == [True, False]


def test_the_bundled_set_has_one_answer_per_query():
    texts = bundled_set()
    assert len(texts.queries) == len(texts.answers) == 16
    assert len(texts.passages) == len(set(texts.passages)) == 48
    assert texts.answers == tuple(range(0, 48, 3))
    korean = [text for text in texts.queries if any("가" <= sign <= "힣" for sign in text)]
    assert len(korean) == 3


def test_without_a_tokenizer_ids_are_seeded_and_short_enough():
    found = read_ranking(None, vocab_size=96, max_tokens=10, seed=1)
    assert found.tokenization is Tokenization.NONE
    assert (len(found.queries), len(found.passages)) == (16, 48)
    assert {len(ids) for ids in (*found.queries, *found.passages)} == {10}
    assert read_ranking(None, 96, 10, seed=1) == found
    assert read_ranking(None, 96, 10, seed=2) != found
