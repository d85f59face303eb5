"""How much memory the tests of one model take: for a fresh process that does nothing else."""

import ctypes
import gc
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.devices.device import Device
from harness.devices.hardware import facts_of
from harness.devices.session import OpenedSession
from harness.engine.opening import open_measuring, open_sessions
from harness.engine.shapes import Shapes
from harness.engine.workload import Workload
from harness.machine.meters.counters import Answer
from harness.machine.meters.device_memory import IN_HOST, device_bytes, read_device_memory
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


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """An open model, whose tests are looked at one after the other.

    Attributes:
        geometry: of its graphs.
        sessions: all that were opened.
        baseline: as of a Footprint.
        loaded: as of a Footprint.
        device: what its counters said once it was loaded; empty of the host.
        anonymous_peak_bytes: the most anonymous memory while it was loaded; None: not told.
    """

    geometry: Shapes
    sessions: Sequence[OpenedSession]
    baseline: MemoryMark
    loaded: MemoryMark
    device: Mapping[str, Answer]
    anonymous_peak_bytes: int | None


def load_model(graph: Path, geometry: Shapes, device: Device, threads: int) -> LoadedModel:
    """Open a model between two looks at the memory.

    Raises:
        HarnessError: it cannot be opened.
    """
    if not device.row.is_host:
        read_device_memory()  # whatever it imports is in the baseline
    baseline = memory_mark()
    with AnonymousWatch() as watch:
        sessions = open_sessions(graph, geometry, device, threads)
        loaded = memory_mark()
    held = {} if device.row.is_host else read_device_memory()
    return LoadedModel(geometry, sessions, baseline, loaded, held, watch.peak_bytes)


def take_footprint(
    model: LoadedModel, batch: int, workload: Workload, seed: int, capacity_tokens: int = 0
) -> Footprint:
    """Touch the whole context of `workload`, and run each of its shapes once.

    The cache has exactly the test's own size, depth + prompt + gen, or that of `capacity_tokens`,
    every position of which is then written, as a conversation does that fills it; a static
    decoder's is that of its build.

    Raises:
        HarnessError: the context does not fit the model.
    """
    device = model.sessions[0].device
    with AnonymousWatch() as watch:
        measuring = open_measuring(
            model.sessions,
            model.geometry,
            batch,
            capacity_tokens or workload.cache_tokens,
            seed,
        )
        # kept by its name until the last mark: it holds the cache
        measuring.touch(workload, whole=capacity_tokens > 0)
        steady = memory_mark()
    held = IN_HOST
    if not device.row.is_host:
        marks = {"loaded": model.device, "steady": read_device_memory()}
        held = device_bytes(marks, facts_of(device))
    looks = (model.anonymous_peak_bytes, watch.peak_bytes)
    return Footprint(
        model.baseline,
        model.loaded,
        steady,
        held,
        max((look for look in looks if look is not None), default=None),
    )


def tells_its_own(now: Footprint, before: Footprint) -> bool:
    """Whether a high-water mark is that of the test itself, though another was looked at before.

    It is where the test raised it, or where it is still that of the load.
    """
    rises = now.peak_bytes > before.peak_bytes
    return rises or now.peak_bytes <= now.loaded.peak_bytes


def give_back_memory() -> None:
    """Let the system have again what the test before has freed, as far as the allocator can."""
    gc.collect()
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):  # glibc has it
            ctypes.CDLL(None).malloc_trim(0)
