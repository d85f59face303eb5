"""What a graph file tells without its weights, and the graph that probes a device."""

import numpy as np
import pytest
from onnx import TensorProto, helper, save

from harness.builder.graph.outline import free_dimensions, node_names
from harness.builder.graph.probe import TOLERANCE, largest_error, probe_input, write_probe
from tests.builder.graph.run_graph import open_graph


@pytest.fixture
def probe(tmp_path):
    write_probe(tmp_path / "probe.onnx")
    return tmp_path / "probe.onnx"


def test_names_come_in_the_order_of_the_file(tmp_path):
    nodes = [
        helper.make_node("Neg", ["x"], ["a"], name="first"),
        helper.make_node("Abs", ["a"], ["y"], name="second"),
    ]
    shapes = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, None])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    save(helper.make_model(helper.make_graph(nodes, "g", shapes, outputs)), tmp_path / "g.onnx")
    assert node_names(tmp_path / "g.onnx") == ["first", "second"]
    assert free_dimensions(tmp_path / "g.onnx") == ["batch", "x[2]"]


def test_the_probe_is_static(probe):
    assert free_dimensions(probe) == []


def test_the_probe_knows_its_answer(probe):
    session = open_graph(probe)
    (answer,) = session.run(None, {"x": probe_input()})
    assert largest_error(answer) < 1e-4
    assert largest_error(np.zeros_like(answer)) > 10 * TOLERANCE
