"""A worker module that opens rows and graphs which no command line would give it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
from msgspec import structs

from harness.devices.device import Device, SentDevice, find_device
from harness.devices.placement import place, recorded_nodes
from harness.devices.register import bring_in
from harness.devices.session import open_session, session_options


def open_graph(graph, device: str | SentDevice, row=None, options=None):
    """Open a graph on a device whose row has other fields, and give its placement."""
    chosen = _changed(find_device(device), row or {}, options or {})
    opened = open_session(Path(graph), chosen, threads=1)
    answer = opened.session.run(None, {"x": np.array([[1, -1, 3]], dtype=np.float32)})[0]
    return {"placement": structs.asdict(opened.placement), "answer": answer.tolist()}


def by_name_after_registration(graph, device: str | SentDevice):
    """Name a plugin's provider in `providers`, as if it were built in, once it is registered."""
    chosen = find_device(device)
    bring_in(chosen)
    options = session_options(threads=1)
    names = [chosen.provider]
    session = ort.InferenceSession(graph, options, providers=names, enable_fallback=0)
    return structs.asdict(place(recorded_nodes(session), chosen.provider))


def twice(graph, device: str | SentDevice):
    """Bring a library in again and again, by two rows, then run on it."""
    chosen = find_device(device)
    for _ in range(3):
        bring_in(chosen)
    bring_in(replace(chosen, row=replace(chosen.row, key="again")))
    return open_graph(graph, device)


def _changed(device: Device, row, options):
    changed = replace(device.row, **{name: _tuples(value) for name, value in row.items()})
    return replace(device, row=changed, options=tuple(options.items()))


def _tuples(value):
    return tuple(map(tuple, value)) if isinstance(value, list) else value


COMMANDS = {
    "open_graph": open_graph,
    "by_name_after_registration": by_name_after_registration,
    "twice": twice,
}
