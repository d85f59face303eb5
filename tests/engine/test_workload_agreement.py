"""Devices compared with the CPU."""

from dataclasses import asdict, fields

import numpy as np
import pytest

from harness.builder.graph.static.geometry import PREFILL_FILE
from harness.builder.quantize.levels import find_level
from harness.core.errors import EXIT_DEVICE, DeviceError, MeasurementError
from harness.devices.device import Device, find_device
from harness.devices.row import ProviderRow
from harness.engine import agreement
from harness.engine.agreement import agree, cosine
from harness.engine.shapes import FusedGraph
from harness.models.weights.seeded import SeededWeights
from harness.results.replies import Agreement
from harness.store.static_build import build_static_decoder
from tests.engine.tiny_decoder import SPEC, TinyDecoder

CPU = find_device("cpu")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return TinyDecoder(tmp_path_factory.mktemp("tiny"), "int4")


def arguments(tiny):
    return {name: value for name, value in tiny.session_arguments().items() if name != "batch"}


def test_the_cpu_is_not_held_against_itself(tiny):
    assert agree(**arguments(tiny)) == Agreement()


class Proving(ProviderRow):
    """A row of the CPU that has to prove itself like any other device's."""

    @property
    def is_host(self) -> bool:
        """Not taken at its word."""
        return False


def other_host(monkeypatch):
    """The CPU's row as if it were that of a GPU."""
    row = find_device("cpu").row
    row = Proving(**{one.name: getattr(row, one.name) for one in fields(row)} | {"kind": "gpu"})
    monkeypatch.setattr(agreement, "find_device", lambda key: Device(row) if key == "gpu" else CPU)


def test_a_device_that_gives_the_same_agrees(tiny, monkeypatch):
    other_host(monkeypatch)
    found = agree(**{**arguments(tiny), "device": "gpu"})
    assert found == Agreement(least_cosine=pytest.approx(1.0))


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    """A folder of SPEC at fp32-static, and what the worker is told of it."""
    folder, row = tmp_path_factory.mktemp("static"), find_level("fp32-static")
    weights = SeededWeights(SPEC, 0)
    geometry = build_static_decoder(SPEC, row, weights, folder, 8, 48, np.zeros((1, 8), np.int64))
    shapes = asdict(geometry)
    graph = str(folder / PREFILL_FILE)
    return {"graph": graph, "geometry": shapes, "device": "cpu", "threads": 1, "seed": 0}


def test_a_static_graph_agrees_with_the_fused_one_at_fp32(static, tmp_path):
    fused = arguments(TinyDecoder(tmp_path, "fp32"))
    told = FusedGraph(graph=fused["graph"], geometry=fused["geometry"], level="fp32-static")
    assert agree(**static, fused=told) == Agreement(fused_cosine=pytest.approx(1.0))


def test_a_static_graph_of_other_weights_is_refused(static, tmp_path):
    fused = arguments(TinyDecoder(tmp_path, "fp32", rope_theta=100.0))
    told = FusedGraph(graph=fused["graph"], geometry=fused["geometry"], level="fp32-static")
    with pytest.raises(MeasurementError, match="gives other outputs than the fused graph"):
        agree(**static, fused=told)


def test_a_device_with_other_logits_is_refused(tiny, monkeypatch):
    """The second session's logits have another sign."""
    other_host(monkeypatch)
    honest, calls = agreement._outputs, []

    def turned(*values):
        calls.append(values)
        sign = -1 if len(calls) == 2 else 1
        return [sign * logits for logits in honest(*values)]

    monkeypatch.setattr(agreement, "_outputs", turned)
    with pytest.raises(DeviceError, match=r"cosine -1\.0000") as caught:
        agree(**{**arguments(tiny), "device": "gpu"})
    assert caught.value.exit_code == EXIT_DEVICE


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [([1, 0], [2, 0], 1.0), ([1, 0], [0, 1], 0.0), ([1, 1], [-1, -1], -1.0)],
)
def test_cosine(one, other, expected):
    assert cosine(np.array(one, float), np.array(other, float)) == pytest.approx(expected)


@pytest.mark.parametrize("other", [[0, 0], [np.nan, 1], [np.inf, 1]])
def test_what_is_no_direction_has_no_cosine_and_never_passes(other):
    assert not cosine(np.array([1.0, 1.0]), np.array(other, float)) >= agreement.LEAST_COSINE
