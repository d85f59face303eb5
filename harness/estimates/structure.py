"""The structure estimate: what a pass has to do, over what a machine can do, term by term.

    time = Σ max(read bytes / bandwidth, flop / rate of the kernel) + Σ calls · time of a call

With constants of a data sheet it is the `structure` estimate, with constants measured on this
machine the `calibrated` one; the function is the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from harness.ceilings.constants import (
    ATTENTION,
    ATTENTION_CALL,
    OPERATOR_CALL,
    SESSION_CALL,
    Constants,
)
from harness.estimates.held import ORT_CPU, Runtime
from harness.estimates.work import STREAM, Pass, Work, pass_work
from harness.quantize.levels import QuantLevel
from harness.specs.anatomy import Anatomy, Stage

FIXED_COSTS = (OPERATOR_CALL, ATTENTION_CALL, SESSION_CALL)


@dataclass(frozen=True, slots=True)
class Term:
    """One summand of an estimated time.

    Attributes:
        work: what is done.
        seconds: how long it takes.
        memory_s: its bytes over the bandwidth.
        compute_s: its flop over the kernel's rate; None where no rate is known.
        bound: which of them decides: `memory`, `compute` or `overhead`.
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
        """What most of the time goes to: `memory`, `compute` or `overhead`."""
        kinds = ("memory", "compute", "overhead")
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
    model: Anatomy,
    level: QuantLevel,
    constants: Constants,
    *,
    depth_tokens: int = 0,
    batch: int = 1,
    runtime: Runtime = ORT_CPU,
) -> Breakdown:
    """Estimate one decode step: one new token of each sequence on `depth_tokens` cached ones.

    Decode tok/s is `batch / seconds`. Choosing the token and the caller's own time are left out.
    """
    shape = Pass(1, depth_tokens, batch, encoder_tokens=model.encoder_tokens or 0)
    return timed("decode step", pass_work(model, level, runtime, shape), constants)


def prefill(
    model: Anatomy,
    level: QuantLevel,
    constants: Constants,
    *,
    prompt_tokens: int,
    depth_tokens: int = 0,
    batch: int = 1,
    runtime: Runtime = ORT_CPU,
) -> Breakdown:
    """Estimate the pass over a prompt up to the logits of its last token.

    Prefill tok/s is `batch · prompt_tokens / seconds`; TTFT is these seconds and an argmax. An
    encoder-decoder encodes the prompt (Whisper: its fixed frames) and decodes one start token; an
    encoder only encodes.
    """
    encoding = any(attention.stage is Stage.ENCODER for attention in model.attention)
    if not encoding:
        shape = Pass(prompt_tokens, depth_tokens, batch)
        return timed("prefill", pass_work(model, level, runtime, shape), constants)
    frames = model.encoder_tokens or prompt_tokens
    work = pass_work(model, level, runtime, Pass(frames, 0, batch, Stage.ENCODER))
    if model.decodes:
        work += pass_work(model, level, runtime, Pass(1, 0, batch, encoder_tokens=frames))
    return timed("encode", work, constants)


def timed(name: str, work: Iterable[Work], constants: Constants) -> Breakdown:
    """Give each term of a pass its time.

    The working set of a rate is all that the pass reads: nothing stays in a cache between two
    readings of a weight but what fits beside all the others.
    """
    work = tuple(item for item in work if not _unknown_call(item, constants))
    working_set_bytes = max(1.0, sum(item.read_bytes for item in work if item.kernel != STREAM))
    terms = tuple(_term(item, constants, working_set_bytes) for item in work)
    known = all(term.compute_s is not None for term in terms if term.work.flop)
    return Breakdown(name, terms, constants.basis, known)


def _term(work: Work, constants: Constants, working_set_bytes: float) -> Term:
    """Bound one term by memory, compute or the calls it makes."""
    if work.kernel in FIXED_COSTS:
        return Term(work, work.calls * _call_s(work.kernel, constants), 0.0, None, "overhead")
    stream_bytes = work.read_bytes if work.kernel == STREAM else working_set_bytes
    memory_s = work.read_bytes / constants.bytes_per_s(stream_bytes)
    size_bytes = work.read_bytes if work.kernel == ATTENTION else working_set_bytes
    rate = constants.flop_per_s(work.kernel, work.rows, size_bytes) if work.flop else None
    compute_s = work.flop / rate if rate else None
    if compute_s is not None and compute_s > memory_s:
        return Term(work, compute_s, memory_s, compute_s, "compute")
    return Term(work, memory_s, memory_s, compute_s, "memory")


def _unknown_call(work: Work, constants: Constants) -> bool:
    """Whether a term is a fixed cost that these constants do not know: it is left out."""
    return work.kernel in (ATTENTION_CALL, SESSION_CALL) and work.kernel not in constants.times


def _call_s(name: str, constants: Constants) -> float:
    """Return the time of one call; of an operator's the constant itself."""
    if name == OPERATOR_CALL:
        return constants.operator_s or 0.0
    return constants.times[name].seconds
