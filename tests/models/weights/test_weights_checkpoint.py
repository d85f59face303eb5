"""A Hugging Face folder is read exactly, or refused with one message before anything is built."""

import json
import shutil

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from harness.core.errors import ModelError, UsageError
from harness.models.weights.checkpoint import open_weights
from harness.models.weights.source import resolve_model, weights_identity
from tests.builder.graph.seeded_folder import encoder_folder
from tests.models.weights.checkpoints import (
    CONFIG,
    random_tensors,
    write_config,
    write_index,
    write_sharded,
    write_single,
)

DOWN = "model.layers.1.mlp.down_proj.weight"


def opened(folder):
    return open_weights(resolve_model(str(folder)), seed=0)


def refused(folder):
    """The one error that opening `folder` gives: exit code 2, a way out, no path."""
    with pytest.raises(ModelError) as caught:
        opened(folder)
    assert caught.value.exit_code == 2
    assert caught.value.fix
    assert str(folder.parent) not in str(caught.value)
    assert folder.name in caught.value.problem
    return str(caught.value)


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("write", [write_single, write_sharded], ids=["single", "sharded"])
def test_every_stored_type_becomes_float32_exactly(tmp_path, dtype, write):
    tensors = random_tensors(dtype=dtype)
    store = opened(write(tmp_path / "toy", tensors))
    assert store.kind == "trained"
    for name, stored in tensors.items():
        read = store.tensor(name)
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, stored.astype(np.float32))


def test_bfloat16_is_the_upper_half_of_float32(tmp_path):
    """0x3FC0 is sign 0, exponent 127, mantissa 1.5: the value 1.5."""
    tensors = random_tensors(dtype="BF16")
    tensors["model.norm.weight"] = np.full(32, 0x3FC0, dtype=np.uint16).view(ml_dtypes.bfloat16)
    store = opened(write_single(tmp_path / "toy", tensors))
    assert set(store.tensor("model.norm.weight").tolist()) == {1.5}


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_rows_are_the_rows_of_the_whole(tmp_path, dtype):
    tensors = random_tensors(dtype=dtype)
    store = opened(write_single(tmp_path / "toy", tensors))
    whole = tensors["model.embed_tokens.weight"].astype(np.float32)
    for start, stop in ((0, 96), (0, 1), (95, 96), (17, 60)):
        rows = store.rows("model.embed_tokens.weight", start, stop)
        np.testing.assert_array_equal(rows, whole[start:stop])
    np.testing.assert_array_equal(
        store.rows("model.norm.weight", 3, 9), tensors["model.norm.weight"].astype(np.float32)[3:9]
    )


def test_the_caller_may_write_into_what_it_read(tmp_path):
    store = opened(write_single(tmp_path / "toy", random_tensors()))
    assert store.rows(DOWN, 0, 4).flags.writeable


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (5, 4), (-1, 4), (0, 97)])
def test_a_range_outside_the_tensor_is_an_index_error(tmp_path, start, stop):
    store = opened(write_single(tmp_path / "toy", random_tensors()))
    with pytest.raises(IndexError):
        store.rows("model.embed_tokens.weight", start, stop)


def test_a_tied_checkpoint_may_store_its_head_again(tmp_path):
    tensors = random_tensors()
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].copy()
    store = opened(write_single(tmp_path / "toy", tensors))
    with pytest.raises(KeyError):
        store.tensor("lm_head.weight")


def test_an_untied_checkpoint_has_a_head_of_its_own(tmp_path):
    config = {**CONFIG, "tie_word_embeddings": False}
    tensors = random_tensors(config)
    store = opened(write_single(tmp_path / "toy", tensors, config))
    np.testing.assert_array_equal(store.tensor("lm_head.weight"), tensors["lm_head.weight"])


def test_an_old_rotary_buffer_is_ignored(tmp_path):
    tensors = random_tensors()
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.ones(4, np.float32)
    assert opened(write_single(tmp_path / "toy", tensors)).kind == "trained"


def test_the_only_file_may_have_another_name(tmp_path):
    folder = write_single(tmp_path / "toy", random_tensors(), name="weights.safetensors")
    assert opened(folder).kind == "trained"


