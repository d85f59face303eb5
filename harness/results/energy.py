"""What a record says of its energy: measured by which counters, or unavailable and why. Pure."""

from collections.abc import Sequence

from harness.results.enums import EnergyKind
from harness.results.metric_row import Source
from harness.results.metrics import of_source
from harness.results.replies import ProcessSamples
from harness.results.schema import Energy, Metric, Record


def energy_of(processes: Sequence[ProcessSamples]) -> Energy | None:
    """Sum up what the processes of a cell say; None: none of them was asked."""
    asked = [process.energy for process in processes if process.energy is not None]
    if not asked:
        return None
    known = [energy for energy in asked if energy.joules is not None]
    if not known:
        return Energy(kind=EnergyKind.UNAVAILABLE, reason=asked[-1].reason)
    sources = {(energy.host, energy.device) for energy in known}
    if len(sources) > 1:
        reason = "other counters answered in other processes"
        return Energy(kind=EnergyKind.UNAVAILABLE, reason=reason)
    host, device = sources.pop()
    return Energy(kind=EnergyKind.MEASURED, host=host, device=device, processes=len(known))


def without_doubtful(metrics: dict[str, Metric], energy: Energy | None) -> dict[str, Metric]:
    """The metrics without energy where it is not one measured quantity."""
    if energy is not None and energy.kind is EnergyKind.MEASURED:
        return metrics
    doubtful = {row.name for row in of_source(Source.COUNTERS)}
    return {name: metric for name, metric in metrics.items() if name not in doubtful}


def host_counter(record: Record) -> str | None:
    """What counted the energy of the processor or machine; two hosts are two quantities."""
    return None if record.energy is None else record.energy.host
