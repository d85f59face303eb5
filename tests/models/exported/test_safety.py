"""What is refused before a runtime sees a file, in words that say what to do."""

import os
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from harness.core.errors import ModelError
from harness.models.exported.safety import check_memory
from tests.models.exported.tiny_graphs import external, installed, language_model, read, saved

posix = pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")


def changed(folder: Path, **entries: str) -> Path:
    """A model with external data, one tensor of which claims to lie elsewhere."""
    path = external(language_model(), folder)
    proto = onnx.load(path, load_external_data=False)
    for entry in proto.graph.initializer[0].external_data:
        entry.value = entries.get(entry.key, entry.value)
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\x00\x01\x02 no model at all", "no ONNX model"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
        (language_model().SerializeToString()[:-40], "no ONNX model|holds no graph"),
    ],
    ids=["empty", "random", "pointer", "truncated"],
)
def test_a_damaged_graph_is_refused(tmp_path: Path, content: bytes, words: str):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=words):
        read(tmp_path)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"location": "../secret"}, "outside the model's folder"),
        ({"location": "a/../../secret"}, "outside the model's folder"),
        ({"location": "/etc/passwd"}, "outside the model's folder"),
        ({"location": "C:\\secret"}, "outside the model's folder"),
        ({"location": "*/_ORT_MEM_ADDR_/*"}, "cannot be read"),
        ({"location": "absent.data"}, "cannot be read"),
        ({"location": ""}, "outside the model's folder"),
        ({"offset": "-1"}, "does not lie inside"),
        ({"offset": str(2**62)}, "does not lie inside"),
        ({"length": "7"}, "does not lie inside"),
        ({"offset": "here"}, "does not say where"),
    ],
)
def test_a_place_outside_the_data_is_refused(tmp_path: Path, entries: dict[str, str], words: str):
    """Traversal, absolute paths, absent files, offsets and lengths that are not inside."""
    (tmp_path / "secret").write_bytes(bytes(100_000))
    with pytest.raises(ModelError, match=words):
        read(changed(tmp_path / "m", **entries))


def test_data_that_was_cut_is_refused(tmp_path: Path):
    """ONNX Runtime would map it, and die reading behind its end."""
    path = external(language_model(), tmp_path)
    os.truncate(tmp_path / "model.onnx.data", 100)
    with pytest.raises(ModelError, match="does not lie inside"):
        read(path)


@posix
@pytest.mark.parametrize("which", ["model.onnx", "model.onnx.data"])
def test_links_of_both_kinds_are_refused(tmp_path: Path, which: str):
    """ONNX Runtime follows hard links; a symbolic one is first made a file by the cache."""
    external(language_model(), tmp_path / "m")
    file = tmp_path / "m" / which
    (tmp_path / "elsewhere").hardlink_to(file)
    with pytest.raises(ModelError, match="hard links"):
        read(tmp_path / "m")
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="symbolic link"):
        read(tmp_path / "m")


@posix
@pytest.mark.parametrize("which", ["model.onnx", "model.onnx.data"])
def test_a_pipe_is_refused(tmp_path: Path, which: str):
    """ONNX Runtime would wait for it for ever."""
    external(language_model(), tmp_path)
    (tmp_path / which).unlink()
    os.mkfifo(tmp_path / which)
    with pytest.raises(ModelError, match="no regular file"):
        read(tmp_path)


@posix
def test_data_behind_a_linked_folder_is_refused(tmp_path: Path):
    (tmp_path / "m" / "sub").mkdir(parents=True)
    path = external(language_model(), tmp_path / "m", "sub/data")
    (tmp_path / "m" / "sub").rename(tmp_path / "real")
    (tmp_path / "m" / "sub").symlink_to(tmp_path / "real")
    with pytest.raises(ModelError, match="behind a link"):
        read(path)


def test_bytes_that_do_not_fit_a_shape_are_refused(tmp_path: Path):
    proto = language_model()
    proto.graph.initializer[0].dims[0] = 2**40
    with pytest.raises(ModelError, match="has 5120 bytes"):
        read(saved(proto, tmp_path))


def test_versions_that_the_runtime_does_not_know_are_refused(tmp_path: Path):
    """The next opset and the next file format, by the installed packages' own numbers."""
    newest = installed()
    proto = language_model()
    proto.opset_import[0].version = newest.opset + 1
    with pytest.raises(ModelError, match=f"has opset {newest.opset + 1}; onnxruntime"):
        read(saved(proto, tmp_path))
    proto = language_model()
    proto.ir_version = newest.ir_version + 1
    with pytest.raises(ModelError, match=f"IR version {newest.ir_version + 1}"):
        read(saved(proto, tmp_path))


@pytest.mark.parametrize("domain", ["", "ai.onnx.contrib", "com.microsoft", "mine"])
def test_an_operator_without_a_schema_is_refused(tmp_path: Path, domain: str):
    """A library of custom operators beside the model stays where it is: it is never loaded."""
    (tmp_path / "libcustom.so").write_bytes(b"native code")
    node = helper.make_node("Strange", ["x"], ["y"], domain=domain)
    with pytest.raises(ModelError, match=r"needs the operator .*Strange.*libraries|Strange"):
        read(saved(language_model([node]), tmp_path))


def test_outputs_that_are_no_tensors_are_refused(tmp_path: Path):
    proto = language_model()
    sequence = helper.make_tensor_sequence_value_info("all", TensorProto.FLOAT, None)
    proto.graph.output.append(sequence)
    with pytest.raises(ModelError, match="is a sequence, not a tensor"):
        read(saved(proto, tmp_path))


def test_a_model_larger_than_the_free_memory_is_refused():
    """Both numbers are said; without knowledge nothing is refused."""
    check_memory(2**30, None, "big")
    check_memory(2**20, 2**20, "fits")
    with pytest.raises(ModelError, match=r"1,024 MiB of files; 512 MiB"):
        check_memory(2**30, 2**29, "big")


@pytest.mark.parametrize("name", ["config.json", "genai_config.json"])
@pytest.mark.parametrize("content", ["{", "[" * 100_000, "9" * 5000, "\ud800", "x" * 1_000_001])
def test_a_damaged_configuration_is_refused(tmp_path: Path, name: str, content: str):
    """Not JSON, too deep, numbers too long, no text, or no configuration by its size."""
    saved(language_model(), tmp_path)
    (tmp_path / name).write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(ModelError, match=name):
        read(tmp_path)


def test_a_configuration_of_other_types_is_ignored(tmp_path: Path):
    """The graph says what is needed; values that are no numbers say nothing."""
    saved(language_model(), tmp_path)
    (tmp_path / "config.json").write_text('{"vocab_size": "many", "architectures": 3}')
    (tmp_path / "genai_config.json").write_text('{"model": [1, 2]}')
    assert read(tmp_path).vocab_size == 40


@posix
def test_a_configuration_that_is_a_link_out_of_the_folder_is_refused(tmp_path: Path):
    saved(language_model(), tmp_path / "m")
    (tmp_path / "secret").write_text("{}")
    (tmp_path / "m" / "config.json").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelError, match=r"config\.json is a link that leads out"):
        read(tmp_path / "m")


def test_a_graph_that_a_configuration_names_lies_in_the_folder(tmp_path: Path):
    saved(language_model(), tmp_path)
    text = '{"model": {"decoder": {"filename": "../model.onnx"}}}'
    (tmp_path / "genai_config.json").write_text(text)
    with pytest.raises(ModelError, match="which is not in the folder"):
        read(tmp_path)
