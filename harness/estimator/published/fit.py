"""From published rows to the engines' table: four fits for each kind of engine."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp

from harness.estimator.published.amounts import reference_bytes_per_s, stated_w
from harness.estimator.published.asking import AskedRow
from harness.estimator.published.effects import (
    KINDS,
    memory_observation,
    memory_priors,
    pass_observation,
    pass_priors,
    power_observation,
    power_priors,
    step_observation,
    step_priors,
)
from harness.estimator.published.hierarchy import (
    Observation,
    Posterior,
    Prediction,
    Priors,
    fit,
    predict,
)
from harness.estimator.published.memory import counted_memory
from harness.estimator.published.rows import WEAK_POWER

SAME_TIME = 0.1  # a prefill rate that is prompt over TTFT, to this share, is no second value


@dataclass(frozen=True, slots=True)
class Measured:
    """One published value with what it is explained by.

    Attributes:
        asked: its row.
        metric: `decode`, `prefill`, `ttft`, `encode`, `peak`, `power`.
        observation: of it.
    """

    asked: AskedRow
    metric: str
    observation: Observation


@dataclass(frozen=True, slots=True)
class Fits:
    """What the rows say of one kind of engine.

    Attributes:
        step: of decode steps.
        passes: over prompts.
        memory: peaks.
        power: watts.
    """

    step: Posterior
    passes: Posterior
    memory: Posterior
    power: Posterior


def precision_word(asked: AskedRow) -> str:
    """Return the first word of an NPU row's precision; elsewhere it says nothing more."""
    return asked.row.precision.split()[0] if asked.engine.kind == "npu" else ""


def step_value(asked: AskedRow) -> Measured | None:
    """Return the decode rate of a row as the time of a step."""
    if asked.row.decode_tok_s is None or not asked.model.decodes:
        return None
    observation = step_observation(
        asked.place,
        asked.read_s,
        asked.step.layers,
        bits=asked.level.weight_bits,
        precision=precision_word(asked),
        seconds=1 / asked.row.decode_tok_s,
    )
    return Measured(asked, "decode", observation)


def pass_values(asked: AskedRow, step: Posterior) -> Iterator[Measured]:
    """Yield the times of passes of a row."""
    compute_s, row = asked.compute_s, asked.row
    if compute_s is None:
        return
    bits, word = asked.level.weight_bits, precision_word(asked)
    ttft_s = None if row.ttft_ms is None else row.ttft_ms / 1e3
    if not asked.model.decodes or asked.model.encoder_tokens:
        if ttft_s is not None:
            seen = pass_observation(
                asked.place,
                compute_s,
                0.0,
                bits=bits,
                with_request=False,
                is_encoder=True,
                seconds=ttft_s,
            )
            yield Measured(asked, "encode", seen)
        return
    streamed_s = _streamed_s(asked, step)
    if ttft_s is not None:
        seen = pass_observation(
            asked.place, compute_s, streamed_s, bits=bits, precision=word, seconds=ttft_s
        )
        yield Measured(asked, "ttft", seen)
    if row.prefill_tok_s is not None:
        spent_s = asked.prompt_tokens / row.prefill_tok_s
        if ttft_s is None or abs(spent_s / ttft_s - 1) > SAME_TIME:
            seen = pass_observation(
                asked.place,
                compute_s,
                streamed_s,
                bits=bits,
                with_request=False,
                precision=word,
                seconds=spent_s,
            )
            yield Measured(asked, "prefill", seen)


def _streamed_s(asked: AskedRow, step: Posterior) -> float:
    """Return how long it takes to read every weight once and to run through the layers."""
    amounts = asked.step
    read_s = (amounts.body_bytes + amounts.head_bytes) / reference_bytes_per_s(
        asked.device, asked.engine
    )
    bits = asked.level.weight_bits
    return exp(
        predict(step, step_observation(asked.place, read_s, amounts.layers, bits=bits)).log_value
    )


def memory_value(asked: AskedRow) -> Measured | None:
    """Return the peak of memory of a row."""
    if asked.row.peak_bytes is None or not asked.model.decodes:
        return None
    counted = counted_memory(
        asked.model,
        asked.level,
        asked.runtime,
        prompt_tokens=asked.prompt_tokens,
        depth_tokens=0,
        capacity_tokens=asked.context_tokens,
    )
    observation = memory_observation(asked.place, counted.peak_bytes, asked.row.peak_bytes)
    return Measured(asked, "peak", observation)


def power_value(asked: AskedRow) -> Measured | None:
    """Return the power of a row; its energy of a token times its rate where that alone is there."""
    row = asked.row
    watts, stated = row.watts, stated_w(asked.device.power_w, asked.engine)
    if watts is None and row.j_per_token is not None and row.decode_tok_s is not None:
        watts = row.j_per_token * row.decode_tok_s
    if watts is None or stated is None or WEAK_POWER in row.note:
        return None
    return Measured(asked, "power", power_observation(asked.place, stated, watts))


def fit_kind(kind: str, rows: Sequence[AskedRow], start: Fits | None = None) -> Fits:
    """Fit engines of a kind to rows, those of other kinds left out."""
    of = [asked for asked in rows if asked.place.kind == kind]
    was = (None,) * 4 if start is None else (start.step, start.passes, start.memory, start.power)
    step = _fitted(map(step_value, of), step_priors(kind), was[0])
    passes = (value for asked in of for value in pass_values(asked, step))
    return Fits(
        step=step,
        passes=_fitted(passes, pass_priors(kind), was[1]),
        memory=_fitted(map(memory_value, of), memory_priors(kind), was[2]),
        power=_fitted(map(power_value, of), power_priors(kind), was[3]),
    )


def _fitted(
    values: Iterable[Measured | None], priors: Priors, start: Posterior | None
) -> Posterior:
    """Fit the values that there are."""
    return fit([value.observation for value in values if value is not None], priors, start)


def predictions(asked: AskedRow, fits: Fits) -> Iterator[tuple[Measured, Prediction]]:
    """Yield every published value of a row with what a fit expects."""
    step, memory, power = step_value(asked), memory_value(asked), power_value(asked)
    if step is not None:
        yield step, predict(fits.step, step.observation)
    for value in pass_values(asked, fits.step):
        yield value, predict(fits.passes, value.observation)
    if memory is not None:
        yield memory, predict(fits.memory, memory.observation)
    if power is not None:
        yield power, predict(fits.power, power.observation)


def fit_all(rows: Sequence[AskedRow]) -> dict[str, Fits]:
    """Fit every kind of engine."""
    return {kind: fit_kind(kind, rows) for kind in KINDS}


def without_device(
    rows: Sequence[AskedRow], device: str, whole: Mapping[str, Fits]
) -> dict[str, Fits]:
    """Fit again without one device, the kinds of engines that it has."""
    kept = [asked for asked in rows if asked.device.key != device]
    kinds = {asked.place.kind for asked in rows if asked.device.key == device}
    return {kind: fit_kind(kind, kept, whole[kind]) for kind in kinds}
