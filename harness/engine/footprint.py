"""How much memory one model takes at one shape: for a fresh process that does nothing else."""

from dataclasses import dataclass
from pathlib import Path

from harness.devices.device import Device
from harness.devices.hardware import facts_of
from harness.engine.opening import open_measuring, open_sessions
from harness.engine.shapes import Shapes
from harness.engine.workload import Workload
from harness.machine.meters.device_memory import device_bytes, read_device_memory
from harness.machine.meters.memory import AnonymousWatch, MemoryMark, memory_mark
from harness.results.replies import DeviceHeld


@dataclass(frozen=True, slots=True)
class Footprint:
    """Three readings of one process.

    Attributes:
        baseline: interpreter and libraries imported, nothing opened.
        loaded: sessions created.
        steady: every position of a decoder's context written, each shape of the test run once.
        device: memory of the device at the last two, as harness.machine.meters.device_memory reads
            it.
        anonymous_peak_bytes: the most anonymous memory that any look found; None: not told.
    """

    baseline: MemoryMark
    loaded: MemoryMark
    steady: MemoryMark
    device: DeviceHeld
    anonymous_peak_bytes: int | None

    @property
    def peak_bytes(self) -> int:
        """High-water mark of the whole process."""
        return self.steady.peak_bytes


def take_footprint(
    graph: Path,
    geometry: Shapes,
    device: Device,
    threads: int,
    batch: int,
    workload: Workload,
    seed: int,
    capacity_tokens: int = 0,
) -> Footprint:
    """Open a model, touch the whole context of `workload`, run each of its shapes once.

    The cache has exactly the test's own size, depth + prompt + gen, or that of `capacity_tokens`,
    every position of which is then written, as a conversation does that fills it; a static
    decoder's is that of its build.

    Raises:
        HarnessError: the model cannot be opened, or the context does not fit it.
    """
    is_host = device.row.is_host
    nothing = {} if is_host else read_device_memory()  # whatever it imports is in the baseline
    baseline = memory_mark()
    with AnonymousWatch() as watch:
        sessions = open_sessions(graph, geometry, device, threads)
        loaded, held = memory_mark(), nothing if is_host else read_device_memory()
        measuring = open_measuring(
            sessions, geometry, batch, capacity_tokens or workload.cache_tokens, seed
        )
        measuring.touch(
            workload, whole=capacity_tokens > 0
        )  # kept by its name until the last mark: it holds the cache
        steady = memory_mark()
    marks = {"loaded": held, "steady": nothing if is_host else read_device_memory()}
    held_there = device_bytes(marks, facts_of(device))
    return Footprint(baseline, loaded, steady, held_there, watch.peak_bytes)
