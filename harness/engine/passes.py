"""One timed pass of each kind of test, from a decoder that is already open and warm.

Nothing but the call stands between two clock reads. What a pass needs (rewinding, copying and
binding the prompt) is done before the first read; what is looked at afterwards, after the last.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from harness.engine.protocol import Decoder
from harness.engine.workload import Workload
from harness.machine.meters.samples import Clock, PassSample, time_call
from harness.results.enums import Kind

DIGEST_BYTES = 8
# seed, batch, tokens, size of the vocabulary -> token ids [batch, tokens]
Draw = Callable[[int, int, int, int], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class PassOutcome:
    """What one pass took and what it gave.

    Attributes:
        sample: the durations that this kind of test has.
        tokens: chosen token ids [tokens, batch]; for a prefill the first one after the prompt.
        finite: every logit of the last run is a number, and they are not all the same.
    """

    sample: PassSample
    tokens: NDArray[np.int64]
    finite: bool

    @property
    def digest(self) -> str:
        """Of the chosen tokens."""
        return digest_of(self.tokens)


def digest_of(tokens: NDArray[np.int64]) -> str:
    """The same token ids give the same word, on every machine."""
    return blake2b(tokens.astype("<i8").tobytes(), digest_size=DIGEST_BYTES).hexdigest()


def seeded_ids(seed: int, batch: int, tokens: int, vocab_size: int) -> NDArray[np.int64]:
    """Token ids [batch, tokens], uniform over the vocabulary, that only the arguments decide."""
    generator = np.random.default_rng((seed, batch, tokens))
    return generator.integers(0, vocab_size, (batch, tokens), dtype=np.int64)


def nested_ids(seed: int, batch: int, tokens: int, vocab_size: int) -> NDArray[np.int64]:
    """The same, where those of a smaller shape are the first ones of every larger shape.

    For tests that follow one another in a process: the rows of a mapped table that one has looked
    up stay in memory, and the next one must not add its own beside them.
    """
    rows = (np.random.default_rng((seed, row)) for row in range(batch))
    return np.array([row.integers(0, vocab_size, tokens, dtype=np.int64) for row in rows])


def run_pass(
    decoder: Decoder,
    workload: Workload,
    ids: NDArray[np.int64],
    clock: Clock = time.perf_counter_ns,
) -> PassOutcome:
    """Run one test once from where it begins, which the cache must already hold.

    Args:
        decoder: open; every position below the depth written.
        workload: which test.
        ids: the prompt [batch, prompt]; for decode the first token [batch, 1]; for a turn all
            tokens of the chat up to its answer [batch, depth + prompt].
        clock: monotonic, in ns.

    Raises:
        MeasurementError: the clock gave an impossible duration.
    """
    decoder.rewind(begins_at(workload))
    return PASSES[workload.kind](decoder, workload, ids, clock)


def begins_at(workload: Workload) -> int:
    """The depth that a pass begins from: a turn's reads all that lies before it itself."""
    return 0 if workload.kind is Kind.TURN else workload.depth_tokens


def time_prefill(
    decoder: Decoder,
    depth_tokens: int,
    ids: NDArray[np.int64],
    clock: Clock = time.perf_counter_ns,
    chunk_tokens: int = 0,
) -> int:
    """One pass over `ids` [batch, tokens] from `depth_tokens`, in ns."""
    decoder.rewind(depth_tokens)
    return time_call(feed_prompt(decoder, ids, chunk_tokens), clock)


def feed_prompt(
    decoder: Decoder, ids: NDArray[np.int64], chunk_tokens: int = 0
) -> Callable[[], None]:
    """Make ready what reads a prompt, and return what reads it.

    Args:
        decoder: standing where the prompt begins.
        ids: [batch, tokens].
        chunk_tokens: read at once; the next chunk is fed after the run over the one before, which
            is part of the reading. 0: all tokens in one run.
    """
    if not 0 < chunk_tokens < ids.shape[1]:
        decoder.feed(ids)
        return decoder.run
    starts = range(0, ids.shape[1], chunk_tokens)
    first, *others = (np.ascontiguousarray(ids[:, at : at + chunk_tokens]) for at in starts)
    decoder.feed(first)

    def read() -> None:
        decoder.run()
        for chunk in others:
            decoder.feed(chunk)
            decoder.run()

    return read


def time_step(
    decoder: Decoder, depth_tokens: int, ids: NDArray[np.int64], clock: Clock = time.perf_counter_ns
) -> int:
    """One whole decode step that reads `ids` [batch, 1] at `depth_tokens`, in ns."""
    decoder.rewind(depth_tokens)
    decoder.prepare_steps(depth_tokens, 1)
    decoder.next_ids[...] = ids[:, 0]
    return time_call(decoder.greedy_step, clock)


