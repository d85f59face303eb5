"""The exported toy models of tests/fixtures/exports, recognised, and what torch computes."""

import json
from functools import cache

import numpy as np

from harness.devices.device import find_device
from harness.engine.exported.geometry import ExportedGeometry
from harness.engine.opening import open_sessions
from harness.engine.shapes import shapes_json
from harness.models.exported.model import from_json
from harness.store.exported_worker import recognise
from tests.exports import EXPORTS

ALL = sorted(
    f"{path.parent.parent.name}/{path.parent.name}" for path in EXPORTS.glob("*/*/expected.json")
)
# Its graph declares a repeated cache to be as long as the new tokens, and ONNX Runtime plans its
# buffers by that: a step after a prompt fails unless memory reuse is off, several tokens always do.
BROKEN = ("genai/llama-fp16",)


@cache
def geometry_of(name):
    """The recognised model of a folder; nothing of it is a link, so no cache is needed."""
    return ExportedGeometry(from_json(recognise(str(EXPORTS / name), str(EXPORTS), None)))


@cache
def expected_of(name):
    return json.loads((EXPORTS / name / "expected.json").read_text(encoding="utf-8"))


def inputs_of(name):
    return {key: np.array(value) for key, value in expected_of(name)["inputs"].items()}


def sessions_of(name):
    shapes = geometry_of(name)
    return open_sessions(shapes.model.path(shapes.model.main), shapes, find_device("cpu"), 1)


def session_arguments(name, seed=0):
    """What the measuring worker is told of any session, as it travels."""
    shapes = geometry_of(name)
    return {
        "graph": str(shapes.model.path(shapes.model.main)),
        "geometry": shapes_json(shapes),
        "device": "cpu",
        "threads": 1,
        "batch": 1,
        "seed": seed,
    }
