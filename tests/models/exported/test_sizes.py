"""The shape of every input: as the file, the user, the test and the configuration say, in turn."""

import json

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.core.errors import UsageError
from harness.models.exported.sizes import (
    Axis,
    Reading,
    fixed_sizes,
    input_shapes,
    invented_values,
    length_of,
    sound_seconds,
)
from harness.runner.models.tests import batches_of
from harness.runner.settings import Settings
from tests.models.exported.tiny_graphs import WIDTH as VECTOR
from tests.models.exported.tiny_graphs import model, port, read, saved, values
from tests.models.exported.tiny_parts import Tiny

WHOLE = TensorProto.INT64
NOTHING = Reading()


def picture(folder, *shape):
    """Pixels summed to one number each; the folder is the model."""
    node = helper.make_node("ReduceSum", ["pixel_values"], ["depth"], keepdims=0)
    return read(saved(model([node], [port("pixel_values", shape)], [port("depth", [])]), folder))


def spoken(folder, *inputs):
    """A graph of no known kind that only passes its first input on."""
    node = helper.make_node("Identity", [inputs[0].name], ["out"])
    outputs = [port("out", ["n"] * len(inputs[0].type.tensor_type.shape.dim))]
    return read(saved(model([node], list(inputs), outputs), folder))


def shapes(found, reading=NOTHING, **dims):
    return input_shapes(found.main, found, dims, reading)


def test_the_file_comes_first(tmp_path):
    found = picture(tmp_path, 2, 3, 8, "width")
    assert fixed_sizes(found.main, {"width": 9}) == {
        Axis.BATCH: 2,
        Axis.CHANNELS: 3,
        Axis.HEIGHT: 8,
        Axis.WIDTH: 9,
    }
    with pytest.raises(UsageError, match=r"--img 8 asks for 8 .* takes 2, as its input"):
        shapes(found, Reading("--img 8", 8))


def test_a_given_size_comes_before_a_test(tmp_path):
    found = picture(tmp_path, "batch", 3, 8, 8)
    assert shapes(found, Reading("--img 8", 8))["pixel_values"][0] == 8
    assert shapes(found, batch=2)["pixel_values"][0] == 2
    with pytest.raises(UsageError, match="as --dim batch=2 says"):
        shapes(found, Reading("--img 8", 8), batch=2)


def test_an_image_is_of_the_configured_size(tmp_path):
    """Of a part of config.json, where the vision half has a table of its own."""
    config = {"encoder": {"image_size": 24}, "decoder": {"vocab_size": 5}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = picture(tmp_path, "n", "c", "h", "w")
    assert shapes(found)["pixel_values"] == (1, 3, 24, 24)


def test_channels_may_be_last(tmp_path):
    assert shapes(picture(tmp_path, "n", 12, 10, 3))["pixel_values"] == (1, 12, 10, 3)


def test_one_name_has_one_size_in_every_input(tmp_path):
    ids, words = (port(name, ["b", "s"], WHOLE) for name in ("input_ids", "words"))
    found = spoken(tmp_path, ids, words, port("spans", ["b", "k", 2], WHOLE))
    fed = shapes(found, s=64, k=12)
    assert fed == {"input_ids": (1, 64), "words": (1, 64), "spans": (1, 12, 2)}
    with pytest.raises(UsageError, match="leaves the dimension 'k' open"):
        shapes(found)


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("length", [1], 40),
        ("signal_length", ["b"], 40),
        ("text_lengths", ["b", 1], 7),
        ("lens", [], 7),
        ("lent", [1], None),
    ],
)
def test_a_length_is_that_of_its_sequence(tmp_path, name, shape, expected):
    """By its name, else of the tokens, else of the first input of numbers."""
    inputs = [port("signal", ["b", 4, "frames"]), port(name, shape, WHOLE)]
    if name in ("text_lengths", "lens"):
        inputs.insert(0, port("input_ids", ["b", "s"], WHOLE))
    found = spoken(tmp_path, *inputs)
    fed = shapes(found, frames=40, s=7, b=1)
    assert length_of(found.main.port(name), found.main, fed) == expected


def test_what_nobody_says_is_listed(tmp_path):
    found = spoken(tmp_path, port("x", [1, 4]), port("sr", [], WHOLE), port("mask", [1], WHOLE))
    assert invented_values(found.main, {}) == {"sr": 0, "mask": 1}
    assert invented_values(found.main, {"sr": 16000}) == {"mask": 1}


