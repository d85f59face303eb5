"""How a text is cut into chunks: each one begins with an empty cache and is scored as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.core.errors import UsageError
from harness.core.units import MIB

# The interval is taken over chunk means, because neighbouring tokens are not independent.
LEAST_CHUNKS = 20
# Logits of one chunk of one model, float32; two such arrays are held, and the runtime's own copies.
MOST_LOGITS_BYTES = 256 * MIB
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class ChunkPlan:
    """What part of a text is read, and in what pieces.

    A chunk is one pass of the prefill path, from an empty cache: exactly the test `ppN`, so that
    dynamic scales cover the tokens they cover when that test is timed. The decode path reads the
    same chunk one token a pass.

    Attributes:
        chunk_tokens: tokens of one chunk.
        chunks: how many.
    """

    chunk_tokens: int = 128
    chunks: int = 20

    @property
    def tokens(self) -> int:
        """Tokens that are scored."""
        return self.chunk_tokens * self.chunks


DEFAULT_PLAN = ChunkPlan()


def check_plan(plan: ChunkPlan, vocab_size: int, max_context_tokens: int) -> None:
    """Refuse a plan that this model cannot follow, or that gives no interval.

    Raises:
        UsageError: too few chunks, chunks of no token, longer than the model's context, or with
            more logits than MOST_LOGITS_BYTES.
    """
    if plan.chunks < LEAST_CHUNKS:
        raise UsageError(
            f"{plan.chunks} chunks give no interval", fix=f"{LEAST_CHUNKS} chunks or more"
        )
    most_tokens = most_chunk_tokens(vocab_size, max_context_tokens)
    if not 1 <= plan.chunk_tokens <= most_tokens:
        raise UsageError(
            f"chunks of {plan.chunk_tokens} tokens cannot be read: the model takes "
            f"{max_context_tokens} at once, and {MOST_LOGITS_BYTES // MIB} MiB hold the logits of "
            f"{MOST_LOGITS_BYTES // (FLOAT_BYTES * vocab_size)}",
            fix=f"chunks of 1 to {most_tokens} tokens",
        )


def most_chunk_tokens(vocab_size: int, max_context_tokens: int) -> int:
    """Tokens that a model reads at once with every token's logits held."""
    return min(max_context_tokens, MOST_LOGITS_BYTES // (FLOAT_BYTES * vocab_size))


def cut_chunks(
    ids: Sequence[int], plan: ChunkPlan, begin_id: int | None, text: str
) -> list[list[int]]:
    """Cut a text into chunks spread evenly over it, without overlap.

    Chunk i begins at token floor(i · (n - 1 - chunk_tokens) / (chunks - 1)).

    Args:
        ids: the text's n tokens.
        plan: as check_plan lets it pass.
        begin_id: what the model expects before a text; takes the place of a chunk's first token,
            as llama.cpp's perplexity tool does it. None: the model expects nothing.
        text: what errors call the text.

    Returns:
        Lists of chunk_tokens + 1 ids: all but the last are read, all but the first are predicted.

    Raises:
        UsageError: the text is shorter than the chunks together.
    """
    spare_tokens = len(ids) - 1 - plan.tokens
    if spare_tokens < 0:
        raise UsageError(
            f"{text} has {len(ids)} tokens; {plan.chunks} chunks of {plan.chunk_tokens} need "
            f"{plan.tokens + 1}",
            fix="a longer text, or shorter chunks",
        )
    last_start = len(ids) - 1 - plan.chunk_tokens
    starts = [i * last_start // (plan.chunks - 1) for i in range(plan.chunks)]
    chunks = [list(ids[start : start + plan.chunk_tokens + 1]) for start in starts]
    if begin_id is not None:
        for chunk in chunks:
            chunk[0] = begin_id
    return chunks
