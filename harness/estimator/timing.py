"""How long the work of a pass takes, term by term, over what a machine can do.

time = Σ max(read bytes / bandwidth, flop / rate of the kernel) + Σ calls · time of a call

Each of these times is scaled by how the machine has drifted since its constants were measured,
where a run has looked: see harness.estimator.calibration.pulse.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from harness.builder.quantize.levels import CacheLevel, QuantLevel
from harness.estimator.calibration.constants import (
    ATTENTION_CALL,
    QUICK,
    SESSION_CALL,
    calibrated_flop_per_byte,
    call_name,
    is_attention,
    values_per_flop,
)
from harness.estimator.calibration.operators import STATES, other_cache, stand_in, typical_slower
from harness.estimator.memory import ORT_CPU, Runtime
from harness.estimator.work import MATRIX_STREAM, STREAM, Pass, Work, pass_work
from harness.models.specs.structure import ModelStructure, Stage
from harness.results.calibration import Constants, Drift, RatePoint

_CALL = call_name("")  # the end of such a name
# A timed kernel is bound by memory where reading alone takes at least this share of its time.
NEAR_MEMORY = 0.7
# Source: benchmarks/attention_constants.py, onnxruntime 1.32.0: 64 tokens take 0.56 ms alone and
# 3.5 behind 1024, where 128 and 256 alone take 1.8 and 6.5.
PAST_FASTER, PAST_ROWS = 2.0, 8
LEAST_CACHE_GAIN = 1.25  # of a bandwidth in a cache over one beyond it, else there is no cache
STEADY = Drift(1.0, 1.0, 1.0, 0)  # of constants that nothing was held against since


@dataclass(frozen=True, slots=True)
class Term:
    """One summand of an estimated time.

    Attributes:
        work: what is done.
        seconds: how long it takes.
        memory_s: its bytes over the bandwidth.
        compute_s: its flop over the kernel's rate; None where no rate is known.
        bound: which of them decides: `memory`, `compute`, `overhead`, or `sequential`: a prompt
            that is read token after token.
    """

    work: Work
    seconds: float
    memory_s: float
    compute_s: float | None
    bound: str


@dataclass(frozen=True, slots=True)
class Breakdown:
    """An estimated time and the terms it is the sum of.

    Attributes:
        name: of the pass.
        terms: in the order of the pass.
        basis: of the constants.
        compute_known: whether every term that computes had a rate to be bounded by.
    """

    name: str
    terms: tuple[Term, ...]
    basis: str
    compute_known: bool

    @property
    def seconds(self) -> float:
        """The sum of the terms."""
        return sum(term.seconds for term in self.terms)

    @property
    def dominating(self) -> Term:
        """The largest term."""
        return max(self.terms, key=lambda term: term.seconds)

    @property
    def bound(self) -> str:
        """What most of the time goes to: `memory`, `compute`, `overhead` or `sequential`."""
        kinds = ("memory", "compute", "overhead", "sequential")
        return max(kinds, key=lambda kind: sum(t.seconds for t in self.terms if t.bound == kind))

    @property
    def read_bytes(self) -> float:
        """Bytes read from memory."""
        return sum(term.work.read_bytes for term in self.terms)

    @property
    def flop(self) -> float:
        """Floating-point operations without masked positions."""
        return sum(term.work.useful_flop for term in self.terms)


def decode_step(
    model: ModelStructure,
    level: QuantLevel,
    constants: Constants,
    *,
    depth_tokens: int = 0,
    batch: int = 1,
    runtime: Runtime = ORT_CPU,
    cache: CacheLevel | None = None,
) -> Breakdown:
    """Estimate one decode step: one new token of each sequence on `depth_tokens` cached ones.

    Decode tok/s is `batch / seconds`. Choosing the token and the caller's own time are left out.
    The cache is of the level's float type where none is given.
    """
    frames = model.encoder_tokens or 0
    shape = Pass(1, depth_tokens, batch, encoder_tokens=frames, cache=cache)
    return timed("decode step", pass_work(model, level, runtime, shape), constants)


def prefill(
    model: ModelStructure,
    level: QuantLevel,
    constants: Constants,
    *,
    prompt_tokens: int,
    depth_tokens: int = 0,
    batch: int = 1,
    runtime: Runtime = ORT_CPU,
    cache: CacheLevel | None = None,
) -> Breakdown:
    """Estimate the pass over a prompt up to the logits of its last token.

    Prefill tok/s is `batch · prompt_tokens / seconds`; TTFT is these seconds and an argmax. An
    encoder-decoder encodes the prompt (Whisper: its fixed frames) and decodes one start token; an
    encoder only encodes.
    """
    encoding = any(attention.stage is Stage.ENCODER for attention in model.attention)
    if not encoding:
        shape = Pass(prompt_tokens, depth_tokens, batch, cache=cache)
        return timed("prefill", pass_work(model, level, runtime, shape), constants)
    frames = model.encoder_tokens or prompt_tokens
    work = pass_work(model, level, runtime, Pass(frames, 0, batch, Stage.ENCODER))
    if model.decodes:
        work += pass_work(model, level, runtime, Pass(1, 0, batch, encoder_tokens=frames))
    return timed("encode", work, constants)


def in_turn(passes: Sequence[Breakdown]) -> Breakdown:
    """Return one breakdown of passes that run one after the other: terms of one name are added."""
    first, *others = passes
    if not others:
        return first
    terms: dict[tuple[str, str], list[Term]] = defaultdict(list)
    for one in passes:
        for term in one.terms:
            terms[term.work.name, term.work.kernel].append(term)
    return replace(first, terms=tuple(_added(alike) for alike in terms.values()))


def _added(terms: Sequence[Term]) -> Term:
    """Return the sum of terms of one name; what bounds it is what bounds most of its time."""
    longest = max(terms, key=lambda term: term.seconds)
    works = [term.work for term in terms]
    work = replace(
        longest.work,
        read_bytes=sum(work.read_bytes for work in works),
        flop=sum(work.flop for work in works),
        useful_flop=sum(work.useful_flop for work in works),
        calls=sum(work.calls for work in works),
    )
    rates = [term.compute_s for term in terms if term.compute_s is not None]
    return replace(
        longest,
        work=work,
        seconds=sum(term.seconds for term in terms),
        memory_s=sum(term.memory_s for term in terms),
        compute_s=sum(rates) if rates else None,
    )


def timed(name: str, work: Iterable[Work], constants: Constants) -> Breakdown:
    """Give each term of a pass its time.

    The working set of a rate is all that the pass reads: nothing stays in a cache between two
    readings of a weight but what fits beside all the others.
    """
    asked = [item for item in work if not _is_left_out(item, constants)]
    work = tuple(_with_known_rate(item, constants) for item in asked)
    weighing = (item for item in work if item.flop and item.kernel not in STATES)
    working_set_bytes = max(1.0, sum(item.read_bytes for item in weighing))
    terms = tuple(_term(item, constants, working_set_bytes) for item in work)
    known = all(term.compute_s is not None for term in terms if term.work.flop)
    return Breakdown(name, terms, _basis(constants, asked, work), known)


def _with_known_rate(work: Work, constants: Constants) -> Work:
    """Return a term by the rate of its own kernel, or of the one that stands in for it."""
    kernel = work.kernel.removesuffix(_CALL)
    if kernel in constants.rates:
        return work
    other = stand_in(kernel)
    if other not in constants.rates:
        other = other_cache(other)
    if other == kernel:
        return work
    if not other:
        return replace(work, kernel=STREAM, flop=0.0, useful_flop=0.0)
    slower = typical_slower(kernel, work.rows) if constants.measured else 1.0
    kernel = f"{other}{_CALL}" if work.kernel.endswith(_CALL) else other
    return replace(work, kernel=kernel, flop=work.flop * slower)


def _basis(constants: Constants, asked: Iterable[Work], work: Iterable[Work]) -> str:
    """Return where the constants come from, and which of those that were measured are missing."""
    pairs = zip(asked, work, strict=True)
    missing = {one.kernel.removesuffix(_CALL) for one, other in pairs if one.kernel != other.kernel}
    if not missing or not constants.measured:
        return constants.basis
    return f"{constants.basis}, without {', '.join(sorted(missing))} (typical values)"


def _term(work: Work, constants: Constants, working_set_bytes: float) -> Term:
    """Bound one term by memory, compute or the calls it makes."""
    if work.calls:
        call_s = _call_s(work.kernel, constants, working_set_bytes)
        call_s /= (constants.drift or STEADY).calls
        return Term(work, work.calls * call_s, 0.0, None, "overhead")
    if not work.flop:
        return _moved(work, constants)
    drift = constants.drift or STEADY
    memory_s = work.read_bytes / constants.bytes_per_s(working_set_bytes)
    size_bytes = work.set_bytes or working_set_bytes
    rate = constants.rate_per_s(work.kernel, work.rows, size_bytes)
    if rate is None:
        memory_s /= drift.memory
        return Term(work, memory_s, memory_s, None, "memory")
    compute_s = work.flop / rate + _shape_s(work, constants, rate) - _past_s(work, constants, rate)
    if constants.measured and work.rows == 1 and is_attention(work.kernel):
        return _attended(work, constants, working_set_bytes)
    bound = "compute" if compute_s > memory_s else "memory"
    reads_inside = work.rows == 1 or is_attention(work.kernel) or work.kernel in STATES
    if constants.measured and reads_inside:
        # The rate was taken while the kernel read as much: reading is inside it.
        bound = "memory" if memory_s > NEAR_MEMORY * compute_s else "compute"
        bound = "sequential" if work.sequential else bound
        seconds = _drifted_s(compute_s, memory_s, drift)
        return Term(work, seconds, memory_s / drift.memory, seconds, bound)
    memory_s, compute_s = memory_s / drift.memory, compute_s / drift.matrix
    return Term(work, max(memory_s, compute_s), memory_s, compute_s, bound)


def _shape_s(work: Work, constants: Constants, rate: float) -> float:
    """Return what matrices take longer than those of the calibration for as many products.

        flop of their tails / rate + (values - flop · values a flop there) / values in a second

    Of prompts alone. Wider matrices gain nothing: 2048 x 5632 multiplies 64 rows as fast as the
    calibration's (benchmarks/prefill_shapes.py), which have no tail.
    """
    if work.rows == 1 or not constants.measured:
        return 0.0
    tail_s = work.tail_flop / rate
    per_s = constants.inputs_per_s(work.kernel, work.rows)
    if per_s is None or not work.values:
        return tail_s
    return tail_s + max(0.0, work.values - work.flop * values_per_flop(QUICK)) / per_s


def _past_s(work: Work, constants: Constants, rate: float) -> float:
    """Return what a prompt's attention takes less than its rate says, behind a filled cache.

        past flop / rate - past flop / (PAST_FASTER · rate of PAST_ROWS times as many rows)

    A calibration's prompts attend to themselves, where half of the pairs are masked, one by one;
    none of those with what was cached before is. Products of few rows are as fast as those of many
    once each row has many to meet.
    """
    if not work.past_flop or not constants.measured:
        return 0.0
    faster = PAST_FASTER * (
        constants.rate_per_s(work.kernel, PAST_ROWS * work.rows, work.set_bytes) or rate
    )
    return work.past_flop / rate - work.past_flop / faster


def _attended(work: Work, constants: Constants, working_set_bytes: float) -> Term:
    """Time the attention of one token: every query head multiplies, each key head is read once.

        seconds = flop / rate in a cache + bytes of the cache · s a byte from memory

    The rate in a cache is the fastest that was measured. What lies between two steps, weights
    above all, has pushed the cache of a small model out too, so that it is read from where the
    whole working set lies.
    Source: benchmarks/attention_constants.py, onnxruntime 1.31.1 and 1.32.0.
    """
    points = [point for point in constants.rates[work.kernel] if point.rows == 1]
    fastest = max(points, key=lambda point: point.rate_per_s)
    size_bytes = max(working_set_bytes, work.set_bytes)
    drift = constants.drift or STEADY
    byte_s = max(
        _from_memory_s(constants, fastest.size_bytes, size_bytes),
        _slower_s(work.kernel, constants, fastest, size_bytes),
    )
    read_s = work.set_bytes * byte_s / drift.memory
    multiplied_s = work.flop / fastest.rate_per_s / drift.matrix
    bound = "memory" if read_s > multiplied_s else "compute"
    return Term(work, read_s + multiplied_s, read_s, multiplied_s, bound)


def _from_memory_s(constants: Constants, hot_bytes: float, size_bytes: float) -> float:
    """Return seconds a byte of a working set, none of a set that a cache holds.

    share / bandwidth beyond any cache
    share = (1 / bandwidth here - 1 / in a cache) / (1 / beyond - 1 / in a cache)
    """
    hot_s, here_s, far_s = (
        1 / constants.bytes_per_s(size) for size in (hot_bytes, size_bytes, math.inf)
    )
    if far_s < LEAST_CACHE_GAIN * hot_s:  # the curve shows no cache: it is in the rate already
        return 0.0
    return far_s * min(max((here_s - hot_s) / (far_s - hot_s), 0.0), 1.0)


def _slower_s(kernel: str, constants: Constants, fastest: RatePoint, size_bytes: float) -> float:
    """Return seconds a byte that attention itself was slower beyond a cache.

    (1 / rate at the working set - 1 / rate in a cache) · flop a byte of the calibration's shape
    """
    here = constants.rate_per_s(kernel, 1, size_bytes) or fastest.rate_per_s
    slower_s = max(0.0, 1 / here - 1 / fastest.rate_per_s)
    return slower_s * calibrated_flop_per_byte(kernel)


def _drifted_s(seconds: float, memory_s: float, drift: Drift) -> float:
    """Return what a kernel takes now that read memory while it was timed.

        seconds · (m / drift of memory + (1 - m) / drift of matrices),  m = memory_s / seconds

    The part of its time that reading alone explains moves with memory, the rest with products.
    """
    share = min(1.0, memory_s / seconds)
    return seconds * (share / drift.memory + (1 - share) / drift.matrix)


def _moved(work: Work, constants: Constants) -> Term:
    """Time bytes that are only moved: at a rate of their own where one was measured."""
    rate, drift = constants.rate_per_s(work.kernel, work.rows, work.read_bytes), constants.drift
    seconds = work.read_bytes / (rate or constants.bytes_per_s(work.read_bytes))
    if drift is not None:
        seconds /= drift.memory if rate is None else drift.matrix
    return Term(work, seconds, seconds, None, "sequential" if work.sequential else "memory")


def _is_left_out(work: Work, constants: Constants) -> bool:
    """Whether a term is a fixed cost that is not known, or is inside the rate of another."""
    if work.kernel in (ATTENTION_CALL, SESSION_CALL):
        return work.kernel not in constants.times and work.kernel not in constants.rates
    return work.kernel == MATRIX_STREAM and constants.measured


def _call_s(name: str, constants: Constants, working_set_bytes: float) -> float:
    """Return the time of one call; of a kernel without one that of any operator."""
    calls_per_s = constants.rate_per_s(name, 1, working_set_bytes)
    if calls_per_s is not None:
        return 1.0 / calls_per_s
    time = constants.times.get(name)
    return (constants.operator_s or 0.0) if time is None else time.seconds
