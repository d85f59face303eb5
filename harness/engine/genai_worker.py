"""The commands of the measuring child where onnxruntime-genai runs the model; see worker.py."""

from pathlib import Path

from harness.core.errors import MeasurementError
from harness.devices.device import SentDevice, find_device
from harness.engine.footprint import Footprint
from harness.engine.genai import GenaiDecoder, GenaiModel, open_model
from harness.engine.measuring import Measuring
from harness.engine.opening import kind_of
from harness.engine.reading import read_through
from harness.engine.shapes import ShapeFields, shapes_from
from harness.engine.worker import MeasuringChild, footprint_reply, opened_reply
from harness.engine.workload import Workload
from harness.machine.meters.device_memory import IN_HOST
from harness.machine.meters.memory import AnonymousWatch, memory_mark
from harness.results.replies import MemoryTaken, Opened


class GenaiChild(MeasuringChild):
    """Holds at most one open model between commands."""

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
        """Open the folder of a graph; arguments and reply are those of MeasuringChild.open.

        `placement` is UNKNOWN: the runtime records none. `stop_spinning` is not offered by it.

        Raises:
            DeviceError: onnxruntime-genai is not installed.
        """
        chosen = find_device(device)
        read_through(Path(graph))
        opened = open_model(Path(graph).parent, chosen, threads)
        self._open = measuring = _measuring(opened, geometry, batch, capacity_tokens, seed)
        return opened_reply(
            chosen,
            load_ns=opened.load_ns,
            first_ns=None if first is None else measuring.first(first),
            placement=opened.placement,
            compiled=False,
            spinning=opened.spinning,
        )


def memory(
    graph: str,
    geometry: ShapeFields,
    device: str | SentDevice,
    threads: int,
    batch: int,
    workload: Workload,
    seed: int,
    capacity_tokens: int = 0,
) -> MemoryTaken:
    """Take the memory of one test; arguments and reply are those of harness.engine.worker."""
    import onnxruntime_genai  # noqa: F401  # in the baseline, as onnxruntime is in ours

    chosen = find_device(device)
    read_through(Path(graph))
    baseline = memory_mark()
    with AnonymousWatch() as watch:
        opened = open_model(Path(graph).parent, chosen, threads)
        loaded = memory_mark()
        measuring = _measuring(
            opened, geometry, batch, capacity_tokens or workload.context_tokens, seed
        )
        measuring.touch(workload)
        steady = memory_mark()
    return footprint_reply(Footprint(baseline, loaded, steady, IN_HOST, watch.peak_bytes))


def _measuring(
    opened: GenaiModel, geometry: ShapeFields, batch: int, capacity_tokens: int, seed: int
) -> Measuring:
    """What measures an open model.

    Raises:
        MeasurementError: more than one sequence, or no decoder.
    """
    shapes = shapes_from(geometry)
    if batch != 1 or not kind_of(shapes).is_for_genai:
        raise MeasurementError("genai runs decoders of one sequence here", fix="--runtime ort")
    return Measuring(GenaiDecoder(opened, shapes.vocab_size, capacity_tokens), seed)


_CHILD = GenaiChild()
COMMANDS = {
    **_CHILD.commands(),
    "memory": memory,
}
