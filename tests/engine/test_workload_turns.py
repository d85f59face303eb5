"""Turns of a chat on a real decoder: both ways to the first token choose the same one."""

import numpy as np
import pytest

from harness.engine.decoder import DecoderSession
from harness.engine.measuring import Measuring
from harness.engine.passes import run_pass, time_reread
from harness.engine.workload import Workload
from harness.results.enums import Kind
from tests.engine.tiny_decoder import TinyDecoder

TURN = Workload(Kind.TURN, 6, 4, 10)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return TinyDecoder(tmp_path_factory.mktemp("turns"), "fp32")


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("chunk", [0, 4])
def test_a_kept_cache_and_none_choose_the_same_token(tiny, batch, chunk):
    decoder = DecoderSession(tiny.open(), tiny.geometry, batch, 32)
    measure = Measuring(decoder, seed=3)
    turn = Workload(Kind.TURN, 6, 4, 10, chunk_tokens=chunk)
    chat = measure.ids(turn)
    assert chat.shape == (batch, 16)
    measure.stand_at(10)
    outcome = run_pass(decoder, turn, chat)
    time_reread(decoder, chat)
    assert np.array_equal(outcome.tokens[0], decoder.next_ids)
    assert len(outcome.sample.itl_ns) == 3
    assert outcome.finite


def test_a_timed_turn_is_a_plain_run(tiny):
    """Between other tests, on a cache that they have changed."""
    measure = Measuring(DecoderSession(tiny.open(), tiny.geometry, 1, 32), seed=3)
    plain = measure.plain_tokens(TURN)
    for test in (Workload(Kind.DECODE, 0, 4, 12), TURN, Workload(Kind.PREFILL, 8, 0, 5), TURN):
        outcome = measure.sample(test, 1, 0.0).passes[-1]
        if test is TURN:
            assert np.array_equal(outcome.tokens, plain)
