"""Which share of the hardware peaks a measured pass reached. Pure."""

from collections.abc import Callable
from functools import partial

from harness.builder.quantize.levels import QuantLevel
from harness.estimator.calibration.constants import is_attention, kernel_name
from harness.estimator.record import RecordEstimates
from harness.estimator.rules import STEP_MS, HardwarePeaks
from harness.estimator.timing import Breakdown
from harness.estimator.work import EXPERTS
from harness.results.calibration import Constants
from harness.results.metrics import metric_of_pass

_WEIGHTS = ("body", EXPERTS, "head")  # terms that read matrices


def mbu(
    step: Breakdown, seconds: float, constants: Constants, file_bytes: float | None = None
) -> float:
    """Memory bandwidth utilisation of a measured decode step, a share.

        (weights as held + cache read) / seconds / bandwidth at that working set

    Args:
        step: estimated, for the bytes.
        seconds: measured.
        constants: of this machine.
        file_bytes: of the weights on disk, to be taken instead of those held (`mbu_file`).

    Source: Databricks, "LLM Inference Performance Engineering", 2023 (the quotient).
    """
    cache_bytes = sum(t.work.read_bytes for t in step.terms if is_attention(t.work.kernel))
    held_bytes = sum(t.work.read_bytes for t in step.terms if t.work.name in _WEIGHTS)
    weights_bytes = held_bytes if file_bytes is None else file_bytes
    bandwidth = constants.bytes_per_s(held_bytes + cache_bytes)
    return (weights_bytes + cache_bytes) / seconds / bandwidth


def mfu(whole: Breakdown, seconds: float, peak_flop_per_s: float) -> float:
    """Matrix utilisation of a measured pass, a share: flop that count / seconds / peak.

    Source: PaLM, Chowdhery et al. 2022, arXiv:2204.02311, appendix B.
    """
    return whole.flop / seconds / peak_flop_per_s


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
        shares["mbu"] = (STEP_MS, lambda seconds: mbu(step, seconds, constants))
        shares["mbu_file"] = (STEP_MS, lambda seconds: mbu(step, seconds, constants, file_bytes))
    rates = constants.rates.get(kernel_name(level.body))
    for name in ("prefill", "encode"):
        if name in best.times and rates:
            peak, whole = max(point.rate_per_s for point in rates), best.times[name]
            shares["mfu"] = (metric_of_pass(name).name, partial(_mfu, whole, peak))
    return shares


def _mfu(whole: Breakdown, peak_flop_per_s: float, seconds: float) -> float:
    """Return mfu with the measured time last."""
    return mfu(whole, seconds, peak_flop_per_s)


def mbu_file(
    weights_bytes: int, cache_bytes: float, seconds: float, bandwidth_bytes_per_s: float
) -> float:
    """Share of the read bandwidth that a decode step reached, with the bytes of the file.

    (weights as stored + cache read) / seconds / bandwidth
    """
    return (weights_bytes + cache_bytes) / seconds / bandwidth_bytes_per_s
