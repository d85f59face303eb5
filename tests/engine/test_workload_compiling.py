"""Compiled graphs are kept atomically, and opened in place of the model's own."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from harness.core.errors import DeviceError
from harness.devices.compiled import META_FILE, compiled_folder, read_compiled
from harness.devices.device import Device, SentDevice, find_device
from harness.devices.placement import place
from harness.engine import compiling
from harness.engine.compiling import compile_model
from harness.results.enums import PlacementVerdict
from harness.results.replies import Placement

QNN = find_device("qnn")
NODES = {"QNNExecutionProvider": 4}


class FakeProvider:
    """Opens in 7 ns each; compiling writes a graph and its binary, unless it is told not to."""

    def __init__(self, writes=True, opens_again=True):
        self.writes, self.opens_again = writes, opens_again
        self.opened = []

    def __call__(self, graph, device, threads, context_to=None):
        self.opened.append(device.file_of(graph))
        if context_to is None and not self.opens_again:
            raise DeviceError("it cannot be opened", fix="none")
        if context_to is not None and self.writes:
            context_to.write_text("compiled")
            context_to.with_name(f"{context_to.stem}_qnn.bin").write_text("binary")
        return SimpleNamespace(
            load_ns=7,
            placement=Placement(verdict=PlacementVerdict.FULL, nodes=NODES, compute_nodes=NODES),
        )


@pytest.fixture
def provider(monkeypatch, tmp_path):
    """A fake in the place of ONNX Runtime, over a model of two graphs."""
    for name in ("prefill.onnx", "step.onnx"):
        (tmp_path / name).write_text("graph")
    fake = FakeProvider()
    files = (tmp_path / "prefill.onnx", tmp_path / "step.onnx")
    monkeypatch.setattr(compiling, "open_session", fake)
    monkeypatch.setattr(compiling, "graph_files", lambda graph, geometry: files)
    monkeypatch.setattr(compiling, "geometry_from", lambda geometry: geometry)
    return fake


def compiled(tmp_path, folder):
    return compile_model(str(tmp_path / "prefill.onnx"), {}, QNN.sent(), 1, str(folder))


def test_every_graph_is_compiled_and_then_opened_from_what_was_kept(provider, tmp_path):
    folder = tmp_path / "cache" / "compiled"
    found = compiled(tmp_path, folder)
    assert found.compile_ns == 14
    assert found.placement.nodes == {"QNNExecutionProvider": 8}
    assert read_compiled(folder) == found
    assert sorted(path.name for path in folder.iterdir()) == [
        *(META_FILE, "prefill.onnx", "prefill_qnn.bin", "step.onnx", "step_qnn.bin"),
    ]
    assert [path.name for path in folder.parent.iterdir()] == ["compiled"]
    first, again = provider.opened[:2], provider.opened[2:]
    assert {path.parent for path in first} == {tmp_path}
    assert all(path.parent.name.endswith(".partial") for path in again)


@pytest.mark.parametrize(
    ("fault", "problem"),
    [({"writes": False}, "wrote no compiled graph"), ({"opens_again": False}, "cannot be opened")],
)
def test_what_cannot_be_opened_again_is_not_kept(fault, problem, provider, tmp_path):
    for name, value in fault.items():
        setattr(provider, name, value)
    with pytest.raises(DeviceError, match=problem):
        compiled(tmp_path, tmp_path / "cache" / "compiled")
    assert list((tmp_path / "cache").iterdir()) == []


def test_of_two_that_compile_at_once_the_first_stays(provider, tmp_path):
    folder = tmp_path / "cache" / "compiled"
    compiled(tmp_path, folder)
    (folder / "step.onnx").write_text("the first one's")
    compiled(tmp_path, folder)
    assert (folder / "step.onnx").read_text() == "the first one's"


def test_half_a_folder_is_replaced(provider, tmp_path):
    folder = tmp_path / "cache" / "compiled"
    folder.mkdir(parents=True)
    (folder / "old").write_text("left by a crash")
    compiled(tmp_path, folder)
    assert not (folder / "old").exists()
    assert read_compiled(folder) is not None


def test_a_folder_without_its_record_is_none(tmp_path):
    assert read_compiled(tmp_path) is None
    (tmp_path / META_FILE).write_text("{")
    assert read_compiled(tmp_path) is None


def test_a_graph_that_was_not_compiled_is_opened_itself(tmp_path):
    (tmp_path / "step.onnx").write_text("compiled")
    device = replace(QNN, compiled=str(tmp_path))
    assert device.file_of(Path("m/step.onnx")) == tmp_path / "step.onnx"
    assert device.file_of(Path("m/other.onnx")) == Path("m/other.onnx")
    assert QNN.file_of(Path("m/step.onnx")) == Path("m/step.onnx")
    assert (
        find_device(msgspec.json.decode(msgspec.json.encode(device.sent()), type=SentDevice))
        == device
    )


def test_the_folder_is_named_by_all_that_decides_its_content(tmp_path, monkeypatch):
    def name(content="a", device=QNN):
        return compiled_folder(tmp_path, content, device)

    others = [
        name("b"),
        name(device=replace(QNN, options=(("htp_arch", "73"),))),
        name(device=replace(QNN, simulate=True)),
        name(device=replace(QNN, index=1)),
    ]
    assert name() == name()
    monkeypatch.setattr("harness.devices.compiled.installed_version", lambda wheel: "another")
    assert len({name(), *others}) == 5
    assert compiled_folder(tmp_path, "a", Device(find_device("cpu").row)) is None


def test_a_compiled_part_counts_as_the_arithmetic_in_it():
    """Beside it only glue may be elsewhere."""
    part = ("QNNExecutionProvider", "EPContext", "part")
    glue, product = (("CPUExecutionProvider", name, name) for name in ("Cast", "MatMul"))
    assert place([part], "QNNExecutionProvider").verdict is PlacementVerdict.FULL
    assert place([part, glue], "QNNExecutionProvider").verdict is PlacementVerdict.FULL_COMPUTE
    assert place([part, product], "QNNExecutionProvider").verdict is PlacementVerdict.PARTIAL