def test_the_single_file_wins_over_an_index(tmp_path):
    folder = write_single(tmp_path / "toy", random_tensors())
    write_index(folder, {"model.norm.weight": "gone.safetensors"})
    assert opened(folder).kind == "trained"


# --- damaged files ---------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0.0, 0.0001, 0.01, 0.05, 0.5, 0.99])
def test_a_cut_off_file_is_named(tmp_path, kept):
    """An interrupted download ends anywhere: in the length, the header or the data."""
    folder = write_single(tmp_path / "toy", random_tensors())
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert "toy/model.safetensors is damaged or cut off" in refused(folder)


def test_one_missing_byte_is_seen(tmp_path):
    folder = write_sharded(tmp_path / "toy", random_tensors())
    path = folder / "model-00002-of-00003.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert "toy/model-00002-of-00003.safetensors is damaged" in refused(folder)


@pytest.mark.parametrize(
    "content",
    [b"\xff" * 200, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n" * 3],
    ids=["noise", "a Git LFS pointer"],
)
def test_a_file_of_something_else_is_named(tmp_path, content):
    folder = write_config(tmp_path / "toy")
    (folder / "model.safetensors").write_bytes(content)
    assert "toy/model.safetensors is damaged" in refused(folder)


@pytest.mark.parametrize("change", ["cut", "gone"])
def test_a_file_that_changes_after_opening_is_an_error_not_a_crash(tmp_path, change):
    folder = write_single(tmp_path / "toy", random_tensors())
    store = opened(folder)
    path = folder / "model.safetensors"
    if change == "cut":
        path.write_bytes(path.read_bytes()[:-64])
    else:
        path.unlink()
    with pytest.raises(ModelError, match=r"toy/model\.safetensors"):
        store.tensor(DOWN)


# --- tensors that do not fit -----------------------------------------------------------------


def test_a_missing_tensor_is_named(tmp_path):
    tensors = random_tensors()
    del tensors[DOWN]
    assert f"{DOWN} is missing" in refused(write_single(tmp_path / "toy", tensors))


def test_many_missing_tensors_are_counted(tmp_path):
    """A layer has 9 tensors; the second one lost, the first name and 8 more are told."""
    tensors = {k: v for k, v in random_tensors().items() if ".layers.1." not in k}
    message = refused(write_single(tmp_path / "toy", tensors))
    assert "model.layers.1.input_layernorm.weight and 8 more are missing" in message


def test_a_missing_head_points_at_the_tie(tmp_path):
    config = {**CONFIG, "tie_word_embeddings": False}
    message = refused(write_single(tmp_path / "toy", random_tensors(), config))
    assert "lm_head.weight is missing" in message
    assert "tie_word_embeddings" in message


def test_a_wrong_shape_gives_both_shapes(tmp_path):
    tensors = random_tensors()
    tensors[DOWN] = np.zeros((64, 32), np.float32)
    message = refused(write_single(tmp_path / "toy", tensors))
    assert f"{DOWN} has shape [64, 32], config.json asks for [32, 64]" in message


@pytest.mark.parametrize(
    "name",
    ["model.layers.0.self_attn.o_proj.bias", "model.layers.2.mlp.up_proj.weight"],
    ids=["a bias", "a third layer"],
)
def test_a_tensor_that_would_be_left_out_is_refused(tmp_path, name):
    """Leaving it out would run another model than the one the user has."""
    tensors = {**random_tensors(), name: np.ones(32, np.float32)}
    message = refused(write_single(tmp_path / "toy", tensors))
    assert f"{name} is in the checkpoint, not in the architecture" in message


@pytest.mark.parametrize(("dtype", "word"), [(np.int8, "I8"), (np.float64, "F64")])
def test_other_types_are_refused(tmp_path, dtype, word):
    tensors = random_tensors()
    tensors[DOWN] = tensors[DOWN].astype(dtype)
    message = refused(write_single(tmp_path / "toy", tensors))
    assert f"{DOWN} is stored as {word}" in message
    assert "F32, F16, BF16" in message


def test_a_config_of_another_architecture_is_refused_before_the_weights(tmp_path):
    config = {**CONFIG, "architectures": ["OlmoForCausalLM"]}
    folder = write_config(tmp_path / "toy", config)
    (folder / "model.safetensors").write_bytes(b"")
    assert "OlmoForCausalLM needs LayerNorm" in refused(folder)


# --- the index of a sharded checkpoint -------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../x.safetensors", "/etc/hostname", "sub/x.safetensors", "..", "", "C:\\x", "a\\b", 3, None],
)
def test_an_index_may_not_leave_the_folder(tmp_path, name):
    folder = write_sharded(tmp_path / "toy", random_tensors())
    (tmp_path / "x.safetensors").write_bytes(b"")
    write_index(folder, {DOWN: name})
    assert "which is not a file of the folder" in refused(folder)