def _prefill(
    decoder: Decoder, workload: Workload, ids: NDArray[np.int64], clock: Clock
) -> PassOutcome:
    """The run over the prompt alone; the token is chosen after the clock has stopped."""
    prefill_ns = time_prefill(decoder, workload.depth_tokens, ids, clock, workload.chunk_tokens)
    decoder.pick_greedy()
    tokens = decoder.chosen(workload.depth_tokens + workload.prompt_tokens, 1)
    return PassOutcome(PassSample(prefill_ns=prefill_ns), tokens, _tells_tokens_apart(decoder))


def _decode(
    decoder: Decoder, workload: Workload, ids: NDArray[np.int64], clock: Clock
) -> PassOutcome:
    """`gen` steps; a step lasts from the end of one token to the end of the next."""
    decoder.prepare_steps(workload.depth_tokens, workload.gen_tokens)
    decoder.next_ids[...] = ids[:, 0]
    stamps_ns = [0] * (workload.gen_tokens + 1)
    stamps_ns[0] = clock()
    _steps(decoder, stamps_ns, clock)
    tokens = decoder.chosen(workload.depth_tokens + 1, workload.gen_tokens)
    return PassOutcome(
        PassSample(itl_ns=_differences(stamps_ns)), tokens, _tells_tokens_apart(decoder)
    )


def _request(
    decoder: Decoder, workload: Workload, ids: NDArray[np.int64], clock: Clock
) -> PassOutcome:
    """The prompt, the first token, then gen - 1 steps."""
    first_tokens = workload.depth_tokens + workload.prompt_tokens
    decoder.prepare_steps(first_tokens, workload.gen_tokens - 1)
    read = feed_prompt(decoder, ids, workload.chunk_tokens)
    stamps_ns = [0] * workload.gen_tokens
    start_ns = clock()
    read()
    prefilled_ns = clock()
    decoder.pick_greedy()
    stamps_ns[0] = clock()
    _steps(decoder, stamps_ns, clock)
    sample = PassSample(
        prefill_ns=prefilled_ns - start_ns,
        ttft_ns=stamps_ns[0] - start_ns,
        itl_ns=_differences(stamps_ns),
        e2e_ns=stamps_ns[-1] - start_ns,
    )
    tokens = decoder.chosen(first_tokens, workload.gen_tokens)
    return PassOutcome(sample, tokens, _tells_tokens_apart(decoder))


def _turn(
    decoder: Decoder, workload: Workload, ids: NDArray[np.int64], clock: Clock
) -> PassOutcome:
    """Everything read again up to the first token; then, with the cache kept, the turn itself.

    In this order, so that the turn begins behind the tokens that it would have behind it, whatever
    was in the cache. Of the first turn both are the same.
    """
    reread_ns = time_reread(decoder, ids, clock, workload.chunk_tokens)
    decoder.rewind(workload.depth_tokens)
    found = _request(decoder, workload, prompt_of(workload, ids), clock)
    return replace(found, sample=replace(found.sample, reread_ns=reread_ns))


def time_reread(
    decoder: Decoder,
    ids: NDArray[np.int64],
    clock: Clock = time.perf_counter_ns,
    chunk_tokens: int = 0,
) -> int:
    """The first token after a whole chat `ids` [batch, tokens] that no cache holds, in ns."""
    decoder.rewind(0)
    read = feed_prompt(decoder, ids, chunk_tokens)
    start_ns = clock()
    read()
    decoder.pick_greedy()
    return clock() - start_ns


def prompt_of(workload: Workload, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """What a test reads from its depth: of a turn's whole chat the last tokens [batch, prompt]."""
    if workload.kind is not Kind.TURN:
        return ids
    return np.ascontiguousarray(ids[:, workload.depth_tokens :])


PASSES: dict[Kind, Callable[[Decoder, Workload, NDArray[np.int64], Clock], PassOutcome]] = {
    Kind.PREFILL: _prefill,
    Kind.DECODE: _decode,
    Kind.REQUEST: _request,
    Kind.TURN: _turn,
}


def _steps(decoder: Decoder, stamps_ns: list[int], clock: Clock) -> None:
    """One step per stamp from index 1 on, each stamped at its end."""
    step = decoder.greedy_step
    for index in range(1, len(stamps_ns)):
        step()
        stamps_ns[index] = clock()


def _differences(stamps_ns: list[int]) -> tuple[int, ...]:
    """Time from each stamp to the next."""
    return tuple(end - start for start, end in pairwise(stamps_ns))


def _tells_tokens_apart(decoder: Decoder) -> bool:
    """Whether the last run gave numbers, of each sequence more than one.

    One that is none stays in the cache and in all later runs; logits that are all the same, such as
    zeros, are no work of a model.
    """
    logits = decoder.last_logits
    return bool(np.isfinite(logits).all() and (logits.max(-1) > logits.min(-1)).all())
