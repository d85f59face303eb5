"""The commands of the measuring child: open, warm, sample, memory, close.

`python -m harness.machine.process.serve harness.engine.worker` serves them. Every duration in a
reply is a raw integer in ns; nothing is summarised here.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.core.errors import MeasurementError
from harness.core.processors import usable_processors
from harness.core.units import NS_PER_S
from harness.devices.device import Device, SentDevice, find_device
from harness.devices.hardware import facts_of
from harness.devices.placement import together
from harness.engine.agreement import agree
from harness.engine.audit import audit
from harness.engine.compiling import compile_model
from harness.engine.footprint import (
    Footprint,
    LoadedModel,
    give_back_memory,
    load_model,
    take_footprint,
    tells_its_own,
)
from harness.engine.opening import (
    AnyMeasuring,
    graph_files,
    kind_of,
    open_measuring,
    open_sessions,
)
from harness.engine.profiling import profile
from harness.engine.reading import read_through
from harness.engine.samples import Samples
from harness.engine.shapes import ShapeFields, Shapes, shapes_from
from harness.engine.steps_check import steps_check
from harness.engine.workload import Workload
from harness.machine.process.phase import tell_phase
from harness.results.enums import SINGLE_PASS, Kind
from harness.results.replies import (
    Audited,
    Done,
    MemoryTaken,
    NextMemory,
    Opened,
    Placement,
    Sample,
    Warmed,
)

REQUEST_PARTS = ("prefill_ns", "itl_ns", "ttft_ns", "e2e_ns")  # that are timed of a request


class MeasuringChild:
    """Holds at most one open session between commands."""

    def __init__(self) -> None:
        """Begin with nothing open."""
        self._open: AnyMeasuring | None = None

    def open(
        self,
        graph: str,
        geometry: ShapeFields,
        device: str | SentDevice,
        threads: int,
        batch: int,
        capacity_tokens: int,
        seed: int,
        first: Workload | None = None,
        stop_spinning: bool = False,
    ) -> Opened:
        """Open a model, its files warm in the page cache, and run it for the first time.

        Args:
            graph: path of the ONNX file.
            geometry: as harness.engine.shapes sends it.
            device: as it travels, or a key of the device table.
            threads: intra-op threads.
            batch: sequences at once.
            capacity_tokens: positions of the cache: the most that any test needs.
            seed: of prompts and cache.
            stop_spinning: let the session's threads rest between its runs, for workers that take
                turns.
            first: the test whose beginning is the first run (prompt and first token, or one step).

        Raises:
            DeviceError: the device is absent, or did not take the arithmetic.
            MeasurementError: a run returns before the device has finished.
        """
        path, shapes, chosen = Path(graph), shapes_from(geometry), find_device(device)
        chosen.refuse_absent()
        tell_phase("reading the files")
        opened_files = _read_files(path, shapes, chosen)
        sessions = open_sessions(path, shapes, chosen, threads, stop_spinning=stop_spinning)
        tell_phase("first run")
        self._open = open_measuring(sessions, shapes, batch, capacity_tokens, seed)
        first_ns = None if first is None else self._open.first(first)
        if first is not None:
            self._open.refuse_unfinished(first)
        return opened_reply(
            chosen,
            load_ns=sum(opened.load_ns for opened in sessions),
            first_ns=first_ns,
            placement=together([opened.placement for opened in sessions]),
            compiled=not set(opened_files) & set(graph_files(path, shapes)),
            spinning=all(opened.spinning for opened in sessions),
        )

    def warm(self, workload: Workload, cap_s: float) -> Warmed:
        """Warm up at every shape of a test; see Measuring.warm."""
        results = self._measuring().warm(workload, cap_s)
        return Warmed(
            steady=all(result.steady for result in results),
            seconds=sum(result.duration_ns for result in results) / NS_PER_S,
            calls=sum(len(result.durations_ns) for result in results),
            window_medians_ns=tuple(m for result in results for m in result.window_medians_ns),
        )

    def sample(self, workload: Workload, min_passes: int, min_seconds: float) -> Sample:
        """Run a test at least `min_passes` times and for `min_seconds`.

        Raises:
            DeviceError: the provider left the session while it ran.
        """
        measuring = self._measuring()
        samples = measuring.sample(workload, min_passes, min_seconds)
        for opened in measuring.sessions:
            opened.refuse_changed()
        return Sample(
            **_durations(workload.kind, samples),
            cpu_ns=samples.usage.cpu_ns,
            major_faults=samples.usage.major_faults,
            involuntary_switches=samples.usage.involuntary_switches,
            finite=all(outcome.finite for outcome in samples.passes),
            digest=samples.passes[-1].digest,
        )

    def audit(self, workload: Workload, turns: int) -> Audited:
        """Validate the measurement of a test that is warm; see harness.engine.audit."""
        return audit(self._measuring(), workload, turns)

    def close(self) -> Done:
        """Free the session and its cache."""
        self._open = None
        return Done()

    def commands(self) -> dict[str, Callable[..., object]]:
        """What every runtime's child is asked; what else one takes stands beside it."""
        return {
            "open": self.open,
            "warm": self.warm,
            "sample": self.sample,
            "audit": self.audit,
            "close": self.close,
        }

    def _measuring(self) -> AnyMeasuring:
        """The open session.

        Raises:
            MeasurementError: there is none.
        """
        if self._open is None:
            raise MeasurementError("no session is open", fix="ask `open` first")
        return self._open


