"""Weights that are graph inputs too: frozen when a model is opened, its file left as it is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, helper, load, numpy_helper

from harness.core.errors import UsageError
from harness.devices.device import find_device
from harness.engine.exported.geometry import AS_IS, ExportedGeometry
from harness.engine.opening import open_sessions
from harness.models.exported.loading import load_whole
from harness.models.exported.model import ExportedSource
from harness.runner.models.exported import exported_model
from harness.runner.plan.checks import check_given
from harness.runner.settings import Settings
from tests.models.exported.tiny_graphs import VOCAB, WIDTH, external, language_model, read, saved


def listed(proto: ModelProto, ir_version: int = 10) -> ModelProto:
    """The same with every stored tensor among the inputs, as formats before IR 4 have it."""
    for tensor in proto.graph.initializer:
        port = helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        proto.graph.input.append(port)
    proto.ir_version = ir_version
    return proto


def large_table(proto: ModelProto) -> ModelProto:
    """A table that is longer than what stays in the copy of a graph file."""
    proto.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.ones((4 * VOCAB * WIDTH, WIDTH), np.float32), "table")
    )
    return proto


def opened(geometry: ExportedGeometry):
    path = geometry.model.path(geometry.model.main)
    return open_sessions(path, geometry, find_device("cpu"), 1)[0].session


def fixed_inputs(session) -> set[str]:
    """What a session still lets a caller feed in place of what is stored."""
    return {port.name for port in session.get_overridable_initializers()}


@pytest.mark.parametrize(
    ("make", "save"),
    [
        (language_model, saved),
        (language_model, external),
        (lambda: large_table(language_model()), saved),
        (lambda: large_table(language_model()), external),
    ],
    ids=["inside", "external", "large inside", "large external"],
)
def test_weights_that_are_inputs_are_frozen_where_they_lie(tmp_path: Path, make, save):
    """ONNX Runtime may be fed the table of the file as it is, and nothing of the frozen one."""
    path = save(listed(make()), tmp_path)
    before = path.read_bytes()
    model = read(tmp_path)
    assert model.main.input_weights == ("table", "head")
    assert [port.name for port in model.main.inputs] == ["input_ids"]
    frozen, as_is = (
        opened(ExportedGeometry(model)),
        opened(ExportedGeometry(model, graph_inputs=AS_IS)),
    )
    assert fixed_inputs(frozen) == set()
    assert fixed_inputs(as_is) == {"table", "head"}
    feeds = {"input_ids": np.array([[3, 1]])}
    assert np.array_equal(frozen.run(None, feeds)[0], as_is.run(None, feeds)[0])
    assert path.read_bytes() == before


def test_a_format_that_lists_every_weight_is_raised_when_frozen(tmp_path: Path):
    """Before IR 4 a stored tensor had to be an input."""
    proto = listed(language_model(), ir_version=3)
    for opset in proto.opset_import:
        opset.version = 8 if not opset.domain else 1
    saved(proto, tmp_path)
    assert fixed_inputs(opened(ExportedGeometry(read(tmp_path)))) == set()


def test_a_graph_of_constants_is_opened_as_its_file(tmp_path: Path):
    """Nothing is frozen where nothing needs to be."""
    saved(language_model(), tmp_path)
    model = read(tmp_path)
    assert model.main.input_weights == ()
    assert exported_model(ExportedSource("m", model)).facts()["notes"] == []


def test_levels_are_made_of_constants(tmp_path: Path):
    """Quantizers pass over a weight that may be fed."""
    path = saved(listed(language_model()), tmp_path)
    assert [port.name for port in load_whole(path, "m").graph.input] == ["input_ids"]
    assert len(load(path).graph.input) == 3


def test_a_row_says_how_such_weights_were_measured(tmp_path: Path):
    """In what `bench models` says, and in the record of each way."""
    saved(listed(language_model()), tmp_path)
    source = ExportedSource("m", read(tmp_path))
    model = exported_model(source)
    (note,) = model.facts()["notes"]
    assert note.startswith("2 weights are graph inputs too")
    found = model.build(model.levels()[0], model.stored_as("fp32")[1], tmp_path)
    assert model.recognition(found, None).notes == (note,)
    as_is = replace(found, geometry=replace(found.geometry, graph_inputs=AS_IS))
    assert "measured so, as the file says" in model.recognition(as_is, None).notes[0]


def test_the_flag_is_refused_where_there_are_none(tmp_path: Path):
    """A flag that changes no row."""
    saved(language_model(), tmp_path)
    model = exported_model(ExportedSource("m", read(tmp_path)))
    settings = Settings(graph_inputs=AS_IS, given=("graph_inputs",))
    with pytest.raises(UsageError, match=r"no weight of .* is an input too"):
        check_given(settings, [model])
