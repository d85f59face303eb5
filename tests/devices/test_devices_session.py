"""Sessions on the CPU row, on a graph small enough to check by eye."""

import numpy as np
import pytest

from harness.core.errors import ModelError
from harness.devices.device import Device, find_device
from harness.devices.session import open_session, session_options, way_around
from harness.devices.table import find_row
from harness.results.enums import PlacementVerdict
from harness.results.replies import Placement
from tests.devices.small_graphs import write_relu

CPU = find_device("cpu")


@pytest.fixture
def graph(tmp_path):
    return write_relu(tmp_path / "model.onnx")


def test_an_opened_session_runs_and_proves_its_placement(graph):
    opened = open_session(graph, CPU, threads=1)
    values = np.array([[1, -1, 3]], dtype=np.float32)
    (result,) = opened.session.run(None, {"x": values})
    assert result.tolist() == [[2, 0, 6]]
    assert opened.placement.verdict is PlacementVerdict.FULL
    assert opened.placement.nodes == {"CPUExecutionProvider": 2}
    assert opened.placement.compute_nodes == {"CPUExecutionProvider": 1}
    assert opened.load_ns > 0
    assert (opened.threads, opened.spinning) == (1, True)


def test_options_are_what_the_record_says():
    options = session_options(threads=2)
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "1"
    assert options.get_session_config_entry("session.force_spinning_stop") == "0"


def test_threads_of_a_session_that_takes_turns_rest_between_runs():
    options = session_options(threads=2, stop_spinning=True)
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"


def test_a_broken_graph_is_a_model_error(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no protobuf at all")
    with pytest.raises(ModelError, match=r"cannot open model\.onnx") as caught:
        open_session(path, CPU, threads=1)
    assert str(tmp_path) not in caught.value.problem


@pytest.mark.parametrize(
    ("row", "fell_off", "told"),
    [
        ("cuda", {"GroupQueryAttention": 30}, "--quant fp16 or int4-half"),
        ("cuda", {"Gather": 1}, "bench devices says"),
        ("openvino-gpu", {"GroupQueryAttention": 30}, "bench devices says"),
    ],
)
def test_an_attention_of_16_bits_alone_says_which_levels_have_it(row, fell_off, told):
    placement = Placement(verdict=PlacementVerdict.PARTIAL, fell_off=fell_off)
    assert way_around(Device(find_row(row)), placement).startswith(told)
