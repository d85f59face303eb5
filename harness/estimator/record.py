"""The estimates of one record: all estimators side by side, and how the best one came about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from harness.builder.quantize.levels import Form, QuantLevel
from harness.estimator import parameters as rule
from harness.estimator.calibration.constants import Constants
from harness.estimator.calibration.shapes import kernel_name
from harness.estimator.cells import (
    CellEstimate,
    CellLengths,
    bandwidth_only,
    cell_estimate,
    mbu,
    mfu,
    static_estimate,
    steps,
)
from harness.estimator.flat import breakdown_values
from harness.estimator.structure import Breakdown
from harness.models.specs.structure import ModelStructure

# Estimators by name, the simplest first; the last one that has a value is the best.
PARAMS, RULE_OF_THUMB, STRUCTURE, CALIBRATED = ESTIMATORS = (
    "params",
    "rule_of_thumb",
    "structure",
    "calibrated",
)

Values = Mapping[str, float]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HardwarePeaks:
    """What a machine can do, as far as one run knows it.

    Attributes:
        read_bytes_per_s: memory read by this run beside its rows; None: it could not be.
        measured: constants of a calibration; None: there is none.
    """

    read_bytes_per_s: float | None = None
    measured: Constants | None = None

    @property
    def bandwidth_bytes_per_s(self) -> float | None:
        """Read rate beyond any cache: this run's own, else the calibration's."""
        if self.read_bytes_per_s is not None or self.measured is None:
            return self.read_bytes_per_s
        return self.measured.bytes_per_s(float("inf"))

    @property
    def peak_flop_per_s(self) -> float | None:
        """The fastest float product that was measured; None without one."""
        kernels = self.measured.rates if self.measured is not None else {}
        rates = [
            point.rate_per_s
            for name, points in kernels.items()
            if name.startswith(Form.FLOAT)
            for point in points
        ]
        return max(rates, default=None)


@dataclass(frozen=True, slots=True)
class RecordEstimates:
    """All estimates of one cell.

    Attributes:
        by_metric: metric -> estimator -> value in the metric's unit; only what is known.
        explanation: the best estimator's sum, term by term, as plain values.
        best: what the explanation was drawn from, and what utilisation is measured against.
    """

    by_metric: Mapping[str, Mapping[str, float | None]]
    explanation: Json
    best: CellEstimate | None


def record_estimates(
    model: ModelStructure,
    level: QuantLevel,
    lengths: CellLengths,
    peaks: HardwarePeaks,
) -> RecordEstimates:
    """Estimate one cell by every estimator whose hardware peaks are known.

    params          parameters x bits, over bandwidth or peak
    rule_of_thumb   the same, of which 55 % is reached
    structure       what a pass really reads, over the bandwidth alone
    calibrated      the same over rates measured here; not of static decoders
    """
    parameters, bits = model.parameters, level.weight_bits
    sums: dict[str, CellEstimate] = {}
    if peaks.bandwidth_bytes_per_s is not None:
        constants = bandwidth_only(peaks.bandwidth_bytes_per_s)
        counted = cell_estimate if lengths.static is None else static_estimate
        sums[STRUCTURE] = counted(model, level, constants, lengths)
    if peaks.measured is not None and lengths.static is None:
        sums[CALIBRATED] = cell_estimate(model, level, peaks.measured, lengths)
    values: dict[str, Values] = {
        PARAMS: rule_values(parameters, bits, lengths, peaks, 1.0)
        if model.decodes
        else encode_rule_values(parameters, bits, lengths, peaks),
        RULE_OF_THUMB: _decoding(
            rule_values(parameters, bits, lengths, peaks, rule.RULE_OF_THUMB_SHARE)
        ),
        **{name: found.values for name, found in sums.items()},
    }
    by_metric: dict[str, dict[str, float | None]] = {}
    for name in ESTIMATORS:
        for metric, value in values.get(name, {}).items():
            by_metric.setdefault(metric, {})[name] = value
    best = next((name for name in (CALIBRATED, STRUCTURE) if name in sums), None)
    if best is None:
        return RecordEstimates(by_metric, {}, None)
    return RecordEstimates(by_metric, _explanation(best, sums[best], peaks), sums[best])


def rule_values(
    parameters: int, bits: float, lengths: CellLengths, peaks: HardwarePeaks, share: float
) -> Values:
    """Return what the parameter count alone says, at a share of the peaks.

        step = batch of one read of all weights; prefill = 2 · parameters flop per token
        memory = parameters · bits / 8

    Source: harness.estimator.parameters.
    """
    weights = rule.weights_bytes(parameters, bits)
    values = {"weights_bytes": weights, "peak_rss_bytes": weights}
    batch, peak = lengths.batch, peaks.peak_flop_per_s
    prefill_ms = step_ms = None
    if lengths.prompt_tokens and peak is not None:
        rate = rule.prefill_tok_s(parameters, peak * share)
        prefill_ms = 1e3 * batch * lengths.prompt_tokens / rate
        values |= {"prefill_tok_s": rate, "prefill_ms": prefill_ms, "ttft_ms": prefill_ms}
    if steps(lengths) and peaks.bandwidth_bytes_per_s is not None:
        rate = rule.decode_tok_s(parameters, bits, peaks.bandwidth_bytes_per_s * share, batch)
        step_ms = 1e3 * batch / rate
        values |= {"decode_tok_s": rate, "tpot_ms": step_ms}
    if lengths.gen_tokens and prefill_ms is not None:
        values["e2e_ms"] = prefill_ms + steps(lengths) * (step_ms or 0.0)
    return values


def encode_rule_values(
    parameters: int, bits: float, lengths: CellLengths, peaks: HardwarePeaks
) -> Values:
    """Return what the parameter count alone says of an encoder's pass.

        time = max(2 · parameters · tokens of all texts / peak, parameters · bits / 8 / bandwidth)

    Without a measured peak nothing is said: reading alone does not bound so many tokens.
    Source: harness.estimator.parameters.
    """
    weights = rule.weights_bytes(parameters, bits)
    values = {"weights_bytes": weights, "peak_rss_bytes": weights}
    peak, bandwidth = peaks.peak_flop_per_s, peaks.bandwidth_bytes_per_s
    if peak is None:
        return values
    tokens = lengths.batch * lengths.prompt_tokens
    seconds = tokens / rule.prefill_tok_s(parameters, peak)
    if bandwidth is not None:
        seconds = max(seconds, weights / bandwidth)
    return values | {"encode_ms": 1e3 * seconds, "encode_seq_s": lengths.batch / seconds}


def utilisation(
    found: RecordEstimates, level: QuantLevel, peaks: HardwarePeaks, file_bytes: float
) -> dict[str, tuple[str, Callable[[float], float]]]:
    """Return how a measured time becomes a utilisation, where the hardware peaks were measured.

    Args:
        found: estimates of the cell.
        level: of the model.
        peaks: of this machine.
        file_bytes: of the weights on disk.

    Returns:
        `mbu`, `mbu_file`, `mfu` -> (the metric that is measured, seconds of it -> share).
    """
    constants, best = peaks.measured, found.best
    if constants is None or best is None:
        return {}
    shares: dict[str, tuple[str, Callable[[float], float]]] = {}
    step = best.times.get("decode step")
    if step is not None:
        shares["mbu"] = ("tpot_ms", lambda seconds: mbu(step, seconds, constants))
        shares["mbu_file"] = ("tpot_ms", lambda seconds: mbu(step, seconds, constants, file_bytes))
    rates = constants.rates.get(kernel_name(level.body))
    for name, metric in (("prefill", "prefill_ms"), ("encode", "encode_ms")):
        if name in best.times and rates:
            peak, whole = max(point.rate_per_s for point in rates), best.times[name]
            shares["mfu"] = (metric, partial(_mfu, whole, peak))
    return shares


def _mfu(whole: Breakdown, peak_flop_per_s: float, seconds: float) -> float:
    """Return mfu with the measured time last."""
    return mfu(whole, seconds, peak_flop_per_s)


def _decoding(values: Values) -> Values:
    """Keep what the rule of thumb speaks of: decoding."""
    return {name: values[name] for name in ("decode_tok_s", "tpot_ms") if name in values}


def _explanation(name: str, found: CellEstimate, peaks: HardwarePeaks) -> Json:
    """Return the sum behind an estimate as plain values: terms of each pass, parts of memory."""
    threads = peaks.measured.threads if peaks.measured is not None else None
    return {
        "estimator": name,
        "basis": found.basis,
        "threads": threads,
        "passes": [
            {
                "pass": key,
                "seconds": breakdown.seconds,
                "bound": breakdown.bound,
                "complete": breakdown.compute_known,
                "terms": breakdown_values(breakdown),
            }
            for key, breakdown in found.times.items()
        ],
        "memory": [
            {"part": term.name, "bytes": term.resident_bytes} for term in found.memory.terms
        ],
    }
