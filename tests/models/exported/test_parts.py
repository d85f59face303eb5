"""Parts of a decoder told by shape where no name tells them, and then decoded with."""

import json

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.devices.device import find_device
from harness.devices.session import open_session
from harness.engine.exported.causality import is_causal
from harness.engine.exported.geometry import ExportedGeometry
from harness.engine.exported.inputs import pass_inputs
from harness.engine.exported.opening import open_exported_decoder
from harness.engine.passes import seeded_ids
from harness.engine.shapes import shapes_json
from harness.engine.steps_check import steps_check
from harness.models.exported.files import find_files
from harness.models.exported.model import ExportedKind
from harness.models.exported.recognise import recognise
from harness.models.exported.sizes import Reading
from tests.models.exported.tiny_graphs import (
    VOCAB,
    WIDTH,
    ids,
    installed,
    model,
    port,
    read,
    saved,
    values,
)
from tests.models.exported.tiny_parts import BUFFER_TOKENS, LONG, TAPS, Tiny

TABLE, HEAD, TAPPED = VOCAB * WIDTH, WIDTH * VOCAB, WIDTH * TAPS
# A decoder under the names of each exporter -> its parameters, states, growing tensors.
DECODERS = {
    "vectors": (lambda: Tiny("inputs_embeds", takes_vectors=True).attention(0), HEAD, 0, 2),
    "vectors without a name": (
        lambda: Tiny("hidden_in", takes_vectors=True).attention(0),
        *(HEAD, 0, 2),
    ),
    "vectors of each layer": (
        lambda: (
            Tiny("inputs_embeds", takes_vectors=True)
            .plus("per_layer_inputs", ["batch", "tokens", 2, 8])
            .attention(0)
        ),
        *(HEAD, 0, 2),
    ),
    "pictures inside": (
        lambda: Tiny().plus("image_features", ["images", WIDTH]).attention(0),
        *(TABLE + HEAD, 0, 2),
    ),
    "adapters": (
        lambda: (
            Tiny()
            .plus("layers.0.q_proj.lora_A.weight", [WIDTH, "r"])
            .plus("layers.0.q_proj.lora_B.weight", ["r", WIDTH])
            .attention(0)
        ),
        *(TABLE + HEAD, 0, 2),
    ),
    "genai": (
        lambda: Tiny().convolution("past.0.conv", "present.0.conv").attention(1),
        *(TABLE + HEAD + TAPPED, 1, 2),
    ),
    "mobius": (
        lambda: (
            Tiny()
            .recurrence("past_key_values.0.recurrent_state", "present.0.recurrent_state")
            .attention(1)
        ),
        *(TABLE + HEAD, 1, 2),
    ),
    "transformers.js": (
        lambda: (
            Tiny()
            .convolution("past_conv.0", "present_conv.0")
            .recurrence("past_ssm.0", "present_ssm.0")
        ),
        *(TABLE + HEAD + TAPPED, 2, 0),
    ),
    "names of nobody": (
        lambda: (
            Tiny()
            .recurrence("onnx::Add_7", "1234")
            .convolution("left", "a")
            .attention(2, names=("k{1}in", "{1}"))
            .recurrence("onnx::Add_9", "99")
        ),
        *(TABLE + HEAD + TAPPED, 3, 2),
    ),
    "caches of two shapes": (lambda: Tiny().attention(0, 2).attention(1, 1), TABLE + HEAD, 0, 4),
    "only some layers cache": (lambda: Tiny().attention(4).attention(9), TABLE + HEAD, 0, 4),
    "static": (
        lambda: Tiny().buffer(0, ("{}_cache.{}", "updated_{}_cache.{}")),
        *(TABLE + HEAD, 0, 2),
    ),
    "lengths of the fused operator": (
        lambda: Tiny().fused("seqlens_k", "total_seq_len"),
        *(TABLE + HEAD, 0, 2),
    ),
    "lengths without names": (lambda: Tiny().fused("i0", "i1"), TABLE + HEAD, 0, 2),
    "a mask of each kind of layer": (
        lambda: Tiny().attention(0).masked("sliding_attention_mask"),
        *(TABLE + HEAD, 0, 2),
    ),
    "static without names": (
        lambda: Tiny().buffer(0, ("{}_in_{}", "{}_out_{}")),
        *(TABLE + HEAD, 0, 2),
    ),
}


