"""Exported models: the usual tests follow the files, asked ones are refused by them."""

import json

import pytest
from onnx import TensorProto, helper

from harness.core.errors import UsageError
from harness.runner.plan import make_plan
from harness.runner.settings import flag_values, load_settings
from tests.exports import EXPORTS
from tests.models.exported.tiny_graphs import model, port, saved, values

WHOLE = TensorProto.INT64
VOCAB, WIDTH = 12, 4


def text(folder, batch, tokens, head="last_hidden_state"):
    """An encoder of one table, or with a head a language model without a cache."""
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["x"])]
    stored = {"table": values(VOCAB, WIDTH)}
    if head == "logits":
        nodes.append(helper.make_node("MatMul", ["x", "head"], ["logits"]))
        stored["head"] = values(WIDTH, VOCAB)
    else:
        nodes.append(helper.make_node("Identity", ["x"], [head]))
    outputs = [port(head, [batch, tokens, VOCAB if head == "logits" else WIDTH])]
    return saved(
        model(nodes, [port("input_ids", [batch, tokens], WHOLE)], outputs, stored), folder
    ).parent


def picture(folder, batch):
    node = helper.make_node("Flatten", ["pixel_values"], ["logits"])
    inputs = [port("pixel_values", [batch, 3, 8, 8])]
    return saved(model([node], inputs, [port("logits", [batch, 192])]), folder).parent


def names_of(folder, **flags):
    settings = load_settings(None, **flag_values({"model": str(folder), **flags}))
    plan = make_plan(settings, 1, folder=folder.parent / "cache")
    return [test.test for test in plan.groups[0].workloads]


def config(folder, **numbers):
    (folder / "config.json").write_text(json.dumps(numbers))
    return folder


def test_a_fixed_batch_is_the_usual_one(tmp_path):
    folder = picture(tmp_path / "fixed", 3)
    assert names_of(folder) == ["img3"]
    with pytest.raises(UsageError, match=r"asks for 8 .* takes 3"):
        names_of(folder, img="8")


def test_a_given_batch_is_the_usual_one(tmp_path):
    folder = picture(tmp_path / "free", "batch")
    assert names_of(folder) == ["img1", "img8"]
    assert names_of(folder, dim=("batch=2",)) == ["img2"]


def test_a_fixed_text_is_the_usual_one(tmp_path):
    assert names_of(text(tmp_path / "one", 1, 20)) == ["enc20x1"]
    assert names_of(text(tmp_path / "free", "b", "s"), dim=("s=30",)) == ["enc30x1", "enc30x8"]
    with pytest.raises(UsageError, match="takes 20"):
        names_of(tmp_path / "one", enc="21x1")


def test_a_decoder_of_so_many_tokens_reads_so_many(tmp_path):
    folder = text(tmp_path / "lm", 1, 16, "logits")
    assert names_of(folder) == ["pp16"]
    with pytest.raises(UsageError, match="reads 16 tokens at once"):
        names_of(folder, prompt="8")
    with pytest.raises(UsageError, match="--batch 4: lm reads 1 sequences"):
        names_of(folder, batch="4")


def test_usual_tests_are_as_short_as_the_context(tmp_path):
    """Of 24 tokens: a prompt, steps, and a request of half of them and the rest."""
    folder = config(text(tmp_path / "lm", "b", "s", "logits"), max_position_embeddings=24)
    assert names_of(folder)[:2] == ["pp24", "tg24"]
    with pytest.raises(UsageError, match="takes 24"):
        names_of(folder, prompt="25")


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"prompt": "16"}, "--prompt: enc has no test of it"),
        ({"img": "2"}, "--img: enc has no test of it"),
        ({"dim": ("nonsense=3",)}, "--dim nonsense: no free dimension of enc"),
        ({"input": ("rate=3",)}, "--input rate: no input of enc"),
    ],
)
def test_what_is_given_by_hand_is_never_dropped(tmp_path, flags, problem):
    with pytest.raises(UsageError, match=problem):
        names_of(text(tmp_path / "enc", "b", "s"), **flags)


def test_models_that_are_built_drop_no_flag_either():
    with pytest.raises(UsageError, match="--img: bytelm has no test of it"):
        make_plan(load_settings(None, **flag_values({"model": "bytelm", "img": "1"})), 1)
    with pytest.raises(UsageError, match="--dim batch: no free dimension of bytelm"):
        make_plan(load_settings(None, **flag_values({"model": "bytelm", "dim": ("batch=1",)})), 1)


def sound(folder, *shape):
    name = "input_features" if len(shape) == 3 else "input_values"
    node = helper.make_node("Identity", [name], ["logits"])
    return saved(model([node], [port(name, shape)], [port("logits", shape)]), folder).parent


@pytest.mark.parametrize(
    ("name", "shape", "tests"),
    [
        ("waveform", ("n", 1, "t"), ["aud10x1", "aud10x8"]),
        ("audio_signal", ("n", "t"), ["aud10x1", "aud10x8"]),
        ("audio", (1, 1, 16000), ["aud1x1"]),
        ("audio_embedding", (1, 128), ["graph"]),
    ],
)
def test_sounds_go_by_other_names_too(tmp_path, name, shape, tests):
    node = helper.make_node("Identity", [name], ["out"])
    saved(model([node], [port(name, shape)], [port("out", shape)]), tmp_path)
    assert names_of(tmp_path) == tests


def test_sounds_are_as_long_as_the_file_takes(tmp_path):
    """3000 frames are 30 seconds; where any length will do, 10."""
    fixed = sound(tmp_path / "fixed", "n", 80, 3000)
    assert names_of(fixed) == ["aud30x1", "aud30x8"]
    assert names_of(sound(tmp_path / "free", "n", "samples")) == ["aud10x1", "aud10x8"]
    assert names_of(tmp_path / "free", aud="2.5x4") == ["aud2.5x4"]
    assert names_of(tmp_path / "free", dim=("samples=8000", "n=2")) == ["aud0.5x2"]
    with pytest.raises(UsageError, match="takes sounds of 30 seconds, and no others"):
        names_of(fixed, aud="10x1")
    with pytest.raises(UsageError, match="--enc: fixed has no test of it"):
        names_of(fixed, enc="128x1")


def test_dimensions_that_tests_size_are_refused_by_name():
    """A pair's cache is sized by its steps, its text by --dim or --enc."""
    pair = EXPORTS / "optimum" / "t5-merged"
    assert "enc16x1" in names_of(pair, dim=("encoder_sequence_length=16",))
    with pytest.raises(UsageError, match="--dim past_decoder_sequence_length: the tests of"):
        names_of(pair, dim=("past_decoder_sequence_length=3",))
