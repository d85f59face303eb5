"""What a case takes in bytes and in seconds: by the engines' table, or as measured here."""

from dataclasses import dataclass, replace

from harness.core.errors import UsageError
from harness.estimator.calibration.constants import CHOICE, ELEMENTWISE, kernel_name
from harness.estimator.memory import (
    ANY_ENGINE,
    MemoryBreakdown,
    MemoryTerm,
    peak_memory,
    stored_model_bytes,
)
from harness.estimator.published.answering import (
    file_bytes,
    memory_taken,
    pass_time,
    step_time,
)
from harness.estimator.published.table import Spread
from harness.estimator.query import Case, Range, stored_bits
from harness.estimator.timing import Breakdown, decode_step, prefill, timed
from harness.estimator.work import MATRIX_STREAM, Pass, Work, pass_work
from harness.models.specs.structure import Stage
from harness.results.calibration import Constants

CACHED_VALUE_BYTES = 2  # of runtimes elsewhere


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of a case.

    Attributes:
        weights_bytes: in the file, scales included.
        kv_bytes_per_token: one token adds to the cache; None: not known.
        memory: the estimated peak and its parts.
        available_bytes: that the device leaves.
        peak_bytes: the range of the peak; None: of this machine, whose peak is known closely.
    """

    weights_bytes: float
    kv_bytes_per_token: int | None
    memory: MemoryBreakdown
    available_bytes: float
    peak_bytes: Range | None = None

    @property
    def fits(self) -> bool:
        """Whether the peak is within what is available."""
        return self.memory.peak_bytes <= self.available_bytes


def case_sizes(case: Case) -> Sizes:
    """Return the bytes of a case; of a bare count only its weights and the runtime."""
    if not case.runs_on_ort:
        return _table_sizes(case)
    structure, level, lengths = case.target.structure, case.level, case.lengths
    available = case.budget.available_bytes
    if structure is None:
        weights = case.target.parameters * stored_bits(level) / 8
        runtime = MemoryTerm("runtime", float(case.runtime.base_bytes))
        memory = MemoryBreakdown((MemoryTerm("weights", weights), runtime), case.runtime.name)
        return Sizes(weights, None, memory, available)
    memory = peak_memory(
        structure,
        level,
        prompt_tokens=lengths.prompt_tokens,
        depth_tokens=lengths.depth_tokens,
        gen_tokens=lengths.gen_tokens,
        capacity_tokens=lengths.capacity_tokens,
        batch=lengths.batch,
        runtime=case.runtime,
    )
    kv_bytes = structure.kv_bytes_per_token(level.float_bytes)
    return Sizes(float(stored_model_bytes(structure, level)), kv_bytes, memory, available)


def _table_sizes(case: Case) -> Sizes:
    """Return the bytes under the runtime of a catalog device; its cache has 16 bit."""
    structure, lengths = case.target.structure, case.lengths
    memory, spread = memory_taken(
        case.question, gen_tokens=lengths.gen_tokens, capacity_tokens=lengths.capacity_tokens
    )
    return Sizes(
        file_bytes(case.question),
        None if structure is None else structure.kv_bytes_per_token(CACHED_VALUE_BYTES),
        memory,
        case.budget.available_bytes,
        _within(spread),
    )


def _within(spread: Spread) -> Range:
    """Return what four fifths of published values lie in."""
    return Range(spread.centre / spread.factor, spread.centre * spread.factor)


# Activations: the floor of energy does without them.
MAY_STAY_IN_A_CACHE = (MATRIX_STREAM, ELEMENTWISE, CHOICE)


@dataclass(frozen=True, slots=True)
class Speeds:
    """Estimated times and rates; None: the model does not do it, or a peak is not known.

    Attributes:
        step_s: one decode step; of an encoder, its pass.
        ttft_s: prefill up to the logits of the last token, warm.
        reread_ttft_s: of a turn the same where everything before it is read again.
        encode_s: one pass of the encoder (and the first token, where a decoder follows).
        prefill_tok_s: prompt tokens per second.
        decode_tok_s: generated tokens per second, of all sequences.
        bound: what most of the step goes to: `memory`, `compute`, `overhead`, or two of them
            where the ends differ.
        steps: the step at the slow and at the fast end, term by term.
        prefills: the prefill at both ends; empty where a peak is not known.
    """

    step_s: Range
    ttft_s: Range | None
    encode_s: Range | None
    prefill_tok_s: Range | None
    decode_tok_s: Range | None
    bound: str
    steps: tuple[Breakdown, ...]
    prefills: tuple[Breakdown, ...]
    reread_ttft_s: Range | None = None


def case_speeds(case: Case) -> Speeds:
    """Return the estimated speeds of a case.

    Raises:
        UsageError: an encoder on an engine whose peak nobody states: all that it does is multiply.
    """
    prefills, steps = _prefill(case), _steps(case)
    if not case.decodes:
        _check_peak(case, prefills)
        steps = prefills
    spent = _seconds(prefills) if prefills else None
    step = _seconds(steps)
    encodes = bool(prefills) and prefills[0].name == "encode"
    batch, prompt = case.lengths.batch, case.lengths.prompt_tokens
    rest = _prefill(case, with_request=False)
    return Speeds(
        step_s=step,
        ttft_s=spent if case.decodes else None,
        encode_s=spent if encodes else None,
        prefill_tok_s=None if encodes or not rest else _rate(_seconds(rest), prompt * batch),
        decode_tok_s=_rate(step, batch) if case.decodes else None,
        bound="/".join(dict.fromkeys(breakdown.bound for breakdown in steps)),
        steps=steps,
        prefills=prefills,
        reread_ttft_s=_reread(case) if case.lengths.gen_tokens and prefills else None,
    )


def _check_peak(case: Case, prefills: tuple[Breakdown, ...]) -> None:
    """Refuse a pass that cannot be timed; the fix names the engines on which it can."""
    if prefills:
        return
    others = [engine.kind for engine in case.device.engine if engine.has_peaks]
    raise UsageError(
        f"no compute peak of the {case.engine.kind} of {case.device.key} is known:"
        f" how long {case.target.name} takes there cannot be told",
        fix=f"--engine {' or '.join(others)}" if others else "another device",
    )


def _reread(case: Case) -> Range:
    """Return the time to the first token of a turn whose cache was lost."""
    return _seconds(_prefill(replace(case, lengths=case.lengths.read_again)))


def least_work(case: Case) -> tuple[Work, ...]:
    """Return what any engine must do for one step (an encoder: its pass): the floor of energy."""
    structure, lengths = case.target.structure, case.lengths
    if structure is None:
        return _count_work(case, rows=lengths.batch)
    shape = Pass(
        1, lengths.step_depth_tokens, lengths.batch, encoder_tokens=structure.encoder_tokens or 0
    )
    if not case.decodes:
        tokens = structure.encoder_tokens or lengths.prompt_tokens
        shape = Pass(tokens, 0, lengths.batch, Stage.ENCODER)
    work = pass_work(structure, case.level, ANY_ENGINE, shape)
    return tuple(term for term in work if term.kernel not in MAY_STAY_IN_A_CACHE)


def _prefill(case: Case, *, with_request: bool = True) -> tuple[Breakdown, ...]:
    """Return the prefill, or the encoder's pass, at both ends; empty: a peak is not known."""
    if case.peaks is None:
        return pass_time(case.question, with_request=with_request) or ()
    ends = tuple(_measured_prefill(case, end) for end in case.peaks)
    return ends if all(breakdown.compute_known for breakdown in ends) else ()