def positions(folder, added, rows=30, count="CumSum", config=None):
    """Vectors of tokens and of their positions, which begin behind `added`."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["x"]),
        helper.make_node(count, ["attention_mask", "axis"], ["counted"]),
        helper.make_node("Mul", ["attention_mask", "counted"], ["shown"]),
        helper.make_node("Add", ["shown", "added"], ["place"]),
        helper.make_node("Gather", ["rows", "place"], ["y"]),
        helper.make_node("Add", ["x", "y"], ["last_hidden_state"]),
    ]
    stored = {"table": values(9, 4), "rows": values(rows, 4)}
    stored |= {"axis": np.array(1), "added": np.array(added)}
    inputs = [port(name, ["b", "s"], WHOLE) for name in ("input_ids", "attention_mask")]
    if config is not None:
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config))
    outputs = [port("last_hidden_state", ["b", "s", 4])]
    return read(saved(model(nodes, inputs, outputs, stored), folder))


@pytest.mark.parametrize(("added", "limit"), [(1, 28), (0, 29), (-1, 30)])
def test_positions_begin_where_the_graph_counts_from(tmp_path, added, limit):
    """A running sum over the mask begins at 1, and what is added moves it."""
    assert positions(tmp_path, added).max_context_tokens == limit


@pytest.mark.parametrize("is_int", [True, False])
def test_positions_begin_where_a_range_begins(tmp_path, is_int):
    """From behind the cache and 2 more, as BART's: 30 rows take 28 tokens."""
    tiny = Tiny()
    two = {"value_int": 2} if is_int else {"value": numpy_helper.from_array(np.array(2))}
    length = tiny.node("Gather", tiny.node("Shape", "past_key_values.0.key"), "two")
    first = tiny.node("Add", length, tiny.node("Constant", **two))
    last = tiny.node("Add", first, tiny.node("Gather", tiny.node("Shape", "input_ids"), "one"))
    tiny.weights["rows"] = values(30, VECTOR)
    place = tiny.node("Gather", "rows", tiny.node("Range", first, last, "one"))
    found = read(saved(tiny.added(place).attention(0).logits(), tmp_path))
    assert found.max_context_tokens == 28


def test_three_rows_of_positions_are_no_three_texts(tmp_path):
    """[3, batch, tokens], as of Qwen2-VL and Qwen3.5: of time, height and width."""
    tiny = Tiny().attention(0)
    tiny.inputs.append(port("position_ids", [3, "batch", "tokens"], WHOLE))
    found = read(saved(tiny.logits(), tmp_path))
    assert Axis.BATCH not in fixed_sizes(found.main, {})
    assert batches_of(Settings(), found) == (1,)


def test_the_least_limit_counts(tmp_path):
    config = {"model_type": "bert", "max_position_embeddings": 20}
    assert positions(tmp_path, 1, config=config).max_context_tokens == 20


def test_roberta_begins_behind_its_padding(tmp_path):
    """Of a graph that does not show it: 30 positions and padding 1 are 28 tokens."""
    config = {"model_type": "camembert", "max_position_embeddings": 30, "pad_token_id": 1}
    assert positions(tmp_path, 1, rows=99, config=config).max_context_tokens == 28


def heard(folder, name, *shape, preprocessor=None, **config):
    """A model of sound that only passes on what goes in."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor or {}))
    return spoken(folder, port(name, shape))


def test_sounds_as_they_are_have_so_many_samples_a_second(tmp_path):
    found = heard(tmp_path, "input_values", "n", "samples", preprocessor={"sampling_rate": 8000})
    assert found.kind == "sound"
    fed = shapes(found, Reading("--aud 2.5x4", 4, seconds=2.5))
    assert fed["input_values"] == (4, 20_000)
    assert shapes(found)["input_values"] == (1, 80_000)


@pytest.mark.parametrize(
    ("config", "preprocessor", "expected", "seconds"),
    [
        ({}, {}, (80, 1000), None),
        ({"num_mel_bins": 128}, {"hop_length": 320}, (128, 500), None),
        ({"model_type": "whisper", "max_source_positions": 50}, {}, (80, 100), 1.0),
        ({}, {"feature_size": 8, "nb_max_frames": 64, "chunk_length": 30}, (8, 64), 30.0),
    ],
)
def test_frames_are_those_of_the_configuration(tmp_path, config, preprocessor, expected, seconds):
    """Ten seconds, or as long as the one length that the encoder takes."""
    shape = ("n", "bins", "frames")
    found = heard(tmp_path, "input_features", *shape, preprocessor=preprocessor, **config)
    assert shapes(found)["input_features"] == (1, *expected)
    assert sound_seconds(found.main, found, {}) == seconds


def test_a_stated_number_of_frames_is_a_length(tmp_path):
    """3000 frames of 160 samples at 16 kHz are 30 seconds; bins may be last."""
    found = heard(tmp_path, "input_features", "n", 80, 3000)
    assert sound_seconds(found.main, found, {}) == 30.0
    last = heard(tmp_path / "last", "input_features", "n", "frames", 40)
    assert shapes(last)["input_features"] == (1, 1000, 40)


@pytest.mark.parametrize(("is_cut", "limit"), [(True, 30), (False, None)])
def test_a_stored_count_is_of_tokens_where_it_is_cut(tmp_path, is_cut, limit):
    """BERT cuts its positions to the text; a picture's patches are used whole."""
    place = "part" if is_cut else "count"
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["x"]),
        helper.make_node("Slice", ["count", "zero", "end", "axis"], ["part"]),
        helper.make_node("Gather", ["rows", place], ["y"]),
        helper.make_node("Add", ["x", "y"], ["last_hidden_state"]),
    ]
    stored = {"table": values(9, 4), "rows": values(30, 4), "count": np.arange(30)[None]}
    stored |= {"zero": np.array([0]), "end": np.array([5]), "axis": np.array([1])}
    outputs = [port("last_hidden_state", ["b", "s", 4])]
    proto = model(nodes, [port("input_ids", ["b", "s"], WHOLE)], outputs, stored)
    assert read(saved(proto, tmp_path)).max_context_tokens == limit
