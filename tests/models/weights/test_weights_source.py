"""What a word for a model means, and what is said when it means nothing."""

import subprocess
import sys

import pytest

from harness.core.errors import ModelError, UsageError
from harness.models.catalog.catalog import load_spec
from harness.models.weights import source as source_module
from harness.models.weights.source import resolve_model, trained_names, weights_identity
from tests.models.weights.checkpoints import random_tensors, write_config, write_index, write_single


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A folder of shipped models with one trained model, `toylm`."""
    models = tmp_path / "shipped"
    write_single(models / "toylm", random_tensors())
    (models / "half").mkdir()
    monkeypatch.setattr(source_module, "data_folder", lambda kind: tmp_path / "shipped")
    return models


def test_a_catalog_name_is_seeded():
    source = resolve_model("smollm2-135m")
    assert source.spec == load_spec("smollm2-135m")
    assert (source.name, source.folder, source.weights_kind) == ("smollm2-135m", None, "seeded")


def test_a_shipped_folder_is_trained(shipped):
    source = resolve_model("toylm")
    assert (source.name, source.folder, source.weights_kind) == (
        "toylm",
        shipped / "toylm",
        "trained",
    )


def test_only_folders_with_a_config_are_shipped_models(shipped):
    assert trained_names() == ("toylm",)


@pytest.mark.parametrize("ending", ["", "/", "/."])
def test_a_path_is_called_by_its_last_component(tmp_path, ending):
    folder = write_single(tmp_path / "my-model", random_tensors())
    source = resolve_model(f"{folder}{ending}")
    assert (source.name, source.spec.name) == ("my-model", "my-model")
    assert source.weights_kind == "trained"


def test_the_current_folder_has_a_name(tmp_path, monkeypatch):
    folder = write_single(tmp_path / "my-model", random_tensors())
    monkeypatch.chdir(folder)
    assert resolve_model(".").name == "my-model"


def test_a_catalog_name_wins_over_a_folder_and_a_dot_names_the_folder(tmp_path, monkeypatch):
    write_single(tmp_path / "smollm2-135m", random_tensors())
    monkeypatch.chdir(tmp_path)
    assert resolve_model("smollm2-135m").weights_kind == "seeded"
    assert resolve_model("./smollm2-135m").weights_kind == "trained"


@pytest.mark.parametrize("word", ["smollm2-135", "SMOLLM2_135M", "./smollm2-135"])
def test_a_mistyped_name_gets_the_nearest(word):
    with pytest.raises(UsageError) as caught:
        resolve_model(word)
    assert repr(word) in caught.value.problem
    assert "did you mean smollm2-135m" in caught.value.fix
    assert "config.json and model.safetensors" in caught.value.fix
    assert caught.value.exit_code == 2


def test_a_shipped_trained_model_is_among_the_nearest(shipped):
    with pytest.raises(UsageError, match="did you mean toylm"):
        resolve_model("toyml")


@pytest.mark.parametrize("word", ["zzz", "", " ", "~qqqqqqqq", "a\0b", "x" * 5000])
def test_a_word_like_nothing_says_where_the_names_are(word):
    with pytest.raises(UsageError) as caught:
        resolve_model(word)
    assert "no model and no folder is called" in caught.value.problem
    assert "`bench models` lists the names" in caught.value.fix


def test_a_file_is_not_a_folder(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"")
    with pytest.raises(UsageError, match=r"'model\.onnx' is a file") as caught:
        resolve_model(str(path))
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("file", ["model-1.safetensors", "../model.safetensors"])
def test_an_index_without_its_files_is_told_by_the_file_it_names(tmp_path, file):
    folder = write_config(tmp_path / "my-model")
    write_index(folder, {"model.norm.weight": file})
    source = resolve_model(str(folder))
    with pytest.raises(ModelError) as caught:
        weights_identity(source, seed=0)
    assert file in caught.value.problem
    assert "index.json" in caught.value.problem


def test_resolving_a_catalog_name_needs_no_numpy():
    code = (
        "import sys; from harness.models.weights.source import resolve_model\n"
        "import harness.models.weights.source\n"
        "harness.models.weights.source.weights_identity(resolve_model('smollm2-135m'), 0)\n"
        "sys.exit(bool({'numpy', 'safetensors', 'onnx', 'onnxruntime'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
