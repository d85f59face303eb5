"""How fast a model should be on a catalog device: both ends of what its class was seen to reach."""

from dataclasses import dataclass

from harness.estimator.calibration.constants import CHOICE, ELEMENTWISE, Constants
from harness.estimator.calibration.shapes import kernel_name
from harness.estimator.case import Case, Range, stored_bits
from harness.estimator.data_sheet import device_constants
from harness.estimator.held import ANY_ENGINE
from harness.estimator.parameters import weights_bytes
from harness.estimator.structure import Breakdown, decode_step, prefill, timed
from harness.estimator.work import MATRIX_STREAM, Pass, Work, pass_work
from harness.models.specs.structure import Stage

# Activations: the floor of energy does without them.
MAY_STAY_IN_A_CACHE = (MATRIX_STREAM, ELEMENTWISE, CHOICE)


@dataclass(frozen=True, slots=True)
class Speeds:
    """Estimated times and rates; None: the model does not do it, or a peak is not known.

    Attributes:
        step_s: one decode step; of an encoder, its pass.
        ttft_s: prefill up to the logits of the last token, warm.
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


def case_speeds(case: Case) -> Speeds:
    """Return the estimated speeds of a case."""
    ends = case.peaks or [
        device_constants(case.device, case.level, case.engine, fast=fast) for fast in (False, True)
    ]
    prefills = tuple(_prefill(case, end) for end in ends)
    steps = tuple(_decode_step(case, end) for end in ends) if case.decodes else prefills
    known = all(breakdown.compute_known for breakdown in prefills)
    spent = _seconds(prefills) if known else None
    step = _seconds(steps)
    encodes = prefills[0].name == "encode"
    batch, prompt = case.lengths.batch, case.lengths.prompt_tokens
    return Speeds(
        step_s=step,
        ttft_s=spent if case.decodes else None,
        encode_s=spent if encodes else None,
        prefill_tok_s=None if encodes or spent is None else _rate(spent, prompt * batch),
        decode_tok_s=_rate(step, batch) if case.decodes else None,
        bound="/".join(dict.fromkeys(breakdown.bound for breakdown in steps)),
        steps=steps,
        prefills=prefills if known else (),
    )


def least_work(case: Case) -> tuple[Work, ...]:
    """Return what any engine must do for one step (an encoder: its pass): the floor of energy."""
    anatomy, lengths = case.target.anatomy, case.lengths
    if anatomy is None:
        return _count_work(case, rows=lengths.batch)
    shape = Pass(1, lengths.depth_tokens, lengths.batch, encoder_tokens=anatomy.encoder_tokens or 0)
    if not case.decodes:
        tokens = anatomy.encoder_tokens or lengths.prompt_tokens
        shape = Pass(tokens, 0, lengths.batch, Stage.ENCODER)
    work = pass_work(anatomy, case.level, ANY_ENGINE, shape)
    return tuple(term for term in work if term.kernel not in MAY_STAY_IN_A_CACHE)


def _prefill(case: Case, constants: Constants) -> Breakdown:
    """Return the prefill, or the encoder's pass."""
    anatomy, lengths = case.target.anatomy, case.lengths
    if anatomy is None:
        work = _count_work(case, rows=lengths.prompt_tokens * lengths.batch)
        return timed("prefill", work, constants)
    return prefill(
        anatomy,
        case.level,
        constants,
        prompt_tokens=lengths.prompt_tokens,
        depth_tokens=lengths.depth_tokens,
        batch=lengths.batch,
        runtime=case.runtime,
    )


def _decode_step(case: Case, constants: Constants) -> Breakdown:
    """Return one decode step."""
    anatomy, lengths = case.target.anatomy, case.lengths
    if anatomy is None:
        return timed("decode step", _count_work(case, rows=lengths.batch), constants)
    return decode_step(
        anatomy,
        case.level,
        constants,
        depth_tokens=lengths.depth_tokens,
        batch=lengths.batch,
        runtime=case.runtime,
    )


def _count_work(case: Case, rows: int) -> tuple[Work, ...]:
    """Return the work of a bare parameter count: every weight once, two flop per weight and row."""
    parameters = case.target.parameters
    read_bytes = weights_bytes(parameters, stored_bits(case.level))
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
