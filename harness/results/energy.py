"""What a record says of its energy: measured by which counters, or unavailable and why. Pure."""

from collections.abc import Sequence

from harness.results.metric_row import Source
from harness.results.metrics import of_source
from harness.results.samples import ProcessSamples
from harness.results.schema import Json, Metric, Record

MEASURED, UNAVAILABLE = "measured", "unavailable"


def energy_of(processes: Sequence[ProcessSamples]) -> Json | None:
    """Sum up what the processes of a cell say; None: none of them was asked.

    Returns:
        `kind`; of measured energy `host` and `device`, the names of the counters, and
        `processes`; else the `reason`.
    """
    asked = [process.energy for process in processes if process.energy is not None]
    if not asked:
        return None
    known = [energy for energy in asked if energy["joules"] is not None]
    if not known:
        return {"kind": UNAVAILABLE, "reason": asked[-1]["reason"]}
    sources = {(energy["host"], energy["device"]) for energy in known}
    if len(sources) > 1:
        return {"kind": UNAVAILABLE, "reason": "other counters answered in other processes"}
    host, device = sources.pop()
    return {"kind": MEASURED, "host": host, "device": device, "processes": len(known)}


def without_doubtful(metrics: dict[str, Metric], energy: Json | None) -> dict[str, Metric]:
    """The metrics without energy where it is not one measured quantity."""
    if energy is not None and energy["kind"] == MEASURED:
        return metrics
    doubtful = {row.name for row in of_source(Source.COUNTERS)}
    return {name: metric for name, metric in metrics.items() if name not in doubtful}


def host_counter(record: Record) -> str | None:
    """What counted the energy of the processor or machine; two hosts are two quantities."""
    return (record.energy or {}).get("host")
