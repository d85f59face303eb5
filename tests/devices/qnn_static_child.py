"""Runs a tiny static decoder on QNN's x86 emulation and the CPU; writes what came out as JSON.

Arguments: architecture, level, form of norms, the file to write.

A process of its own: the state of that provider is the process's, and a crash stays here.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from harness.builder.graph.static.block import Norm
from harness.builder.graph.static.geometry import PREFILL_FILE, STEP_FILE
from harness.devices.device import Device, find_device
from harness.devices.session import open_session
from harness.devices.table import find_row
from harness.engine.static import StaticDecoder
from tests.builder.graph.run_static import build
from tests.tiny import SPECS

PROMPT, STEPS = 11, 3  # two passes of 8, the second one padded


def on_qnn(graph):
    """Open `graph` on the emulation; nodes that it does not take would fall to the CPU."""
    return open_session(graph, Device(find_row("qnn"), simulate=True), threads=1)


def on_cpu(graph):
    return open_session(graph, find_device("cpu"), threads=1)


def logits(folder, geometry, opener, ids):
    """Of the prompt's last token and of each step, and where the nodes of both graphs are."""
    opened = [opener(folder / name) for name in (PREFILL_FILE, STEP_FILE)]
    decoder = StaticDecoder(*opened, geometry)
    pieces = [ids[:, :PROMPT], *(ids[:, at : at + 1] for at in range(PROMPT, PROMPT + STEPS))]
    return [decoder.prefill(piece)[0, 0].tolist() for piece in pieces], [
        o.placement for o in opened
    ]


def main(name, level, norm, found):
    ids = np.random.default_rng(2).integers(0, SPECS[name].vocab_size, (1, PROMPT + STEPS))
    with TemporaryDirectory() as place:
        folder = Path(place)
        geometry = build(name, level, folder, Norm(norm))
        qnn, placements = logits(folder, geometry, on_qnn, ids)
        cpu, _placements = logits(folder, geometry, on_cpu, ids)
    nodes = [placement.nodes for placement in placements]
    Path(found).write_text(json.dumps({"qnn": qnn, "cpu": cpu, "nodes": nodes}))


main(*sys.argv[1:])