@pytest.mark.parametrize("name", DECODERS)
def test_every_exporters_decoder_is_one(tmp_path, name):
    """Its parameters, what it keeps; and its steps continue what a whole pass began."""
    make, parameters, states, growing = DECODERS[name]
    found = read(saved(make().logits(), tmp_path))
    cache = found.main.cache
    assert found.kind is ExportedKind.DECODER
    assert (found.parameters, found.vocab_size) == (parameters, VOCAB)
    assert (len(cache.states), len(cache.growing)) == (states, growing)
    for batch in (1, 2):
        geometry = shapes_json(ExportedGeometry(found))
        check = steps_check(str(found.path(found.main)), geometry, "cpu", 1, batch, seed=0)
        assert check.agrees, check


def test_pasts_and_presents_pair_by_their_way_through_the_graph(tmp_path):
    """Two states of one type and size, whose outputs come in another order."""
    proto = Tiny().recurrence("b", "y").recurrence("a", "x").logits()
    states = list(proto.graph.output)[1:]
    del proto.graph.output[1:]
    proto.graph.output.extend(reversed(states))
    cache = read(saved(proto, tmp_path)).main.cache
    assert {(pair.past, pair.present) for pair in cache.own} == {("b", "y"), ("a", "x")}


def quantized_cache(written_out):
    """One layer that keeps its input as int8, with a scale per channel."""
    tiny, kind = Tiny(), TensorProto.INT8
    tiny.weights["scale"] = np.full(WIDTH, 0.02, np.float32)
    tiny.inputs.append(port("past_key_values.0.key", ["batch", "past", WIDTH], kind))
    tiny.outputs.append(port("present.0.key", ["batch", "all", WIDTH], kind))
    if written_out:
        levels = tiny.node("Round", tiny.node("Div", tiny.x, "scale"))
        new = tiny.node("Cast", levels, to=kind)
    else:
        tiny.weights["zero"] = np.zeros(WIDTH, np.int8)
        new = tiny.node("QuantizeLinear", tiny.x, "scale", "zero", axis=2)
    kept = tiny.node("Concat", "past_key_values.0.key", new, gives="present.0.key", axis=1)
    if written_out:
        floats = tiny.node("Mul", tiny.node("Cast", kept, to=TensorProto.FLOAT), "scale")
    else:
        floats = tiny.node("DequantizeLinear", kept, "scale", "zero", axis=2)
    tiny.weights["ax"] = np.array([1])
    return tiny.added(tiny.node("ReduceMean", floats, "ax", keepdims=1)).logits()


@pytest.mark.parametrize("written_out", [True, False])
def test_the_scales_of_a_quantized_cache_are_no_weights(tmp_path, written_out):
    found = read(saved(quantized_cache(written_out), tmp_path))
    assert found.parameters == TABLE + HEAD
    assert found.main.cache.element_type == "int8"
    assert found.main.cache.bytes_per_token == WIDTH


def test_the_scales_of_a_fused_quantized_cache_are_no_weights(tmp_path):
    """GroupQueryAttention takes them behind its angles."""
    proto = Tiny().fused("seqlens_k", "total_seq_len").logits()
    node = next(node for node in proto.graph.node if node.op_type == "GroupQueryAttention")
    node.input.extend(["", "", "", "", "", "scale", "scale"])
    proto.graph.initializer.append(numpy_helper.from_array(np.ones(WIDTH, np.float32), "scale"))
    assert read(saved(proto, tmp_path)).parameters == TABLE + HEAD


def test_a_buffer_of_fixed_size_is_the_longest_sequence(tmp_path):
    """24 positions are stated, of WIDTH values of 4 bytes for a key and for a value."""
    found = read(saved(DECODERS["static"][0]().logits(), tmp_path))
    assert found.max_context_tokens == BUFFER_TOKENS
    assert found.main.cache.shares_buffer
    assert found.main.cache.bytes_per_token == 2 * WIDTH * 4


@pytest.mark.parametrize(("size", "bound"), [(BUFFER_TOKENS, BUFFER_TOKENS), ("room", 10)])
def test_what_a_buffer_costs_is_its_capacity(tmp_path, size, bound):
    """Attention 24 reads all of it: of one of fixed size that size, whatever a test needs."""
    names = ("{}_cache.{}", "updated_{}_cache.{}")
    found = read(saved(Tiny().buffer(0, names, size).logits(), tmp_path))
    assert found.main.cache.shares_buffer
    assert found.main.cache.bound_bytes(10) == 2 * WIDTH * 4 * bound
    geometry = shapes_json(ExportedGeometry(found))
    assert steps_check(str(found.path(found.main)), geometry, "cpu", 1, 1, seed=0).agrees


