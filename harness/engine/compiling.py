"""Let a provider compile a model once and keep the result: for a fresh process, timed alone."""

from dataclasses import replace
from pathlib import Path

import msgspec

from harness.builder.graph.geometry import geometry_from
from harness.core.errors import DeviceError
from harness.core.files import whole_folder
from harness.devices.compiled import META_FILE
from harness.devices.device import SentDevice, find_device
from harness.devices.placement import together
from harness.devices.session import open_session
from harness.engine.opening import graph_files
from harness.engine.reading import read_through
from harness.engine.shapes import ShapeFields
from harness.results.replies import Compiled


def compile_model(
    graph: str, geometry: ShapeFields, device: str | SentDevice, threads: int, folder: str
) -> Compiled:
    """Open every graph of a model, keep what the provider has compiled, and try it out.

    What could not be opened again is not kept.

    Args:
        graph: path of the ONNX file that stands for the model.
        geometry: the fields of a Geometry.
        device: as it travels.
        threads: intra-op threads.
        folder: where the compiled graphs will be; whole, or not there.

    Raises:
        HarnessError: as open_session; or the provider wrote nothing.
    """
    path, kept = Path(graph), Path(folder)
    chosen = replace(find_device(device), compiled=None)
    files = graph_files(path, geometry_from(geometry))
    read_through(*files)
    with whole_folder(kept, complete=META_FILE) as partial:
        spent_ns, placements = 0, []
        for file in files:
            opened = open_session(file, chosen, threads, context_to=partial / file.name)
            spent_ns += opened.load_ns
            placements.append(opened.placement)
            if not (partial / file.name).is_file():
                raise DeviceError(
                    f"{chosen.key} wrote no compiled graph of {file.name}",
                    fix="nothing: it is compiled in every process instead",
                )
        for file in files:
            open_session(file, replace(chosen, compiled=str(partial)), threads)
        meta = Compiled(compile_ns=spent_ns, placement=together(placements))
        (partial / META_FILE).write_bytes(msgspec.json.encode(meta))
    return meta
