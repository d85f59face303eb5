"""Where the time of one test goes: a session of its own, with the runtime's profile switched on."""

from pathlib import Path

from harness.core.errors import MeasurementError
from harness.devices.device import SentDevice, find_device
from harness.devices.placement import Event, shares, warm_events
from harness.engine.opening import open_measuring, open_sessions
from harness.engine.shapes import ShapeFields, shapes_from
from harness.engine.workload import Workload
from harness.results.replies import Profile

PASSES = 3  # the first one warms up and is left out


def profile(
    graph: str,
    geometry: ShapeFields,
    device: str | SentDevice,
    threads: int,
    batch: int,
    workload: Workload,
    seed: int,
    capacity_tokens: int = 0,
) -> Profile:
    """Profile a few passes of one test. To be asked of a fresh child: nothing is timed in it.

    Args:
        graph: path of the ONNX file.
        geometry: the fields of a Geometry.
        device: as it travels, or a key of the device table.
        threads: intra-op threads.
        batch: sequences at once.
        workload: which test.
        seed: of prompt and cache.
        capacity_tokens: positions of the cache; 0: those of the test.
    """
    import json  # here: the memory of workers that take none counts
    import tempfile

    with tempfile.TemporaryDirectory(prefix="bench-profile-") as folder:
        shapes, chosen = shapes_from(geometry), find_device(device)
        sessions = open_sessions(Path(graph), shapes, chosen, threads, profile_to=Path(folder))
        measuring = open_measuring(
            sessions, shapes, batch, capacity_tokens or workload.cache_tokens, seed
        )
        measuring.sample(workload, PASSES, 0.0)
        events: list[Event] = []
        for opened in sessions:
            written = Path(opened.session.end_profiling()).read_text(encoding="utf-8")
            events += warm_events(json.loads(written), skip_share=1 / PASSES)
        found = shares(events)
    if not found.operators:
        raise MeasurementError(
            "the runtime wrote a profile without a node", fix="leave --profile out on this device"
        )
    return found