def test_a_buffer_that_is_written_anew_is_handed_on_whole(tmp_path):
    """ScatterND gives a new buffer at every step: its capacity is known, and nothing is shared."""
    found = read(saved(Tiny().rows(0).logits(), tmp_path))
    assert (found.max_context_tokens, found.cache_kind) == (BUFFER_TOKENS, "static")
    assert not found.main.cache.shares_buffer
    geometry = shapes_json(ExportedGeometry(found))
    assert steps_check(str(found.path(found.main)), geometry, "cpu", 1, 1, seed=0).agrees


def test_caches_of_all_layers_in_one_tensor(tmp_path):
    """[layers, 2, batch, heads, length, width]: sequences and tokens are the free axes."""
    before, after = ([2, 2, "batch", 3, length, 8] for length in ("held", "all"))
    proto = Tiny()
    proto.kept("kv", "kv_new", before, after)
    proto.node("Concat", "kv", "kv", gives="kv_new", axis=4)
    (pair,) = read(saved(proto.logits(), tmp_path)).main.cache.own
    assert (pair.batch_axis, pair.length_axis, pair.shape) == (2, 4, (2, 2, 0, 3, 0, 8))
    assert pair.step_bytes == 2 * 2 * 3 * 8 * 4


def test_a_cache_with_its_tokens_before_its_heads(tmp_path):
    before, after = (["batch", length, 3, 8] for length in ("held", "all"))
    proto = Tiny()
    proto.kept("past_key_values.0.key", "present.0.key", before, after)
    proto.node("Concat", *["past_key_values.0.key"] * 2, gives="present.0.key", axis=1)
    (pair,) = read(saved(proto.logits(), tmp_path)).main.cache.own
    assert (pair.length_axis, pair.shape) == (1, (0, 0, 3, 8))


@pytest.mark.parametrize("classes", [3, VOCAB])
def test_a_classifier_over_a_decoder_is_an_encoder(tmp_path, classes):
    """Its logits are one set a text, although a cache goes in and comes out.

    Of as many classes as there are tokens only its configuration tells.
    """
    proto = Tiny().attention(0).logits("of_tokens")
    proto.graph.node.append(helper.make_node("ReduceMean", ["of_tokens", "ax1"], ["mean"]))
    proto.graph.node.append(helper.make_node("MatMul", ["mean", "classes"], ["scores"]))
    proto.graph.node.append(helper.make_node("Squeeze", ["scores", "ax1"], ["logits"]))
    stored = {"ax1": np.array([1]), "classes": values(VOCAB, classes)}
    proto.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in stored.items())
    del proto.graph.output[0]
    proto.graph.output.insert(0, port("logits", ["batch", classes]))
    if classes == VOCAB:
        config = {"architectures": ["Qwen3ForSequenceClassification"]}
        (tmp_path / "config.json").write_text(json.dumps(config))
    assert read(saved(proto, tmp_path)).kind is ExportedKind.ENCODER


def test_a_fixed_graph_of_one_step_is_any_graph(tmp_path):
    """7 positions go in and 8 come out: what it gives cannot be fed to it again."""
    proto = Tiny()
    sizes = ([1, 2, length, 8] for length in (7, 8))
    proto.kept("past_key_values.0.key", "present.0.key", *sizes)
    proto.weights["new"] = np.zeros((1, 2, 1, 8), np.float32)
    proto.node("Concat", "past_key_values.0.key", "new", gives="present.0.key", axis=2)
    found = read(saved(proto.logits(), tmp_path))
    assert (found.kind, found.main.cache) == (ExportedKind.ANY, None)


def opened(found, capacity_tokens=16, batch=1):
    geometry = ExportedGeometry(found)
    session = open_session(found.path(found.main), find_device("cpu"), 1)
    return open_exported_decoder([session], geometry, batch, capacity_tokens, None)


def test_a_state_at_a_depth_is_made_by_running(tmp_path):
    """After going on and coming back, a step gives what it gives behind the same tokens anew."""
    found = read(saved(DECODERS["genai"][0]().logits(), tmp_path))
    decoder, text = opened(found), seeded_ids(3, 1, 12, VOCAB)
    expected = decoder.read_whole(text[:, :7]).copy()
    decoder.fill(0, 0)
    decoder.prefill(text)
    decoder.rewind(6)  # nothing of that depth was kept
    assert np.allclose(decoder.prefill(text[:, 6:7])[:, 0], expected, atol=1e-4)
    decoder.fill(6, seed=1)
    filled = decoder.prefill(text[:, 6:7]).copy()
    decoder.fill(0, 0)
    decoder.prefill(np.append(seeded_ids(1, 1, 6, VOCAB), text[:, 6:7], axis=1))
    assert np.allclose(decoder.last_logits, filled[:, 0], atol=1e-4)


