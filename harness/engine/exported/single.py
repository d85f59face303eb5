"""A graph that keeps nothing between passes: an encoder, a vision model, or any other."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter_ns
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from harness.builder.graph.static.geometry import TextShape
from harness.devices.session import OpenedSession
from harness.engine.exported.geometry import ExportedGeometry, reading_of
from harness.engine.exported.inputs import Arrays, pass_inputs
from harness.engine.exported.values import array_of, as_float32, value_of
from harness.engine.passes import PassOutcome
from harness.engine.samples import Samples, repeat_passes
from harness.engine.trial import PROMPT_TOKENS, STEPS
from harness.engine.workload import Workload
from harness.machine.meters.samples import Clock, PassSample, time_call, usage_now
from harness.machine.meters.steady import WarmUp, warm_up
from harness.models.exported.model import ExportedGraph
from harness.models.exported.ports import Port
from harness.models.exported.sizes import Axis, Reading, fixed_sizes


class SinglePass:
    """One session over inputs that are bound once per test; its outputs are written in place.

    ONNX Runtime allocates the outputs in the first run and writes to the same memory in later
    ones, so that no run but the first pays for them.

    Attributes:
        opened: the session, its device and its placement.
        graph: what it was opened from.
    """

    def __init__(self, opened: OpenedSession, graph: ExportedGraph) -> None:
        """Keep the session."""
        self.opened, self.graph = opened, graph
        self._bindings: dict[object, ort.IOBinding] = {}
        self._bound: ort.IOBinding | None = None
        self._place = [port.name for port in graph.outputs].index(_judged(graph).name)

    def feed(self, key: object, arrays: Arrays) -> None:
        """Bind inputs; those of the same key are bound already, and stay as they are."""
        if key not in self._bindings:
            binding = self.opened.session.io_binding()
            for name, array in arrays.items():
                binding.bind_ortvalue_input(name, value_of(array))
            for port in self.graph.outputs:
                binding.bind_output(port.name, "cpu")
            self._bindings[key] = binding
        self._bound = self._bindings[key]

    def run(self) -> None:
        """The run alone, over what was fed."""
        self.opened.session.run_with_iobinding(self._bound)

    def run_plainly(self, arrays: Arrays) -> NDArray[np.float32]:
        """Outputs of a run that is neither bound nor timed."""
        given = {name: value_of(array) for name, array in arrays.items()}
        (found,) = self.opened.session.run_with_ort_values([_judged(self.graph).name], given)
        return as_float32(array_of(found)).copy()

    def run_whole(self, arrays: Arrays) -> dict[str, ort.OrtValue]:
        """Every output of a run that is neither bound nor timed, by its name."""
        given = {name: value_of(array) for name, array in arrays.items()}
        names = [port.name for port in self.graph.outputs]
        found = self.opened.session.run_with_ort_values(names, given)
        return dict(zip(names, found, strict=True))

    @property
    def judged(self) -> str:
        """Name of the output that stands for the graph."""
        return self.graph.outputs[self._place].name

    @property
    def output(self) -> NDArray[np.float32]:
        """What the last run gave: the output that stands for the graph."""
        assert self._bound is not None
        return as_float32(array_of(self._bound.get_outputs()[self._place]))


@dataclass(slots=True)
class PassMeasuring:
    """Warm-up and samples of such a graph's tests.

    Attributes:
        single: open.
        geometry: of the model.
        seed: of the inputs.
        clock: monotonic, in ns.
        warmed: per test the last samples of its warm-up.
    """

    single: SinglePass
    geometry: ExportedGeometry
    seed: int
    clock: Clock = perf_counter_ns
    warmed: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def sessions(self) -> Sequence[OpenedSession]:
        """All that were opened, with their device and their placements."""
        return (self.single.opened,)

    def first(self, workload: Workload) -> int:
        """The first run of a session, in ns."""
        self._feed(workload)
        return time_call(self.single.run, self.clock)

    def refuse_unfinished(self, workload: Workload) -> None:
        """Try nothing: the runtime hands its outputs over in the host's memory."""

    def trial(self, seed: int, texts: TextShape) -> list[NDArray[np.float32]]:
        """What it gives for several inputs that all devices are fed alike."""
        fixed = fixed_sizes(self.single.graph, dict(self.geometry.dims))
        reading = Reading(tokens=fixed.get(Axis.TOKENS, PROMPT_TOKENS))
        inputs = [
            pass_inputs(self.single.graph, self.geometry, reading, seed + turn)
            for turn in range(1 + STEPS)
        ]
        return [self.single.run_plainly(arrays) for arrays in inputs]

    def warm(self, workload: Workload, cap_s: float) -> list[WarmUp]:
        """Warm the one shape of a test until it is steady.

        Args:
            workload: which test.
            cap_s: longest warm-up.
        """
        self._feed(workload)
        result = warm_up(
            lambda: time_call(self.single.run, self.clock),
            cap_s,
            self.clock,
            earlier_ns=self.warmed.get(workload.name, ()),
        )
        self.warmed[workload.name] = result.last_window_ns
        return [result]

    def sample(self, workload: Workload, min_passes: int, min_seconds: float) -> Samples:
        """Run a test until it has been run often enough and long enough; see Measuring."""
        before = usage_now()
        self._feed(workload)
        passes = repeat_passes(self._pass, min_passes, min_seconds, self.clock)
        return Samples(passes, usage_now().since(before))

    def touch(self, workload: Workload, whole: bool = False) -> None:
        """Run a test's one shape once."""
        self.first(workload)

    def reseeded(self, seed: int) -> "PassMeasuring":
        """The same over other inputs."""
        return replace(self, seed=seed)

    def plain_tokens(self, workload: Workload) -> NDArray[np.int64]:
        """What stands for the output of a run that is not timed."""
        return _tokens(self.single.run_plainly(self._arrays(workload)))

    def _feed(self, workload: Workload) -> None:
        key = (workload.name, self.seed)
        self.single.feed(key, self._arrays(workload))

    def _arrays(self, workload: Workload) -> Arrays:
        """The inputs of a test."""
        return pass_inputs(self.single.graph, self.geometry, reading_of(workload), self.seed)

    def _pass(self) -> PassOutcome:
        """One timed pass over what was fed."""
        passed_ns = time_call(self.single.run, self.clock)
        output = self.single.output
        is_there = bool(np.isfinite(output).all())
        return PassOutcome(PassSample(encode_ns=passed_ns), _tokens(output), is_there)


def _tokens(output: NDArray[Any]) -> NDArray[np.int64]:
    """What stands for an output: the place of the largest value along its last dimension."""
    rows = output.reshape(1, -1) if output.ndim < 2 else output.reshape(-1, output.shape[-1])
    if rows.shape[1] == 0:
        return np.zeros((1, len(rows)), np.int64)
    return np.asarray(rows.argmax(axis=1), dtype=np.int64)[None]


def _judged(graph: ExportedGraph) -> Port:
    """The output that stands for a graph: its embedding, vectors or logits, else the first."""
    names = (graph.names.embedding, graph.names.hidden, graph.names.logits)
    named = next((name for name in names if name is not None), graph.outputs[0].name)
    return graph.port(named)
