"""How much memory one model takes at one shape: for a fresh process that does nothing else."""

from dataclasses import dataclass
from pathlib import Path

from harness.devices.device import Device
from harness.devices.session import open_session
from harness.graph.geometry import DecoderGeometry
from harness.measure.memory import MemoryMark, memory_mark
from harness.workload.decoder import DecoderSession
from harness.workload.measuring import Measuring, steps_of
from harness.workload.workload import Kind, Workload


@dataclass(frozen=True, slots=True)
class Footprint:
    """Three readings of one process.

    Attributes:
        baseline: interpreter and libraries imported, nothing opened.
        loaded: session created.
        steady: every position of the context written, prompt and one step run.
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
    geometry: DecoderGeometry,
    device: Device,
    threads: int,
    batch: int,
    workload: Workload,
    seed: int,
) -> Footprint:
    """Open a model, touch the whole context of `workload`, run each of its shapes once.

    The cache has exactly the test's own size: depth + prompt + gen.

    Raises:
        HarnessError: the model cannot be opened, or the context does not fit it.
    """
    baseline = memory_mark()
    opened = open_session(graph, device, threads)
    loaded = memory_mark()
    decoder = DecoderSession(opened, geometry, batch, workload.context_tokens)
    decoder.fill(workload.context_tokens, seed)
    measuring = Measuring(decoder, seed)
    measuring.first(workload)
    if workload.kind is Kind.REQUEST and steps_of(workload) > 0:
        decoder.greedy_step()
    return Footprint(baseline, loaded, memory_mark())
