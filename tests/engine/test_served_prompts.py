"""Prompts of a known length, whatever a token is."""

from random import Random

import pytest

from harness.core.errors import MeasurementError
from harness.engine.served.prompts import WORDS, learn_prompts

TOKENIZERS = {
    "words": lambda text: len(text.split()),
    "words and a beginning": lambda text: 1 + len(text.split()),
    "bytes": lambda text: len(text.encode()),
    "bytes and a template": lambda text: 17 + len(text.encode()),
}


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("tokens", [64, 65, 128, 131])
def test_a_prompt_has_the_tokens_that_were_asked_for(name, tokens):
    count = TOKENIZERS[name]
    prompts = learn_prompts(count, chance=Random(0))
    found = {prompts.text(tokens) for _ in range(5)}
    assert {count(text) for text in found} == {tokens}
    assert len(found) == 5


def test_words_are_alike_and_none_is_there_twice():
    assert {len(word) for word in WORDS} == {4}
    assert len(set(WORDS)) == len(WORDS)


def test_a_server_that_counts_no_prompts_is_told():
    assert learn_prompts(lambda text: None) is None


def test_words_of_different_lengths_are_refused():
    counts = iter([10, 45])
    with pytest.raises(MeasurementError, match="10 tokens in 8 words and 45 in 40"):
        learn_prompts(lambda text: next(counts))
