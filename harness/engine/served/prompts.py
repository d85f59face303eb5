"""Prompts of a known number of tokens, without the server's tokenizer, each unlike all before.

A prompt is a row of common words of four letters, drawn anew for every pass, so that no cache of
an earlier one serves it. Common words are one token each in the vocabularies of today, and five in
one of bytes: two short questions tell how many a word is, and how many the server adds. Every
answer's own count is held against what was asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random, SystemRandom

from harness.core.errors import MeasurementError

WORDS = (
    *("time", "year", "life", "hand", "part", "case", "week", "work", "fact", "home", "room"),
    *("side", "kind", "head", "game", "line", "name", "city", "team", "word", "book", "face"),
    *("back", "door", "free", "full", "good", "long", "high", "last", "next", "best", "sure"),
    *("able", "real", "same", "main", "hard", "open", "true", "near", "deep", "fast", "cold"),
    *("wind", "rain", "snow", "tree", "leaf", "rock", "fire", "gold", "ship", "road", "wall"),
    *("land", "farm", "fish", "bird", "milk", "salt", "corn", "food", "wood"),
)
FEW, MANY = 8, 40  # words of the two questions
# What makes a chat go on: without it an assistant answers a row of words in a sentence.
GO_ON = " Write a very long story with all of these words, and do not stop."


@dataclass(frozen=True, slots=True)
class Prompts:
    """Makes prompts for one model of one server.

    Attributes:
        word_tokens: of one word and the space before it.
        own_tokens: that every prompt has beside them: a template, a beginning of text, `tail`.
        tail: text behind the words.
        chance: draws them, never twice alike.
    """

    word_tokens: int
    own_tokens: int
    tail: str
    chance: Random

    def text(self, tokens: int) -> str:
        """A prompt of so many tokens.

        Raises:
            MeasurementError: fewer than the server adds to every prompt.
        """
        room = tokens - self.own_tokens
        words, letters = divmod(room, self.word_tokens)
        if words < 1:
            raise MeasurementError(
                f"a prompt of {tokens} tokens cannot be made: the server adds {self.own_tokens} of"
                " its own to every prompt",
                fix=f"--prompt {self.own_tokens + FEW * self.word_tokens} or more",
            )
        return row_of_words(words, self.chance, letters) + self.tail

    def shortest(self) -> str:
        """One word: a decode test begins from it."""
        return row_of_words(1, self.chance) + self.tail


def row_of_words(words: int, chance: Random, letters: int = 0) -> str:
    """So many words; behind them letters of one more."""
    row = " ".join(chance.choice(WORDS) for _ in range(words))
    return row + f" {chance.choice(WORDS)}"[:letters]


def learn_prompts(
    count: Callable[[str], int | None], tail: str = "", chance: Random | None = None
) -> Prompts | None:
    """Find out what a word and an empty prompt cost; None: the server counts no prompts.

    Args:
        count: tokens of a prompt, by the server; None: it does not say.
        tail: text behind the words.
        chance: draws them; None: the system.

    Raises:
        MeasurementError: words differ, so that no length can be made.
    """
    drawn = chance or SystemRandom()
    few, many = (count(row_of_words(words, drawn) + tail) for words in (FEW, MANY))
    if few is None or many is None:
        return None
    word_tokens, rest = divmod(many - few, MANY - FEW)
    if rest or word_tokens < 1:
        raise MeasurementError(
            f"the server counts {few} tokens in {FEW} words and {many} in {MANY}: no prompt of a"
            " known length can be made for its tokenizer",
            fix="--runtime llama.cpp or ort, which are fed token ids",
        )
    return Prompts(word_tokens, few - FEW * word_tokens, tail, drawn)
