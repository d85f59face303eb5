"""Exported models from a path to their record, links and the child process included."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save_model

from harness.core.errors import ModelError, WorkerError
from harness.devices.operators import known_operators
from harness.models.exported.files import find_files
from harness.models.exported.model import ExportedKind
from harness.store.exported import open_exported
from harness.store.exported_links import without_links
from tests.exports import EXPORTS

EXPORT = EXPORTS / "optimum" / "t5-separate"
posix = pytest.mark.skipif(os.name == "nt", reason="links of POSIX")


def write_model(folder: Path) -> None:
    """One product, its weights in a data file."""
    folder.mkdir(parents=True)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])],
        [numpy_helper.from_array(np.ones((8, 8), np.float32), "w")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    kept = {"save_as_external_data": True, "location": "w.data", "size_threshold": 0}
    save_model(proto, folder / "model.onnx", **kept)


def hub_cache(home: Path) -> Path:
    """The folder of a snapshot in which every file is a link to a blob."""
    write_model(home / "blobs")
    snapshot = home / "snapshots" / "abc" / "onnx"
    snapshot.mkdir(parents=True)
    for name in ("model.onnx", "w.data"):
        (home / "blobs" / name).rename(home / "blobs" / f"hash-{name}")
        (snapshot / name).symlink_to(Path("../../../blobs") / f"hash-{name}")
    return home / "snapshots" / "abc"


def test_the_parent_gets_a_record_from_a_child(tmp_path: Path):
    """A real export, read in a process of its own."""
    model = open_exported(EXPORT, tmp_path)
    assert (model.kind, len(model.graphs)) == (ExportedKind.ENCODER_DECODER, 3)


def test_the_parent_loads_no_graph_library():
    """What the parent needs to find, ask for and hold a model imports neither onnx nor numpy."""
    code = (
        "import sys, harness.store.exported, harness.models.exported.files;"
        "import harness.models.exported.model;"
        "sys.exit(bool({'onnx', 'numpy', 'onnxruntime'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_words_and_exit_code_of_a_refusal_come_through(tmp_path: Path):
    """A usage error of the child is one of the parent: exit code 2."""
    with pytest.raises(WorkerError, match=r"no \.onnx file") as caught:
        open_exported(tmp_path, tmp_path)
    assert caught.value.exit_code == 2


@posix
def test_links_into_the_blobs_of_a_hub_cache_become_files(tmp_path: Path):
    """The same names in a folder of our cache, under which no link is left; made once."""
    found = find_files(hub_cache(tmp_path / "models--a--b"))
    first, again = (without_links(found, tmp_path / "cache") for _ in range(2))
    assert first == again
    assert first.folder.is_relative_to(tmp_path / "cache")
    assert sorted(path.name for path in first.folder.iterdir()) == ["model.onnx", "w.data"]
    assert not any(path.is_symlink() for path in first.folder.iterdir())
    assert (
        open_exported(
            tmp_path / "models--a--b" / "snapshots" / "abc", tmp_path / "cache"
        ).parameters
        == 64
    )


@posix
def test_a_link_inside_the_folder_becomes_a_copy(tmp_path: Path):
    write_model(tmp_path / "m")
    (tmp_path / "m" / "w.data").rename(tmp_path / "m" / "weights")
    (tmp_path / "m" / "w.data").symlink_to("weights")
    found = without_links(find_files(tmp_path / "m"), tmp_path / "cache")
    assert (found.folder / "w.data").stat().st_nlink == 1
    assert (found.folder / "w.data").read_bytes() == (tmp_path / "m" / "weights").read_bytes()


@posix
@pytest.mark.parametrize("name", ["model.onnx", "w.data"])
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, name: str):
    """Also one into a folder called blobs that is no part of the cache the model lies in."""
    write_model(tmp_path / "m")
    (tmp_path / "blobs").mkdir()
    (tmp_path / "m" / name).rename(tmp_path / "blobs" / "secret")
    (tmp_path / "m" / name).symlink_to(tmp_path / "blobs" / "secret")
    with pytest.raises(ModelError, match="leads out of the model's folder"):
        without_links(find_files(tmp_path / "m"), tmp_path / "cache")


@posix
def test_a_loop_of_links_is_refused(tmp_path: Path):
    (tmp_path / "model.onnx").symlink_to("model.onnx")
    with pytest.raises(ModelError, match="link to no regular file"):
        without_links(find_files(tmp_path), tmp_path / "cache")


def test_files_without_links_stay_where_they_are(tmp_path: Path):
    found = find_files(EXPORT)
    assert without_links(found, tmp_path) is found


def test_a_model_larger_than_memory_is_refused_by_the_child(tmp_path: Path):
    with pytest.raises(WorkerError, match="of memory are free"):
        open_exported(EXPORT, tmp_path, free_bytes=1000)


def test_the_runtime_knows_its_own_operators():
    """Standard ones without a domain, its own under com.microsoft."""
    known = known_operators()
    assert {("", "MatMul"), ("com.microsoft", "GroupQueryAttention")} <= known.names
    assert known.opset >= 23