def test_a_shard_that_was_not_downloaded_is_named(tmp_path):
    folder = write_sharded(tmp_path / "toy", random_tensors())
    (folder / "model-00003-of-00003.safetensors").unlink()
    message = refused(folder)
    assert "names 'model-00003-of-00003.safetensors', which is not there" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "has no weight_map"),
        ('{"weight_map": {}}', "has no weight_map"),
        ('{"weight_map": []}', "has no weight_map"),
    ],
    ids=["cut off", "too deep", "a list", "empty map", "a list as map"],
)
def test_a_damaged_index_is_one_message(tmp_path, content, message):
    folder = write_sharded(tmp_path / "toy", random_tensors())
    (folder / "model.safetensors.index.json").write_text(content)
    assert message in refused(folder)


def test_several_files_without_an_index_are_refused(tmp_path):
    folder = write_sharded(tmp_path / "toy", random_tensors())
    (folder / "model.safetensors.index.json").unlink()
    assert "3 safetensors files but no model.safetensors.index.json" in refused(folder)


def test_a_tensor_stored_twice_is_refused(tmp_path):
    folder = write_sharded(tmp_path / "toy", random_tensors())
    shutil.copy(
        folder / "model-00001-of-00003.safetensors", folder / "model-00002-of-00003.safetensors"
    )
    message = refused(folder)
    assert "is stored in model-00001-of-00003.safetensors and" in message


# --- identity --------------------------------------------------------------------------------


def identity(folder):
    return weights_identity(resolve_model(str(folder)), seed=0)


def test_identity_is_a_short_hash_and_the_stores_own(tmp_path):
    folder = write_single(tmp_path / "toy", random_tensors())
    word, _, digits = identity(folder).partition(":")
    assert (word, len(digits)) == ("sha256", 16)
    assert opened(folder).identity == identity(folder)


def test_identity_follows_the_content_not_the_place(tmp_path):
    first = write_single(tmp_path / "toy", random_tensors())
    second = tmp_path / "elsewhere" / "other"
    shutil.copytree(first, second)
    (second / "README.md").write_text("not a weight")
    assert identity(first) == identity(second)


@pytest.mark.parametrize("changed", ["weights", "config"])
def test_identity_changes_with_one_byte(tmp_path, changed):
    folder = write_single(tmp_path / "toy", random_tensors())
    before = identity(folder)
    if changed == "weights":
        path = folder / "model.safetensors"
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    else:
        config = json.loads((folder / "config.json").read_text())
        write_config(folder, {**config, "rope_theta": 20000.0})
    assert identity(folder) != before


# --- folders that are no checkpoint ----------------------------------------------------------


def test_a_folder_without_config_says_what_a_folder_holds(tmp_path):
    (tmp_path / "toy").mkdir()
    with pytest.raises(UsageError) as caught:
        resolve_model(str(tmp_path / "toy"))
    assert "'toy' has no config.json and no *.safetensors" in caught.value.problem
    assert "config.json and model.safetensors" in caught.value.fix


def test_a_folder_without_weights_says_so(tmp_path):
    folder = write_config(tmp_path / "toy")
    with pytest.raises(UsageError, match=r"'toy' has no \*\.safetensors"):
        resolve_model(str(folder))


def renamed(prefix, base="model."):
    """Tensors whose base prefix is `prefix + base`."""
    return {
        f"{prefix}{name.replace('model.', base, 1)}": values
        for name, values in random_tensors().items()
    }


