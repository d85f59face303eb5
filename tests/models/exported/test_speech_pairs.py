"""An encoder that gives keys and values itself, and the decoder that looks at them: as genai's."""

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from harness.devices.device import find_device
from harness.devices.session import open_session
from harness.engine.exported.geometry import ExportedGeometry
from harness.engine.exported.opening import open_steps, opened_files
from harness.engine.passes import seeded_ids
from harness.engine.shapes import shapes_json
from harness.engine.steps_check import steps_check
from harness.models.exported.model import ExportedKind, Role
from tests.models.exported.tiny_graphs import VOCAB, WIDTH, model, port, read, saved, values
from tests.models.exported.tiny_parts import Tiny

BINS, FRAMES, HEADS, HOP = 5, 12, 2, 320
HEAD_WIDTH = WIDTH // HEADS
# Names of the decoder's own cache, and of what it looks at, as inputs and outputs.
GENAI = {
    "own": ("past_{1}_self_{0}", "present_{1}_self_{0}"),
    "seen": ("past_{1}_cross_{0}", "present_{1}_cross_{0}"),
}
TOLD = {"own": ("keep.{1}{0}", "kept.{1}{0}"), "seen": ("look.{1}{0}", "give.{1}{0}")}


def encoder(names: tuple[str, str]) -> ModelProto:
    """Frames to vectors, and to keys and values of a layer: the vectors by heads."""
    key, value = (names[1].format(0, half) for half in ("key", "value"))
    nodes = [
        helper.make_node("Transpose", ["audio_features"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["rows", "weight"], ["hidden_states"]),
        helper.make_node("Reshape", ["hidden_states", "split"], ["heads"]),
        helper.make_node("Transpose", ["heads"], [key], perm=[0, 2, 1, 3]),
        helper.make_node("Neg", [key], [value]),
    ]
    sizes = ["batch", HEADS, FRAMES, HEAD_WIDTH]
    outputs = [port("hidden_states", ["batch", FRAMES, WIDTH]), port(key, sizes)]
    weights = {"weight": values(BINS, WIDTH), "split": np.array([0, 0, HEADS, HEAD_WIDTH])}
    inputs = [port("audio_features", ["batch", BINS, FRAMES])]
    return model(nodes, inputs, [*outputs, port(value, sizes)], weights)


def decoder(own: tuple[str, str], seen: tuple[str, str]) -> ModelProto:
    """A layer over its own tokens, and one that looks at keys and values that are inputs."""
    tiny = Tiny().attention(0, HEADS, own)
    key, value = (seen[0].format(0, half) for half in ("key", "value"))
    for name in (key, value):
        tiny.inputs.append(port(name, ["batch", HEADS, FRAMES, HEAD_WIDTH]))
    heads = tiny.node("Reshape", tiny.x, f"split{HEADS}")
    asked = tiny.node("Transpose", heads, perm=[0, 2, 1, 3])
    scores = tiny.node("MatMul", asked, tiny.node("Transpose", key, perm=[0, 1, 3, 2]))
    found = tiny.node("Transpose", tiny.node("MatMul", scores, value), perm=[0, 2, 1, 3])
    return tiny.added(tiny.node("Reshape", found, "flat")).logits()


def genai_folder(folder: Path, names: dict[str, tuple[str, str]]) -> Path:
    """Both graphs and the configuration that names them."""

    def said(keys: str, template: str) -> dict[str, str]:
        halves = ("key", "value")
        return {keys.format(half): template.format("%d", half) for half in halves}

    own, seen = names["own"], names["seen"]
    parts = {
        "decoder": {
            "filename": "decoder.onnx",
            "inputs": said("past_{}_names", own[0]) | said("cross_past_{}_names", seen[0]),
            "outputs": said("present_{}_names", own[1]),
        },
        "encoder": {
            "filename": "encoder.onnx",
            "inputs": {"audio_features": "audio_features"},
            "outputs": said("cross_present_{}_names", seen[1]),
        },
    }
    saved(encoder(seen), folder, "encoder.onnx")
    saved(decoder(**names), folder, "decoder.onnx")
    config = {"model": {**parts, "type": "whisper", "vocab_size": VOCAB, "context_length": 40}}
    (folder / "genai_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("names", [GENAI, TOLD], ids=["genai", "told by the configuration"])
@pytest.mark.parametrize("file", ["", "decoder.onnx", "encoder.onnx"])
def test_keys_of_sounds_come_from_the_encoder(tmp_path, names, file):
    """The pair, by its folder or one of its files; steps give what a whole pass gives."""
    found = read(genai_folder(tmp_path, names) / file)
    assert found.kind is ExportedKind.ENCODER_DECODER
    assert found.parameters == BINS * WIDTH + 2 * VOCAB * WIDTH
    assert (found.main.file, found.graph(Role.ENCODER).file) == ("decoder.onnx", "encoder.onnx")
    assert (found.cache_kind, found.max_context_tokens) == ("growing", 40)
    geometry = ExportedGeometry(found)
    path, sizes = str(found.path(found.main)), shapes_json(geometry)
    check = steps_check(path, sizes, "cpu", threads=1, batch=1, seed=0)
    assert check.agrees
    assert check.difference < 1e-5


def test_the_decoder_looks_at_what_the_encoder_gave(tmp_path):
    """Other sounds, other logits; there is no start token whose pass makes the keys."""
    geometry = ExportedGeometry(read(genai_folder(tmp_path, GENAI)))
    sessions = [open_session(file, find_device("cpu"), 1) for file in opened_files(geometry)]
    ids = seeded_ids(0, 2, 6, VOCAB)
    one, other = (open_steps(sessions, geometry, 2, 24, seed) for seed in (0, 1))
    assert one.prefix_tokens == 0
    assert np.abs(one.read_whole(ids) - other.read_whole(ids)).max() > 1e-3


@pytest.mark.parametrize("length", ["source", "samples"])
@pytest.mark.parametrize("is_thinned", [False, True])
def test_a_mask_of_sounds_is_as_long_as_the_decoder_wants(tmp_path, length, is_thinned):
    """As its vectors or as the sound itself: a run tells, the names of its dimensions may not."""
    nodes = [
        helper.make_node("Reshape", ["input_values", "split"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weight"], ["last_hidden_state"]),
    ]
    weights = {"split": np.array([0, -1, HOP]), "weight": values(HOP, WIDTH)}
    vectors = [port("last_hidden_state", ["batch", "source", WIDTH])]
    sound = [port("input_values", ["batch", "samples"])]
    saved(model(nodes, sound, vectors, weights), tmp_path, "encoder_model.onnx")
    tiny = Tiny().attention(0)
    tiny.inputs.append(port("encoder_hidden_states", ["batch", "source", WIDTH]))
    tiny.inputs.append(port("encoder_attention_mask", ["batch", length], TensorProto.INT64))
    tiny.weights |= {"from": np.array([0]), "step": np.array([HOP if is_thinned else 1])}
    tiny.weights |= {"to": np.array([2**31]), "side": np.array([1]), "deep": np.array([2])}
    thin = tiny.node("Slice", "encoder_attention_mask", "from", "to", "side", "step")
    shown = tiny.node("Unsqueeze", tiny.node("Cast", thin, to=TensorProto.FLOAT), "deep")
    seen = tiny.node("Mul", "encoder_hidden_states", shown)
    proto = tiny.added(tiny.node("ReduceMean", seen, "side")).logits()
    saved(proto, tmp_path, "decoder_model.onnx")
    geometry = ExportedGeometry(read(tmp_path))
    sessions = [open_session(file, find_device("cpu"), 1) for file in opened_files(geometry)]
    decoder = open_steps(sessions, geometry, 1, 8, seed=0)
    assert np.isfinite(decoder.read_whole(seeded_ids(0, 1, 3, VOCAB))).all()


def plain_pair(folder: Path, ids_name: str, memory: str, mask: str = "") -> None:
    """A spectrogram of any length to vectors of FRAMES, and a decoder that adds their mean."""
    nodes = [
        helper.make_node("Conv", ["mel", "taps"], ["thin"], strides=[2], pads=[1, 1]),
        helper.make_node("Transpose", ["thin"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("Add", ["rows", "places"], ["states"]),
    ]
    weights = {"taps": values(WIDTH, BINS, 3), "places": values(FRAMES, WIDTH)}
    sound = [port("mel", ["batch", BINS, "frames"])]
    nodes[0].input[0] = sound[0].name = "input_features"
    vectors = [port("states", ["batch", FRAMES, WIDTH])]
    saved(model(nodes, sound, vectors, weights), folder / "encoder")
    tiny = Tiny(ids_name).attention(0)
    tiny.inputs.append(port(memory, ["batch", "source", WIDTH]))
    if mask:
        tiny.inputs.append(port(mask, ["batch", "source"], TensorProto.INT64))
    tiny.weights["side"] = np.array([1])
    saved(tiny.added(tiny.node("ReduceMean", memory, "side")).logits(), folder / "decoder")
    config = {"model": {"decoder": {"filename": "decoder/model.onnx"}, "context_length": 40}}
    (folder / "genai_config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("ids_name", "memory", "mask"),
    [
        ("decoder_input_ids", "encoder_hidden_states", ""),  # as mobius names them
        ("input_ids", "memory", "memory_padding"),
        ("tokens_so_far", "encoder_out", ""),
    ],
)
def test_a_decoder_beside_an_encoder_looks_at_its_vectors(tmp_path, ids_name, memory, mask):
    """The encoder is in a folder of its own that no configuration names; parts by their shapes."""
    plain_pair(tmp_path, ids_name, memory, mask)
    found = read(tmp_path)
    assert found.kind is ExportedKind.ENCODER_DECODER
    assert [graph.file for graph in found.graphs] == ["decoder/model.onnx", "encoder/model.onnx"]
    assert found.main.names.encoder_hidden_states == memory
    assert found.main.names.encoder_mask == (mask or None)
    assert found.sound.frames == 2 * FRAMES  # of any length by its name, of one by what it adds
    geometry = ExportedGeometry(found)
    path, sizes = str(found.path(found.main)), shapes_json(geometry)
    assert steps_check(path, sizes, "cpu", threads=1, batch=2, seed=0).agrees


def test_an_encoder_that_no_decoder_looks_at_is_another_model(tmp_path):
    """Such as that of the pictures of a package whose decoder takes vectors."""
    plain_pair(tmp_path, "input_ids", "encoder_hidden_states")
    saved(Tiny("inputs_embeds", takes_vectors=True).attention(0).logits(), tmp_path / "decoder")
    found = read(tmp_path)
    assert (found.kind, len(found.graphs)) == (ExportedKind.DECODER, 1)


def test_halves_that_are_called_so_stay_a_pair(tmp_path):
    """In folders of their own, and no configuration names one: both are named."""
    plain_pair(tmp_path, "input_ids", "encoder_hidden_states")
    (tmp_path / "genai_config.json").unlink()
    saved(Tiny().attention(0).logits(), tmp_path / "decoder")
    assert [graph.file for graph in read(tmp_path).graphs] == [
        "decoder/model.onnx",
        "encoder/model.onnx",
    ]
