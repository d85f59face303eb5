"""The measured peaks of a machine, as its roofline and the charts side by side draw them. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from harness.report.charts.cells import Machine
from harness.results.calibration import Constants, RatePoint
from harness.results.environment import Environment

MATRICES = ("body", "head", "experts")  # terms of an estimate that multiply by matrices


@dataclass(frozen=True, slots=True)
class Roof:
    """The peaks of one device with one number of threads.

    Attributes:
        memory: read bandwidth at the largest working set, bytes/s.
        kernels: fastest rate by kernel, flop/s; empty: none is known.
        source: of the peaks, for the caption.
    """

    memory: RatePoint
    kernels: Mapping[str, RatePoint]
    source: str

    @property
    def bytes_per_s(self) -> float:
        """Read bandwidth."""
        return self.memory.rate_per_s

    @property
    def flop_per_s(self) -> dict[str, float]:
        """Fastest rates by kernel."""
        return {name: point.rate_per_s for name, point in self.kernels.items()}


def kernels_of(machine: Machine) -> frozenset[str]:
    """Kernels that multiply by matrices in the cells of a document."""
    explained = (record.explanation for record in machine.document.records if record.explanation)
    return frozenset(
        term.kernel
        for found in explained
        for one in found.passes
        for term in one.terms
        if term.term in MATRICES
    )


def roof_of(
    environment: Environment, device: str, threads: int, kernels: Collection[str]
) -> Roof | None:
    """The measured peaks of a device; of a processor without a calibration its bandwidth alone.

    Args:
        environment: of the document.
        device: row of the device table.
        threads: of the session.
        kernels: whose rates are of interest: those that multiply in the cells.
    """
    for stored in environment.calibration:
        if stored.device == device and stored.constants.threads in (threads, 0):
            return _calibrated(stored.constants, kernels)
    if device != "cpu":
        return None
    for read in environment.read_bandwidth:
        if read.threads == threads and read.bytes_per_s:
            return Roof(RatePoint(read.bytes_per_s), {}, "read bandwidth measured in this run")
    return None


def _calibrated(constants: Constants, kernels: Collection[str]) -> Roof | None:
    """The peaks of a calibration."""
    largest = max(constants.bandwidth, key=lambda point: point.size_bytes, default=None)
    if largest is None:
        return None
    rates = {
        name: max(points, key=lambda point: point.rate_per_s)
        for name, points in constants.rates.items()
        if points and name in kernels
    }
    return Roof(largest, rates, f"peaks {constants.basis}")
