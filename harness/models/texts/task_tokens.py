"""Questions as a model's tokens: each choice behind its context."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.errors import UsageError
from harness.models.texts.tasks import TaskItem, TaskSet, line_error
from harness.models.texts.tokens import TokenCoder


@dataclass(frozen=True, slots=True)
class Passage:
    """Tokens, the last of which are judged.

    Attributes:
        ids: all of them, with the one that stands before a text of this model.
        start: index of the first one that is judged; 1 or more.
    """

    ids: tuple[int, ...]
    start: int


@dataclass(frozen=True, slots=True)
class Question:
    """An item as one model reads it.

    Attributes:
        item: as the file has it.
        passages: one per choice.
    """

    item: TaskItem
    passages: tuple[Passage, ...]


def encode_pair(coder: TokenCoder, context: str, continuation: str) -> Passage:
    """Write a continuation behind its context.

    Space at the end of a context goes to the continuation, where tokenizers expect it, and both
    are encoded together: what follows as many tokens as the context has alone is the
    continuation's. Source: _encode_pair of EleutherAI's lm-evaluation-harness 0.4.

    Args:
        coder: of the model.
        context: may be empty where the model has a token that begins a text.
        continuation: what is judged.
    """
    kept = context.rstrip()
    begin = () if coder.begin_id is None else (coder.begin_id,)
    whole = coder.encode(context + continuation)
    start = len(coder.encode(kept)) if kept else 0
    return Passage((*begin, *whole), len(begin) + start)


def encode_tasks(
    tasks: TaskSet, coder: TokenCoder, vocab_size: int, most_tokens: int
) -> tuple[Question, ...]:
    """Write every item as a model's tokens.

    Args:
        tasks: as read.
        coder: of the model.
        vocab_size: rows of its embedding.
        most_tokens: that the model reads at once.

    Raises:
        UsageError: an item that this model cannot read; says which line.
    """
    return tuple(
        Question(item, tuple(_passages(item, tasks.name, coder, vocab_size, most_tokens)))
        for item in tasks.items
    )


def _passages(
    item: TaskItem, name: str, coder: TokenCoder, vocab_size: int, most_tokens: int
) -> Iterator[Passage]:
    """Yield each choice behind its context."""
    for index, choice in enumerate(item.choices):
        passage = encode_pair(coder, item.context, choice)
        problem = _problem(passage, coder, vocab_size, most_tokens)
        if problem is not None:
            raise _error(item, name, f"choice {index} {problem}")
        yield passage


def _problem(passage: Passage, coder: TokenCoder, vocab_size: int, most_tokens: int) -> str | None:
    """Why a passage cannot be judged; None: it can."""
    judged = passage.ids[passage.start :]
    if not judged or not passage.start:
        return "adds no token to its context, as this model's tokenizer writes both"
    if len(passage.ids) - 1 > most_tokens:
        return f"ends at token {len(passage.ids):,}; the model reads {most_tokens:,} at once"
    outside = [one for one in passage.ids if not 0 <= one < vocab_size]
    if outside:
        return f"has token {outside[0]}, outside the vocabulary of {vocab_size:,}"
    if coder.unknown_id is not None and coder.unknown_id in judged:
        return "has signs outside the vocabulary of this model's tokenizer"
    return None


def _error(item: TaskItem, name: str, problem: str) -> UsageError:
    return line_error(
        name, item.line, problem, fix="change the item or leave it out, or another model"
    )
