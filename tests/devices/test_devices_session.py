"""Sessions on the CPU row, on a graph small enough to check by eye."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.devices.placement import Verdict
from harness.devices.session import open_session, session_options
from harness.devices.table import Device, find_device
from harness.errors import EXIT_DEVICE, DeviceError, ModelError

CPU = find_device("cpu")


@pytest.fixture
def graph(tmp_path):
    """The graph y = relu(x W) with W = 2 I."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["xw"]),
        helper.make_node("Relu", ["xw"], ["y"]),
    ]
    weights = numpy_helper.from_array(2 * np.eye(3, dtype=np.float32), "w")
    shapes = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3]) for n in "xy"]
    body = helper.make_graph(nodes, "g", shapes[:1], shapes[1:], [weights])
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    return path


def test_an_opened_session_runs_and_proves_its_placement(graph):
    opened = open_session(graph, CPU, threads=1)
    values = np.array([[1, -1, 3]], dtype=np.float32)
    (result,) = opened.session.run(None, {"x": values})
    assert result.tolist() == [[2, 0, 6]]
    assert opened.placement.verdict is Verdict.FULL
    assert opened.placement.nodes == {"CPUExecutionProvider": 2}
    assert opened.placement.compute_nodes == {"CPUExecutionProvider": 1}
    assert opened.load_ns > 0
    assert (opened.threads, opened.spinning) == (1, True)


def test_options_are_what_the_record_says():
    options = session_options(threads=2)
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "1"


def test_a_broken_graph_is_a_model_error(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no protobuf at all")
    with pytest.raises(ModelError, match=r"cannot open model\.onnx") as caught:
        open_session(path, CPU, threads=1)
    assert str(tmp_path) not in caught.value.problem


def test_an_absent_provider_is_a_device_error_and_no_silent_cpu_run(graph):
    row = Device("directml", "gpu", "DmlExecutionProvider", "onnxruntime-directml")
    with pytest.raises(DeviceError, match="DmlExecutionProvider") as caught:
        open_session(graph, row, threads=1)
    assert caught.value.exit_code == EXIT_DEVICE
    assert "onnxruntime-directml" in caught.value.fix


def test_a_provider_that_took_no_node_is_a_device_error(graph):
    """Azure is in every wheel, runs remotely, and takes no node of a local graph."""
    row = Device("azure", "cpu", "AzureExecutionProvider", "onnxruntime")
    with pytest.raises(DeviceError, match="nothing ran on"):
        open_session(graph, row, threads=1)
