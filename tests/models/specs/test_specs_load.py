"""The catalog is read strictly, and a mistyped name gets the nearest ones."""

import subprocess
import sys

import pytest

from harness.core.errors import ModelError, StorageError, UsageError, nearest
from harness.core.records import data_folder
from harness.models.catalog.catalog import load_spec, read_spec, spec_names
from harness.models.specs.decoder_names import FAMILIES
from harness.models.specs.model import ENCODER_FAMILIES, ROTARY_ENCODER_FAMILIES, RopeScaling

TEXT = (data_folder("models") / "smollm2-135m.toml").read_text()


# Families whose makers publish no exact count: built from a folder, not in the catalog.
NOT_COUNTED = {"exaone4", "hunyuan_v1_dense", "hyperclovax"}
NOT_COUNTED |= {"granitemoe_swa", "ministral", "qwen3_next"}


def write(tmp_path, text, name="smollm2-135m"):
    path = tmp_path / f"{name}.toml"
    path.write_text(text)
    return path


def test_at_least_ten_architectures_of_every_supported_family():
    families = {load_spec(name).family for name in spec_names()}
    assert len(spec_names()) >= 10
    assert families == {*FAMILIES, *ENCODER_FAMILIES, *ROTARY_ENCODER_FAMILIES} - NOT_COUNTED


def test_names_are_sorted_and_are_the_file_names():
    assert list(spec_names()) == sorted(spec_names())
    assert all(load_spec(name).name == name for name in spec_names())


def test_llama_3_2_stretches_its_rotary_positions():
    assert load_spec("llama-3.2-1b").rope_scaling == RopeScaling("llama3", 32.0, 1.0, 4.0, 8192)


def test_epsilon_differs_by_family():
    """Qwen uses 1e-6 where Llama uses 1e-5: the logits differ."""
    epsilons = {load_spec(name).family: load_spec(name).norm_epsilon for name in spec_names()}
    assert epsilons["llama"] == epsilons["phi3"] == epsilons["gpt2"] == 1e-5
    assert epsilons["qwen2"] == epsilons["gemma2"] == epsilons["olmo2"] == 1e-6
    assert epsilons["bert"] == epsilons["distilbert"] == 1e-12


def test_gemma_3_sees_everything_in_every_sixth_layer():
    """26 layers: 5, 11, 17 and 23 see all, counted from 0; the others 512 tokens."""
    spec = load_spec("gemma-3-1b")
    full = [layer for layer in range(26) if spec.window_tokens(layer) is None]
    assert full == [5, 11, 17, 23]
    assert spec.full_attention_layers == 4
    assert spec.window_tokens(0) == 512


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("smollm2_135m", "smollm2-135m"),
        ("SmolLM2-135M", "smollm2-135m"),
        ("qwen2.5-05b", "qwen2.5-0.5b"),
        ("lama-3.2-1b", "llama-3.2-1b"),
    ],
)
def test_nearest_name_comes_first(typed, meant):
    assert nearest(typed, spec_names())[0] == meant


def test_unknown_name_is_a_usage_error_with_the_nearest_names():
    with pytest.raises(UsageError) as caught:
        load_spec("smollm2-135b")
    assert "'smollm2-135b'" in caught.value.problem
    assert "did you mean smollm2-135m" in caught.value.fix
    assert caught.value.exit_code == 2


def test_a_name_like_nothing_still_lists_the_known_ones():
    with pytest.raises(UsageError) as caught:
        load_spec("zzz")
    assert "did you mean" not in caught.value.fix
    assert "known: " in caught.value.fix


def test_read_spec_reads_the_shipped_text(tmp_path):
    assert read_spec(write(tmp_path, TEXT)) == load_spec("smollm2-135m")


BROKEN = {
    "unknown key": (TEXT + "\nnum_layer = 3\n", "unknown key 'num_layer'"),
    "missing key": (TEXT.replace("num_layers = 30", ""), "key 'num_layers' is missing"),
    "text for number": (TEXT.replace("= 30", '= "30"'), "num_layers must be of type integer"),
    "float for integer": (TEXT.replace("= 30", "= 30.0"), "num_layers must be of type integer"),
    "boolean for integer": (TEXT.replace("= 30", "= true"), "num_layers must be of type integer"),
    "integer for boolean": (
        TEXT.replace("tied_embeddings = true", "tied_embeddings = 1"),
        "tied_embeddings must be of type boolean",
    ),
    "number for text": (
        TEXT.replace('family = "llama"', "family = 3"),
        "family must be of type string",
    ),
    "not toml": ("name = ", "is not TOML"),
    "zero": (TEXT.replace("= 30", "= 0"), "num_layers is 0"),
    "infinite": (TEXT.replace("= 1e-5", "= inf"), "norm_epsilon is inf"),
    "family": (TEXT.replace('"llama"', '"bloom"'), "family is 'bloom'"),
    "groups": (TEXT.replace("num_kv_heads = 3", "num_kv_heads = 2"), "9 heads cannot share 2"),
    "odd head": (TEXT.replace("head_dim = 64", "head_dim = 63"), "head_dim is 63"),
    "rope kind": (
        TEXT + '\n[rope_scaling]\nkind = "yearn"\nfactor = 2\n',
        "rope scaling is 'yearn'",
    ),
    "rope key": (
        TEXT + '\n[rope_scaling]\nkind = "linear"\nfactor = 2\nbeta = 1\n',
        "unknown key 'beta'",
    ),
    "rope factor": (
        TEXT + '\n[rope_scaling]\nkind = "linear"\nfactor = 0\n',
        "rope_scaling.factor is 0",
    ),
    "yarn bounds": (
        TEXT + '\n[rope_scaling]\nkind = "yarn"\nfactor = 2\nfast_turns = 0.5\n',
        "fast_turns 0.5 is below slow_turns 1.0",
    ),
    "rope no table": (TEXT + "\nrope_scaling = 4\n", "rope_scaling must be of type table"),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_names_file_and_key(tmp_path, text, message):
    with pytest.raises(ModelError) as caught:
        read_spec(write(tmp_path, text))
    assert message in str(caught.value)
    assert "smollm2-135m.toml" in caught.value.problem
    assert caught.value.exit_code == 2


def test_the_name_is_the_files(tmp_path):
    with pytest.raises(ModelError, match="name is 'smollm2-135m'"):
        read_spec(write(tmp_path, TEXT, name="other"))


@pytest.mark.parametrize("content", [b"\xff\xfe", None], ids=["no text", "missing"])
def test_an_unreadable_file_is_one_message(tmp_path, content):
    path = tmp_path / "x.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"x\.toml"):
        read_spec(path)


def test_the_wheels_data_folder_wins_over_the_checkouts(tmp_path):
    package = tmp_path / "harness"
    (tmp_path / "models").mkdir()
    package.mkdir()
    assert data_folder("models", package) == tmp_path / "models"
    (package / "_data" / "models").mkdir(parents=True)
    assert data_folder("models", package) == package / "_data" / "models"


def test_an_installation_without_data_says_so(tmp_path):
    with pytest.raises(StorageError, match="lost its data folder 'configs'"):
        data_folder("configs", tmp_path / "harness")


def test_specs_import_neither_numpy_nor_onnx():
    """The parent process and `bench models` must start fast."""
    code = (
        "import sys, harness.models.catalog.catalog, harness.models.configs.config\n"
        "import harness.models.specs.tensors\n"
        "import harness.models.specs.tensors\n"
        "harness.models.catalog.catalog.load_spec('smollm2-135m')\n"
        "sys.exit(bool({'numpy', 'onnx', 'onnxruntime'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