def _steps(case: Case) -> tuple[Breakdown, ...]:
    """Return one decode step at both ends; empty: the model decodes nothing."""
    if not case.decodes:
        return ()
    if case.peaks is None:
        return step_time(replace(case.question, depth_tokens=case.lengths.step_depth_tokens))
    return tuple(_measured_step(case, end) for end in case.peaks)


def _measured_prefill(case: Case, constants: Constants) -> Breakdown:
    """Return the prefill, or the encoder's pass, by constants that were measured here."""
    structure, lengths = case.target.structure, case.lengths
    if structure is None:
        work = _count_work(case, rows=lengths.prompt_tokens * lengths.batch)
        return timed("prefill", work, constants)
    return prefill(
        structure,
        case.level,
        constants,
        prompt_tokens=lengths.prompt_tokens,
        depth_tokens=lengths.depth_tokens,
        batch=lengths.batch,
        runtime=case.runtime,
    )


def _measured_step(case: Case, constants: Constants) -> Breakdown:
    """Return one decode step by constants that were measured here."""
    structure, lengths = case.target.structure, case.lengths
    if structure is None:
        return timed("decode step", _count_work(case, rows=lengths.batch), constants)
    return decode_step(
        structure,
        case.level,
        constants,
        depth_tokens=lengths.step_depth_tokens,
        batch=lengths.batch,
        runtime=case.runtime,
    )


def _count_work(case: Case, rows: int) -> tuple[Work, ...]:
    """Return the work of a bare parameter count: every weight once, two flop per weight and row."""
    parameters = case.target.parameters
    read_bytes = parameters * stored_bits(case.level) / 8
    flop = 2.0 * parameters * rows
    kernel = kernel_name(case.level.body)
    return (Work("all weights", kernel, rows, read_bytes, flop, flop),)


def _seconds(ends: tuple[Breakdown, ...]) -> Range:
    """Return the least and greatest time."""
    seconds = [breakdown.seconds for breakdown in ends]
    return Range(min(seconds), max(seconds))


def _rate(seconds: Range, count: int) -> Range:
    """Return events per second: the longer the time, the lower the rate."""
    return Range(count / seconds.high, count / seconds.low)
