"""What the children that measure quality reply; nothing here is kept as it is."""

from typing import Any

import msgspec

from harness.results.entries import TextBytes


class TokensRead(msgspec.Struct, frozen=True, kw_only=True):
    """A text as a model's tokens.

    Attributes:
        chunks: lists of token ids, equally long.
        text: its name.
        tokenization: how it became tokens.
    """

    chunks: list[list[int]]
    text: str
    tokenization: str


class BadToken(msgspec.Struct, frozen=True, kw_only=True):
    """Where the logits stopped being numbers.

    Attributes:
        model: `reference` or `level`: whose logits they are.
        chunk: index of the chunk.
        token: index of the token within it.
        layer: the first layer with such a value in its keys or values; None: not known, or none,
            which leaves what follows the last layer's cache.
    """

    model: str
    chunk: int
    token: int
    layer: int | None


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """A level scored against its reference, one value per token, chunk after chunk.

    Attributes:
        kl_nats: divergence from the reference's distribution.
        same_top: whether the most probable token is the reference's.
        reference_nll_nats: negative log-likelihood of the true token by the reference.
        candidate_nll_nats: the same by the level.
        bad: the first logits that are no numbers; the lists then end before its chunk.
        peak_bytes: high-water mark of the process.
    """

    kl_nats: tuple[float, ...]
    same_top: tuple[bool, ...]
    reference_nll_nats: tuple[float, ...]
    candidate_nll_nats: tuple[float, ...]
    bad: BadToken | None
    peak_bytes: int


class TasksRead(msgspec.Struct, frozen=True, kw_only=True):
    """Questions with choices, as far as answers are judged by them.

    Attributes:
        name: of the set.
        digest: of its file.
        tokenization: how its text became tokens.
        answers: index of the right choice of each item.
        choices: bytes of each choice of each item.
    """

    name: str
    digest: str
    tokenization: str
    answers: tuple[int, ...]
    choices: tuple[tuple[int, ...], ...]


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """How likely a model finds each choice.

    Attributes:
        log_likelihoods: ln p of each choice of each item behind its context, nats.
        bad_line: of the first item with a value that is no number; the lists then end before it.
        peak_bytes: high-water mark of the process.
    """

    log_likelihoods: tuple[tuple[float, ...], ...]
    bad_line: int | None
    peak_bytes: int


class Mixture(msgspec.Struct, frozen=True, kw_only=True):
    """A graph with one group of matrices at a level: its name, the bytes it saves, its path."""

    name: str
    saved_bytes: int
    graph: str


class Mixtures(msgspec.Struct, frozen=True, kw_only=True):
    """One graph per group of matrices."""

    groups: tuple[Mixture, ...]


class TokenizerBytes(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of text per token; null where the model has no tokenizer."""

    found: TextBytes | None


class RankingRead(msgspec.Struct, frozen=True, kw_only=True):
    """The ranking set as a model's tokens: ids of each query and passage, or ids and types."""

    name: str
    tokenization: str
    queries: list[list[int]]
    passages: list[list[int]]
    pairs: list[tuple[list[int], list[int]]] = []


class BadText(msgspec.Struct, frozen=True, kw_only=True):
    """Whose embedding is no number: `reference` or `level`, and of which text."""

    model: str
    text: int


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Embeddings of a level, or its scores of pairs, held against its reference's.

    Attributes:
        texts: what was read: texts, or pairs.
        cosines: of every text, queries first; empty of scores.
        same_nearest: of every query: whether the nearest passage is the same.
        taus: of every query: Kendall's tau of the two orders of all passages.
        bad: the first embedding that is no number; the lists are then empty.
        peak_bytes: high-water mark of the process.
    """

    texts: int = 0
    cosines: tuple[float, ...] = ()
    same_nearest: tuple[bool, ...] = ()
    taus: tuple[float, ...] = ()
    bad: BadText | None = None
    peak_bytes: int


class SentGraphs(msgspec.Struct, frozen=True, kw_only=True):
    """A built decoder as the child is told of it.

    Attributes:
        all_logits: path of the graph with every token's logits.
        last_logits: of that with the last one's.
        geometry: of both.
    """

    all_logits: str
    last_logits: str
    geometry: dict[str, Any]


class SentEncoder(msgspec.Struct, frozen=True, kw_only=True):
    """A built encoder as the child is told of it.

    Attributes:
        graph: path of it.
        geometry: of it.
    """

    graph: str
    geometry: dict[str, Any]
