"""Chunks of a text: spread evenly, never overlapping, and the plans that are refused."""

from itertools import pairwise

import pytest

from harness.core.errors import UsageError
from harness.runner.quality.chunks import ChunkPlan, check_plan, cut_chunks

PLAN = ChunkPlan(chunk_tokens=10, chunks=20)


@pytest.mark.parametrize("tokens", [201, 202, 219, 999, 5000])
def test_chunks_cover_the_text_from_end_to_end(tokens):
    """10 tokens and their last successor each; the successor may be the next chunk's first."""
    chunks = cut_chunks(range(tokens), PLAN, None, "text")
    assert [len(chunk) for chunk in chunks] == [11] * 20
    assert chunks[0][0] == 0
    assert chunks[-1][-1] == tokens - 1
    assert all(later[0] > earlier[9] for earlier, later in pairwise(chunks))


def test_a_text_just_long_enough_is_read_whole():
    chunks = cut_chunks(range(201), PLAN, None, "text")
    assert [token for chunk in chunks for token in chunk[1:]] == list(range(1, 201))


def test_the_begin_token_takes_the_first_place():
    chunks = cut_chunks(range(500), PLAN, 7777, "text")
    plain = cut_chunks(range(500), PLAN, None, "text")
    assert {chunk[0] for chunk in chunks} == {7777}
    assert [chunk[1:] for chunk in chunks] == [chunk[1:] for chunk in plain]


def test_a_short_text_is_refused_with_both_numbers():
    with pytest.raises(UsageError, match=r"notes\.txt has 200 tokens.* need 201"):
        cut_chunks(range(200), PLAN, None, "notes.txt")


def test_an_empty_text_is_refused():
    with pytest.raises(UsageError, match="0 tokens"):
        cut_chunks([], PLAN, None, "text")


def test_the_default_plan_fits_a_large_vocabulary():
    check_plan(ChunkPlan(), vocab_size=262_144, max_context_tokens=2048)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (ChunkPlan(128, 19), "interval"),
        (ChunkPlan(0, 20), "chunks of 0 tokens"),
        (ChunkPlan(-1, 20), "chunks of -1 tokens"),
        (ChunkPlan(513, 20), "takes 512 at once"),
        (ChunkPlan(448, 20), "hold the logits of 447"),
    ],
)
def test_a_plan_the_model_cannot_follow_is_refused(plan, words):
    """256 MiB / (4 · 150,000) = 447.4 tokens."""
    with pytest.raises(UsageError, match=words):
        check_plan(plan, vocab_size=150_000, max_context_tokens=512)
