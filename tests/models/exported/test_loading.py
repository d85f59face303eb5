"""How graph files are read: without their large tensors, and with functions written out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, helper, load, numpy_helper

from harness.core.errors import ModelError
from harness.devices.operators import opens
from harness.engine.exported import causality
from harness.models.exported.files import find_files
from harness.models.exported.loading import load_graph, load_whole
from harness.models.exported.recognise import recognise
from harness.models.exported.safety import all_tensors
from harness.models.exported.skeleton import LARGE_BYTES, skeleton
from tests.models.exported.tiny_graphs import (
    external,
    ids,
    installed,
    model,
    port,
    read,
    saved,
    values,
)

ROWS, WIDTH = 800, 32  # 100 KiB of float32: larger than what stays in the copy


def large(nodes=()):
    """A language model whose table is large, a branch with a large constant included."""
    inner = numpy_helper.from_array(values(ROWS, WIDTH, seed=2), "inner")
    then = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=inner)], "then", [], [port("c", ["r", "w"])]
    )
    other = helper.make_graph(
        [helper.make_node("Identity", ["table"], ["d"])], "else", [], [port("d", ["r", "w"])]
    )
    condition = numpy_helper.from_array(np.array(True), "yes")
    proto = model(
        [
            helper.make_node("If", ["yes"], ["chosen"], then_branch=then, else_branch=other),
            helper.make_node("Gather", ["table", "input_ids"], ["x"]),
            helper.make_node("Transpose", ["chosen"], ["turned"], perm=[1, 0]),
            helper.make_node("MatMul", ["x", "turned"], ["logits"]),
            *nodes,
        ],
        [ids()],
        [port("logits", ["batch", "tokens", ROWS])],
        {"table": values(ROWS, WIDTH)},
    )
    proto.graph.initializer.append(condition)
    return proto


def test_large_tensors_stay_in_their_file(tmp_path: Path):
    """Two of 100 KiB each, one of them in a branch; what is read of them is what was stored."""
    path = saved(large(), tmp_path)
    assert len(skeleton(path)) < LARGE_BYTES < path.stat().st_size
    pairs = zip(all_tensors(load_whole(path, "m")), all_tensors(load(path)), strict=True)
    for one, other in pairs:
        assert np.array_equal(numpy_helper.to_array(one), numpy_helper.to_array(other))
    found = read(tmp_path)
    assert found.parameters == ROWS * WIDTH  # no product reads the one in the branch
    assert found.data_files == ()


def as_constants(proto: ModelProto) -> ModelProto:
    """The same with every stored tensor as a Constant node, as some exporters write them."""
    nodes = [helper.make_node("Constant", [], [t.name], value=t) for t in proto.graph.initializer]
    body = [*nodes, *proto.graph.node]
    del proto.graph.initializer[:], proto.graph.node[:]
    proto.graph.node.extend(body)
    return proto


@pytest.mark.parametrize(
    "save",
    [saved, external, lambda proto, folder: saved(as_constants(proto), folder)],
    ids=["inline", "data file", "constants"],
)
def test_the_probe_run_maps_weights_where_they_lie(tmp_path: Path, monkeypatch, save):
    """What tells causal models opens no session that copies weights: a file fits but once."""

    def refuse(*arguments, **named):
        raise AssertionError("opened with copies of its weights")

    monkeypatch.setattr(causality, "open_session", refuse)
    save(large(), tmp_path)
    assert causality.is_causal(read(tmp_path)) is True


def test_a_file_cut_in_a_large_tensor_is_said_to_be_a_part(tmp_path: Path):
    path = saved(large(), tmp_path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ModelError, match="only a part of one"):
        load_graph(path, "m")


def test_a_large_tensor_of_other_length_than_its_shape_is_refused(tmp_path: Path):
    proto = large()
    proto.graph.initializer[0].dims[0] = ROWS - 1
    with pytest.raises(ModelError, match=rf"shape \[{ROWS - 1}, {WIDTH}\] has {ROWS * WIDTH * 4}"):
        read(saved(proto, tmp_path))


def of_functions(opset: int):
    """A language model that doubles its vectors by a function of another opset than its own 21."""
    nodes = [helper.make_node("Add", ["a", "a"], ["b"])]
    function = helper.make_function(
        "pkg.x", "Twice", ["a"], ["b"], nodes, [helper.make_opsetid("", opset)]
    )
    proto = model(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["x"]),
            helper.make_node("Twice", ["x"], ["y"], domain="pkg.x"),
            helper.make_node("MatMul", ["y", "head"], ["logits"]),
        ],
        [ids()],
        [port("logits", ["batch", "tokens", 40])],
        {"table": values(40, 32), "head": values(32, 40, seed=1)},
    )
    proto.functions.append(function)
    proto.opset_import.append(helper.make_opsetid("pkg.x", 1))
    return proto


@pytest.mark.parametrize("opset", [18, 21])
def test_functions_of_another_opset_are_read_as_the_runtime_does(tmp_path: Path, opset: int):
    path = saved(of_functions(opset), tmp_path)
    assert opens(path)
    assert read(tmp_path).parameters == 2 * 40 * 32


def test_a_graph_with_functions_of_another_opset_is_no_source_of_levels(tmp_path: Path):
    """What the converter cannot make newer would be another model."""
    with pytest.raises(ModelError, match="functions of another opset"):
        load_whole(saved(of_functions(18), tmp_path), "m")


def test_the_runtime_itself_is_asked_before_it_is_said_not_to_know(tmp_path: Path):
    """Tables say no; what counts is whether it opens the file, which was checked before."""
    proto = of_functions(21)
    proto.ClearField("functions")
    path, asked = saved(proto, tmp_path), []

    def answer(*, takes: bool):
        return replace(installed(), opens=lambda place: asked.append(place) or takes)

    with pytest.raises(ModelError, match=r"pkg\.x:Twice"):
        recognise(find_files(tmp_path), answer(takes=False))
    assert recognise(find_files(tmp_path), answer(takes=True)).parameters == 2 * 40 * 32
    assert asked == [path, path]
    assert not opens(path)
