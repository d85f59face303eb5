"""The bundled queries and passages that encoders are judged on, as tokens of one model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from harness.core.records import data_folder, read_table
from harness.engine.passes import seeded_ids
from harness.models.texts.tokens import Tokenization, open_tokenizer, tokenization_of, told_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

NAME = "ranking"
SEEDED_NAME = "seeded random token ids"
# Of a model without a tokenizer: about as many and as long as the texts of the set are.
SEEDED_QUERIES, SEEDED_QUERY_TOKENS = 16, 12
SEEDED_PASSAGES, SEEDED_PASSAGE_TOKENS = 48, 32

# Passages that a model which scores pairs reads with each query: every third one of the set.
PAIRED_PASSAGES, PAIRED_EVERY = 16, 3

Text = TypeVar("Text")
Texts = list[list[int]]
Pair = tuple[list[int], list[int]]  # token ids, and the type of each


@dataclass(frozen=True, slots=True)
class RankingSet:
    """Texts by their meaning.

    Attributes:
        queries: one of each topic.
        passages: all of them, topic after topic.
        answers: of each query the index of the passage that answers it.
    """

    queries: tuple[str, ...]
    passages: tuple[str, ...]
    answers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RankingTokens:
    """The same as one model reads it, each text with its special tokens.

    Attributes:
        name: what reports call the set.
        tokenization: how the texts became tokens.
        queries: token ids of each query.
        passages: of each passage.
        pairs: each query with each of PAIRED_PASSAGES passages, query after query; empty: not read.
    """

    name: str
    tokenization: Tokenization
    queries: Texts
    passages: Texts
    pairs: tuple[Pair, ...] = ()


def bundled_set() -> RankingSet:
    """Return the set that ships with the package."""
    path = data_folder("models") / "texts" / f"{NAME}.toml"
    topics = read_table(path)["topic"]
    passages = [(place, text) for place, topic in enumerate(topics) for text in topic["passages"]]
    places = [place for place, _text in passages]
    return RankingSet(
        queries=tuple(topic["query"] for topic in topics),
        passages=tuple(text for _place, text in passages),
        answers=tuple(places.index(place) for place in range(len(topics))),
    )


def read_ranking(
    folder: Path | None, vocab_size: int, max_tokens: int, seed: int = 0, *, pairs: bool = False
) -> RankingTokens:
    """Return the set as the tokens of a model; random ones for a model without a tokenizer.

    Args:
        folder: its Hugging Face folder; None: seeded weights of the catalog.
        vocab_size: rows of its embedding.
        max_tokens: longest text that it takes; the rest of a longer one is cut off.
        seed: of random ids.
        pairs: read pairs too, as a model that scores them does.

    Raises:
        UsageError: the package `tokenizers` is not installed.
        ModelError: a damaged tokenizer, or one whose vocabulary is not the model's.
    """
    tokenization = tokenization_of(folder, vocab_size)
    if folder is None or tokenization is not Tokenization.FILE:
        return _seeded(vocab_size, max_tokens, seed, pairs=pairs)
    tokenizer, texts = open_tokenizer(folder, vocab_size), bundled_set()
    tokenizer.enable_truncation(max_tokens)  # keeps the token that ends a text
    asked = _paired(texts.queries, texts.passages) if pairs else []
    with told_of(folder.name):
        read = (_encode(tokenizer, texts.queries), _encode(tokenizer, texts.passages))
        both = tokenizer.encode_batch(asked)
    encoded = tuple((list(one.ids), list(one.type_ids)) for one in both)
    return RankingTokens(NAME, tokenization, *read, encoded)


def _paired(queries: Sequence[Text], passages: Sequence[Text]) -> list[tuple[Text, Text]]:
    """Return each query with every third passage."""
    chosen = passages[::PAIRED_EVERY][:PAIRED_PASSAGES]
    return [(query, passage) for query in queries for passage in chosen]


def _encode(tokenizer: "Tokenizer", texts: Sequence[str]) -> Texts:
    """Return the ids of each text, special tokens included."""
    return [list(encoding.ids) for encoding in tokenizer.encode_batch(list(texts))]


def _seeded(vocab_size: int, max_tokens: int, seed: int, *, pairs: bool) -> RankingTokens:
    """Return random ids: they tell rounding apart and mean no text."""
    queries, passages = (
        seeded_ids(seed, texts, min(tokens, max_tokens), vocab_size).tolist()
        for texts, tokens in (
            (SEEDED_QUERIES, SEEDED_QUERY_TOKENS),
            (SEEDED_PASSAGES, SEEDED_PASSAGE_TOKENS),
        )
    )
    both = [
        ([*query, *passage][:max_tokens], ([0] * len(query) + [1] * len(passage))[:max_tokens])
        for query, passage in (_paired(queries, passages) if pairs else [])
    ]
    return RankingTokens(SEEDED_NAME, Tokenization.NONE, queries, passages, tuple(both))
