"""How much memory one model takes at one shape: for a fresh process that does nothing else."""

from dataclasses import dataclass
from pathlib import Path

from harness.devices.device import Device
from harness.graph.geometry import Geometry
from harness.measure.memory import MemoryMark, memory_mark
from harness.workload.opening import open_measuring, open_sessions
from harness.workload.workload import Workload


@dataclass(frozen=True, slots=True)
class Footprint:
    """Three readings of one process.

    Attributes:
        baseline: interpreter and libraries imported, nothing opened.
        loaded: sessions created.
        steady: every position of a decoder's context written, each shape of the test run once.
    """

    baseline: MemoryMark
    loaded: MemoryMark
    steady: MemoryMark

    @property
    def peak_bytes(self) -> int:
        """High-water mark of the whole process."""
        return self.steady.peak_bytes


def take_footprint(
    graph: Path,
    geometry: Geometry,
    device: Device,
    threads: int,
    batch: int,
    workload: Workload,
    seed: int,
) -> Footprint:
    """Open a model, touch the whole context of `workload`, run each of its shapes once.

    The cache has exactly the test's own size, depth + prompt + gen; a static decoder's that of its
    build.

    Raises:
        HarnessError: the model cannot be opened, or the context does not fit it.
    """
    baseline = memory_mark()
    sessions = open_sessions(graph, geometry, device, threads)
    loaded = memory_mark()
    measuring = open_measuring(sessions, geometry, batch, workload.context_tokens, seed)
    measuring.touch(workload)  # kept by its name until the last mark: it holds the cache
    return Footprint(baseline, loaded, memory_mark())