def test_the_base_prefix_may_be_left_out(tmp_path):
    """As a class without a head saves it, and transformers loads it."""
    plain, bare = write_single(tmp_path / "a", random_tensors()), renamed("", "")
    config = {**CONFIG, "architectures": ["LlamaModel"]}
    write_config(write_single(tmp_path / "b", bare), config)
    for name in random_tensors():
        np.testing.assert_array_equal(
            opened(tmp_path / "b").tensor(name), opened(plain).tensor(name)
        )


@pytest.mark.parametrize(
    "prefix", ["_orig_mod.", "module.", "_orig_mod.module.", "language_model."]
)
@pytest.mark.parametrize("base", ["model.", ""])
def test_a_prefix_of_a_wrapper_is_named(tmp_path, prefix, base):
    write_single(tmp_path / "toy", renamed(prefix, base))
    assert f"begins with {prefix!r}" in refused(tmp_path / "toy")


WHOLE = {
    "architectures": ["LlavaForConditionalGeneration"],
    "text_config": {**CONFIG, "architectures": None, "model_type": "llama"},
}
TOWER = {"vision_tower.blocks.0.weight": np.ones((4, 4), np.float32)}


@pytest.mark.parametrize("prefix", ["model.language_model.", "language_model.model."])
def test_the_text_part_of_a_larger_model_is_read(tmp_path, prefix):
    """Both forms in which transformers names it; what is not text is left alone."""
    plain = write_single(tmp_path / "a", random_tensors())
    part = {name.replace("model.", prefix, 1): one for name, one in random_tensors().items()}
    write_single(tmp_path / "b", {**part, **TOWER}, WHOLE)
    for name in random_tensors():
        np.testing.assert_array_equal(
            opened(tmp_path / "b").tensor(name), opened(plain).tensor(name)
        )


def test_a_checkpoint_without_the_text_part_is_named(tmp_path):
    write_single(tmp_path / "toy", TOWER, WHOLE)
    assert "no tensor of the text part" in refused(tmp_path / "toy")


def test_a_strange_tensor_of_the_text_part_is_refused(tmp_path):
    prefix = "model.language_model."
    part = {name.replace("model.", prefix, 1): one for name, one in random_tensors().items()}
    part[f"{prefix}layers.0.extra.weight"] = np.ones(4, np.float32)
    write_single(tmp_path / "toy", part, WHOLE)
    assert "extra.weight is in the checkpoint, not" in refused(tmp_path / "toy")


@pytest.mark.parametrize(
    ("end", "called"),
    [
        ("mlp.experts.gate_up_proj_blocks", "MXFP4"),
        ("mlp.up_proj.weight.absmax", "bitsandbytes"),
        ("mlp.up_proj.g_idx", "GPTQ"),
        ("mlp.up_proj.qweight", "AWQ"),
        ("mlp.up_proj.weight_packed", "compressed-tensors"),
        ("mlp.up_proj.weight_scale_inv", "fp8"),
    ],
)
def test_packed_tensors_are_named_whatever_config_json_says(tmp_path, end, called):
    tensors = {**random_tensors(), f"model.layers.0.{end}": np.ones(4, np.uint8)}
    write_single(tmp_path / "toy", tensors)
    assert f"is packed ({called})" in refused(tmp_path / "toy")


def encoder(folder, name, rename, **more):
    """A fixture of `name` whose tensors are called otherwise, and some more."""
    shutil.copytree(encoder_folder(name), folder)
    tensors = load_file(folder / "model.safetensors")
    renamed = {rename(key): one for key, one in tensors.items()}
    save_file({**renamed, **more}, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_an_encoder_is_read_with_and_without_its_base_and_with_any_head(tmp_path, family):
    """The heads of tasks are no part of an embedding, as in the class without them."""
    head = dict.fromkeys(("classifier.weight", "qa_outputs.bias"), np.ones(2, np.float16))
    opened(encoder(tmp_path / "bare", f"{family}-mean", str, **head))
    opened(encoder(tmp_path / "based", f"{family}-mean", lambda key: f"{family}.{key}", **head))


@pytest.mark.parametrize("prefix", ["model.", "module.", "_orig_mod.", "0.auto_model."])
def test_a_prefix_of_a_wrapper_of_an_encoder_is_named(tmp_path, prefix):
    folder = encoder(tmp_path / "toy", "bert-mean", lambda key: prefix + key)
    assert f"begins with {prefix!r}" in refused(folder)
