"""Runs a static encoder on QNN's x86 emulation and the CPU; writes what came out as JSON.

Arguments: fixture, level, the file to write. A process of its own, as qnn_static_child.py says.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.devices.device import Device, find_device
from harness.devices.session import open_session
from harness.devices.table import find_row
from harness.engine.static_encoder import StaticEncoder
from tests.builder.graph.run_static_encoder import LARGER, build, reference


def embeddings(name, folder, geometry, device):
    """Of the reference's texts, padded both ways, and where the nodes of both graphs are."""
    opened = [open_session(folder / shape.file, device, 1) for shape in geometry.shapes]
    texts = reference(name)
    encoder = StaticEncoder(opened, geometry)
    found = [encoder.encode(texts["input_ids"], texts["attention_mask"]).tolist()]
    wide = texts["input_ids"][:1].repeat(LARGER.sequences, axis=0)
    found.append(encoder.encode(wide).tolist())
    return found, [one.placement.nodes for one in opened]


def main(name, level, found):
    # nodes that the emulation does not take would fall to the CPU: no fallback is allowed
    qnn_device = Device(find_row("qnn"), simulate=True)
    with TemporaryDirectory() as place:
        geometry = build(name, level, Path(place))
        qnn, nodes = embeddings(name, Path(place), geometry, qnn_device)
        cpu, _nodes = embeddings(name, Path(place), geometry, find_device("cpu"))
    Path(found).write_text(json.dumps({"qnn": qnn, "cpu": cpu, "nodes": nodes}))


main(*sys.argv[1:])
