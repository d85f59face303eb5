"""What the parameter count alone says of one cell, and what such rules know of a machine. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from harness.builder.quantize.levels import Form
from harness.estimator.answer import decode_tok_s, prefill_tok_s, weights_bytes
from harness.estimator.cell import CellLengths, steps
from harness.results.calibration import Constants
from harness.results.enums import Kind
from harness.results.metrics import metric_of_pass, rate_of_kind

STEP_MS, DECODE_RATE = metric_of_pass("decode step").name, rate_of_kind(Kind.DECODE).name
Values = Mapping[str, float]


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


def rule_values(
    parameters: int, bits: float, lengths: CellLengths, peaks: HardwarePeaks, share: float
) -> Values:
    """Return what the parameter count alone says, at a share of the peaks.

        step = batch of one read of all weights; prefill = 2 · parameters flop per token
        memory = parameters · bits / 8

    Source: harness.estimator.answer.
    """
    weights = weights_bytes(parameters, bits)
    values = {"weights_bytes": weights, "peak_rss_bytes": weights}
    batch, peak = lengths.batch, peaks.peak_flop_per_s
    prefill_ms = step_ms = None
    if lengths.prompt_tokens and peak is not None:
        rate = prefill_tok_s(parameters, peak * share)
        prefill_ms = 1e3 * batch * lengths.prompt_tokens / rate
        values |= {"prefill_tok_s": rate, "prefill_ms": prefill_ms, "ttft_ms": prefill_ms}
        if lengths.rereads:
            values["reread_ttft_ms"] = 1e3 * batch * lengths.read_again.prompt_tokens / rate
    if steps(lengths) and peaks.bandwidth_bytes_per_s is not None:
        rate = decode_tok_s(parameters, bits, peaks.bandwidth_bytes_per_s * share, batch)
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
    Source: harness.estimator.answer.
    """
    weights = weights_bytes(parameters, bits)
    values = {"weights_bytes": weights, "peak_rss_bytes": weights}
    peak, bandwidth = peaks.peak_flop_per_s, peaks.bandwidth_bytes_per_s
    if peak is None:
        return values
    tokens = lengths.batch * lengths.prompt_tokens
    seconds = tokens / prefill_tok_s(parameters, peak)
    if bandwidth is not None:
        seconds = max(seconds, weights / bandwidth)
    return values | {"encode_ms": 1e3 * seconds, "encode_seq_s": lengths.batch / seconds}


def decoding_of(values: Values) -> Values:
    """Keep what the rule of thumb speaks of: decoding."""
    return {name: values[name] for name in (DECODE_RATE, STEP_MS) if name in values}