@pytest.mark.parametrize("takes_vectors", [False, True])
def test_a_greedy_step_reads_the_token_that_the_last_one_chose(tmp_path, takes_vectors):
    """Steps made ready before any token is known choose as steps that are fed theirs."""
    text = "inputs_embeds" if takes_vectors else "input_ids"
    proto = Tiny(text, takes_vectors).attention(0).logits()
    decoder = opened(read(saved(proto, tmp_path)))
    decoder.prepare_steps(0, 6)
    decoder.next_ids[...] = 5
    for _ in range(6):
        decoder.greedy_step()
    chosen = decoder.chosen(0, 7)
    decoder.fill(0, 0)
    for place in range(6):
        decoder.prefill(chosen[place].reshape(1, 1))
        assert decoder.last_logits.argmax() == chosen[place + 1]


@pytest.mark.parametrize(
    ("output", "kind"),
    [("last_hidden_state", ExportedKind.ENCODER), ("sentence_embedding", ExportedKind.EMBEDDING)],
)
def test_a_decoder_that_gives_embeddings_is_an_encoder_with_an_empty_past(tmp_path, output, kind):
    """Texts are read whole: a cache of no tokens, as many sequences as texts."""
    found = read(saved(Tiny().attention(0).vectors(output), tmp_path))
    assert found.kind is kind
    arrays = pass_inputs(found.main, ExportedGeometry(found), Reading("--enc 16x8", 8, 16), seed=0)
    assert arrays["input_ids"].shape == (8, 16)
    assert arrays["past_key_values.0.key"].shape == (8, 2, 0, WIDTH // 2)
    session = open_session(found.path(found.main), find_device("cpu"), 1).session
    assert session.run([output], arrays)[0].shape == (8, 16, WIDTH)


@pytest.mark.parametrize(("size", "kind"), [(VOCAB, "decoder_without_past"), (WIDTH, "encoder")])
def test_an_output_is_told_by_its_last_size(tmp_path, size, kind):
    """As many as the table has rows are logits, as wide as it is are vectors."""
    weights = {"table": values(VOCAB, WIDTH), "last": values(WIDTH, size, seed=1)}
    nodes = [
        helper.make_node("Gather", ["table", "tokens_of_text"], ["x"]),
        helper.make_node("MatMul", ["x", "last"], ["linear_14"]),
    ]
    outputs = [port("linear_14", ["batch", "tokens", size])]
    found = read(saved(model(nodes, [ids("tokens_of_text")], outputs, weights), tmp_path))
    assert found.kind == kind
    assert found.main.names.ids == "tokens_of_text"


def test_a_picture_is_told_by_its_channels(tmp_path):
    node = helper.make_node("GlobalAveragePool", ["input"], ["output"])
    proto = model([node], [port("input", ["n", 3, 8, 8])], [port("output", ["n", 3, 1, 1])])
    found = read(saved(proto, tmp_path))
    assert found.kind is ExportedKind.VISION
    assert found.image_size == (8, 8)


def lookalike(causal, mask=False):
    """Attention without a cache, which hides later tokens or does not; logits of all."""
    tiny = Tiny()
    if mask:
        tiny.inputs.append(port("attention_mask", ["batch", "tokens"], LONG))
    scores = tiny.node("MatMul", tiny.x, tiny.node("Transpose", tiny.x, perm=[0, 2, 1]))
    seen = tiny.node("Trilu", scores, upper=0) if causal else scores
    return tiny.added(tiny.node("MatMul", seen, tiny.x)).logits()


@pytest.mark.parametrize("causal", [True, False])
def test_a_run_tells_a_causal_model_from_one_that_fills_in_gaps(tmp_path, causal):
    """The files look alike: only a changed last token tells."""
    found = find_files(saved(lookalike(causal), tmp_path))
    model_read = recognise(found, installed(), is_causal)
    assert is_causal(model_read) is causal
    expected = ExportedKind.DECODER_WITHOUT_PAST if causal else ExportedKind.ENCODER
    assert model_read.kind is expected