class MemoryChild:
    """Takes the memory of one test after the other. To be asked of a fresh child, and alone."""

    def __init__(self) -> None:
        """Begin with nothing loaded."""
        self._model: LoadedModel | None = None
        self._last: Footprint | None = None

    def first(
        self,
        graph: str,
        geometry: ShapeFields,
        device: str | SentDevice,
        threads: int,
        batch: int,
        workload: Workload,
        seed: int,
        capacity_tokens: int = 0,
    ) -> MemoryTaken:
        """Load a model and take the memory of one test.

        Args:
            graph: path of the ONNX file.
            geometry: as harness.engine.shapes sends it.
            device: as it travels, or a key of the device table.
            threads: intra-op threads.
            batch: sequences at once.
            workload: which test; the cache is allocated for exactly its context.
            seed: of prompt and cache.
            capacity_tokens: positions of the cache, all of them written; 0: those of the test.
        """
        path, shapes, chosen = Path(graph), shapes_from(geometry), find_device(device)
        _read_files(path, shapes, chosen)  # how they lie in the page cache decides what is mapped
        self._model = load_model(path, shapes, chosen, threads)
        tell_phase("the run whose memory is taken")
        self._last = take_footprint(self._model, batch, workload, seed, capacity_tokens)
        return footprint_reply(self._last)

    def next(
        self, batch: int, workload: Workload, seed: int, capacity_tokens: int = 0
    ) -> NextMemory:
        """Take that of another test of the same model, of which more is expected.

        Raises:
            MeasurementError: nothing is loaded.
        """
        if self._model is None or self._last is None:
            raise MeasurementError("no model is loaded", fix="ask `memory` first")
        give_back_memory()
        before = self._last
        now = take_footprint(self._model, batch, workload, seed, capacity_tokens)
        self._last = now
        return NextMemory(taken=footprint_reply(now) if tells_its_own(now, before) else None)


def _read_files(graph: Path, shapes: Shapes, device: Device) -> list[Path]:
    """Read everything that a device opens for a model; returns the graphs."""
    opened = [device.file_of(file) for file in graph_files(graph, shapes)]
    read_through(*opened, *kind_of(shapes).data_files())
    return opened


def opened_reply(
    device: Device,
    *,
    load_ns: int,
    first_ns: int | None,
    placement: Placement,
    compiled: bool,
    spinning: bool,
) -> Opened:
    """What was opened, as the parent is told."""
    return Opened(
        load_ns=load_ns,
        first_ns=first_ns,
        placement=placement,
        hardware=facts_of(device),
        provider=device.provider,
        compiled=compiled,
        spinning=spinning,
        affinity=usable_processors(),
    )


def footprint_reply(footprint: Footprint) -> MemoryTaken:
    """A footprint, as the parent is told."""
    baseline_bytes = footprint.baseline.rss_bytes
    return MemoryTaken(
        baseline=footprint.baseline.held(),
        loaded=footprint.loaded.held(),
        steady=footprint.steady.held(),
        peak_bytes=footprint.peak_bytes,
        load_delta_bytes=footprint.loaded.rss_bytes - baseline_bytes,
        steady_delta_bytes=footprint.steady.rss_bytes - baseline_bytes,
        peak_delta_bytes=footprint.peak_bytes - baseline_bytes,
        device=footprint.device,
        anonymous_peak_bytes=footprint.anonymous_peak_bytes,
    )


def _durations(kind: Kind, samples: Samples) -> dict[str, Any]:
    """The raw durations that a kind of test has: field of Sample -> one entry a pass."""
    passes = [outcome.sample for outcome in samples.passes]
    if kind in SINGLE_PASS:
        fields: tuple[str, ...] = ("encode_ns",)
    elif kind is Kind.REQUEST:
        fields = REQUEST_PARTS
    elif kind is Kind.TURN:
        fields = (*REQUEST_PARTS, "reread_ns")
    else:
        fields = ("prefill_ns",) if kind is Kind.PREFILL else ("itl_ns",)
    return {field: tuple(getattr(sample, field) for sample in passes) for field in fields}


_CHILD, _MEMORY = MeasuringChild(), MemoryChild()
COMMANDS = {
    **_CHILD.commands(),
    "agree": agree,
    "compile": compile_model,
    "memory": _MEMORY.first,
    "memory_next": _MEMORY.next,
    "profile": profile,
    "steps_check": steps_check,
}
