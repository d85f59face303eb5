"""What workers would have said, for tests that need an answer and no worker."""

from typing import Any

import msgspec

from harness.results.entries import SamplesEntry
from harness.results.replies import (
    EnergyUsed,
    Hardware,
    Opened,
    ProcessSamples,
    Sample,
    Warmed,
    WatchInterval,
)


def sample(**fields: Any) -> Sample:
    """Timed passes whose outputs are fine; durations as lists."""
    usual = {"cpu_ns": 0, "major_faults": 0, "involuntary_switches": 0}
    return msgspec.convert({**usual, "finite": True, "digest": "aa", **fields}, Sample)


def opened(**fields: Any) -> Opened:
    """A model that took 10 ms to load and 30 ms for its first run."""
    return msgspec.convert({"load_ns": 10_000_000, "first_ns": 30_000_000, **fields}, Opened)


def hardware(**fields: Any) -> Hardware:
    """The host's processor, or what `fields` make of it."""
    usual = {
        "key": "cpu",
        "kind": "cpu",
        "provider": "CPUExecutionProvider",
        "wheel": "onnxruntime",
        "version": "1.31.1",
        **dict.fromkeys(("hardware", "vendor", "vendor_id", "device_id", "memory")),
        "options": {},
        "simulated": False,
    }
    return msgspec.convert({**usual, **fields}, Hardware)


def process(
    timed: Sample,
    opened_as: Opened | None = None,
    *,
    round: int = 0,
    watch: WatchInterval | None = None,
    energy: EnergyUsed | None = None,
    steady: bool = True,
) -> ProcessSamples:
    """One process that warmed up and timed something."""
    return ProcessSamples(
        round=round,
        order=0,
        open=opened_as or opened(),
        warm=Warmed(steady=steady),
        sample=timed,
        watch=watch,
        energy=energy,
    )


def entry(group: str, workload: str, round: int, timed: Sample | None = None) -> SamplesEntry:
    """What a round of a group said of a test."""
    return SamplesEntry(
        group=group,
        workload=workload,
        round=round,
        order=0,
        open=opened(first_ns=None),
        sample=timed or sample(),
    )
