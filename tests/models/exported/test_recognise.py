"""What a graph is, told by names, shapes and types."""

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from harness.core.errors import ModelError, UsageError
from harness.models.exported.model import ExportedKind, Role
from tests.models.exported.tiny_graphs import (
    VOCAB,
    WIDTH,
    ids,
    language_model,
    model,
    port,
    read,
    saved,
    values,
)

HALF = TensorProto.FLOAT16
LONG = TensorProto.INT64


def cached(
    past: str = "past_key_values.{}.{}",
    present: str = "present.{}.{}",
    kind: int = HALF,
    width: int | str = 16,
):
    """A decoder of one layer whose caches are called as a template says."""
    nodes, inputs, outputs = [], [], []
    for half in ("key", "value"):
        first, last = past.format(0, half), present.format(0, half)
        inputs.append(port(first, ["batch", 3, "past", width], kind))
        outputs.append(port(last, ["batch", 3, "total", width], kind))
        nodes.append(helper.make_node("Concat", [first, first], [last], axis=2))
    proto = language_model(nodes)
    proto.graph.input.extend([port("attention_mask", ["batch", "total"], LONG), *inputs])
    proto.graph.output.extend(outputs)
    return proto


@pytest.mark.parametrize(
    ("past", "present"),
    [
        ("past_key_values.{}.{}", "present.{}.{}"),
        ("past_key_values.{}.{}", "present_key_values.{}.{}"),
        ("past_{1}_{0}", "present_{1}_{0}"),
        ("past_{1}_self_{0}", "present_{1}_self_{0}"),
    ],
)
def test_caches_are_found_under_the_names_of_every_exporter(tmp_path: Path, past, present):
    """One layer of 3 heads, 16 values wide, in half precision, which grows by concatenation."""
    found = read(saved(cached(past, present), tmp_path))
    assert found.kind is ExportedKind.DECODER
    cache = found.main.cache
    assert cache is not None
    assert [pair.half for pair in cache.own] == ["key", "value"]
    assert [(pair.shape, pair.length_axis) for pair in cache.own] == [((0, 3, 0, 16), 2)] * 2
    assert cache.element_type == "float16"
    assert not cache.shares_buffer
    assert found.main.mask_rank == 2


def test_bfloat16_caches_keep_their_type(tmp_path: Path):
    found = read(saved(cached(kind=TensorProto.BFLOAT16), tmp_path))
    assert found.main.cache is not None
    assert found.main.cache.element_type == "bfloat16"


def test_a_configuration_names_caches_and_head_size(tmp_path: Path):
    """genai_config.json gives templates of its own, and what the graph leaves free."""
    saved(cached("k_in_{0}_{1}", "k_out_{0}_{1}", width="open"), tmp_path)
    decoder = {
        "filename": "model.onnx",
        "head_size": 16,
        "inputs": {"past_key_names": "k_in_%d_key", "past_value_names": "k_in_%d_value"},
        "outputs": {"present_key_names": "k_out_%d_key", "present_value_names": "k_out_%d_value"},
    }
    text = json.dumps({"model": {"context_length": 128, "decoder": decoder}})
    (tmp_path / "genai_config.json").write_text(text)
    found = read(tmp_path)
    assert found.kind is ExportedKind.DECODER
    assert found.max_context_tokens == 128
    assert found.main.cache is not None
    assert found.main.cache.own[0].shape[-1] == 16
    assert [pair.half for pair in found.main.cache.own] == ["key", "value"]


def test_a_head_size_that_nothing_says_is_asked_for(tmp_path: Path):
    with pytest.raises(ModelError, match="leaves the shape of the cache open"):
        read(saved(cached(width="open"), tmp_path))


def test_a_mask_of_four_dimensions(tmp_path: Path):
    proto = cached()
    proto.graph.input[1].CopyFrom(port("attention_mask", ["batch", 1, "tokens", "total"]))
    assert read(saved(proto, tmp_path)).main.mask_rank == 4


def test_a_past_without_its_present_is_refused(tmp_path: Path):
    proto = cached()
    del proto.graph.output[-1]
    with pytest.raises(ModelError, match="layer 0 has no output"):
        read(saved(proto, tmp_path))


def test_logits_without_a_cache_are_a_decoder_or_an_encoder_with_a_head(tmp_path: Path):
    """Token types, or a class of config.json, tell an encoder."""
    assert read(saved(language_model(), tmp_path)).kind is ExportedKind.DECODER_WITHOUT_PAST
    typed = language_model()
    typed.graph.input.append(ids("token_type_ids"))
    assert read(saved(typed, tmp_path)).kind is ExportedKind.ENCODER
    saved(language_model(), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["RobertaForMaskedLM"]}))
    assert read(tmp_path).kind is ExportedKind.ENCODER


def sized_table_model(output: str, shape):
    node = helper.make_node("Gather", ["table", "input_ids"], [output])
    return model([node], [ids()], [port(output, shape)], {"table": values(VOCAB, WIDTH)})


def test_vectors_of_tokens_or_of_texts(tmp_path: Path):
    """last_hidden_state alone is an encoder's; sentence_embedding says what it is."""
    rows = (("last_hidden_state", ExportedKind.ENCODER), ("sentence_embedding", "embedding"))
    for output, kind in rows:
        found = read(saved(sized_table_model(output, ["batch", "tokens", WIDTH]), tmp_path))
        assert found.kind == kind
        assert (found.vocab_size, found.hidden_size) == (VOCAB, WIDTH)


def test_pictures_have_the_size_that_the_input_or_the_configuration_says(tmp_path: Path):
    """[batch, 3, 24, 32] is 24 high and 32 wide; a free one is read from the preprocessor."""
    for height, width, expected in ((24, 32, (24, 32)), ("h", "w", (48, 48))):
        node = helper.make_node("Relu", ["pixel_values"], ["last_hidden_state"])
        shape = ["batch", 3, height, width]
        proto = model([node], [port("pixel_values", shape)], [port("last_hidden_state", shape)])
        saved(proto, tmp_path)
        (tmp_path / "preprocessor_config.json").write_text(
            json.dumps({"size": {"height": 48, "width": 48}})
        )
        found = read(tmp_path)
        assert found.kind is ExportedKind.VISION
        assert found.image_size == expected


def test_any_graph_of_numbers_is_the_last_resort(tmp_path: Path):
    """Nothing is known of it but what its inputs declare: the free ones are to be given."""
    node = helper.make_node("Relu", ["thing"], ["out"])
    proto = model([node], [port("thing", ["n", 4])], [port("out", ["n", 4])])
    found = read(saved(proto, tmp_path))
    assert found.kind is ExportedKind.ANY
    assert found.main.free_dimensions == ("n",)
    assert found.bits_per_weight is None


def test_a_graph_whose_inputs_cannot_be_made_is_refused(tmp_path: Path):
    """Text, or a tensor of no declared shape."""
    for kind, shape, words in ((TensorProto.STRING, ["n"], "string"), (1, None, "no shape")):
        node = helper.make_node("Identity", ["thing"], ["out"])
        proto = model([node], [port("thing", shape, kind)], [port("out", shape, kind)])
        with pytest.raises(ModelError, match=words):
            read(saved(proto, tmp_path))


def test_half_of_two_without_the_other_is_refused(tmp_path: Path):
    proto = language_model()
    proto.graph.input.append(port("encoder_hidden_states", ["batch", "source", WIDTH]))
    with pytest.raises(ModelError, match="its encoder is not beside it"):
        read(saved(proto, tmp_path, "decoder_model_merged.onnx"))


def test_a_folder_of_copies_gives_the_plain_one_and_names_the_others(tmp_path: Path):
    """`model_q4.onnx` is chosen by its own path; without a plain file the user chooses."""
    for name in ("model.onnx", "model_q4.onnx", "model_fp16.onnx"):
        saved(language_model(), tmp_path / "tiny" / "onnx", name)
    found = read(tmp_path / "tiny")
    assert (found.name, found.main.file) == ("tiny", "model.onnx")
    assert found.variants == ("model_fp16.onnx", "model_q4.onnx")
    chosen = read(tmp_path / "tiny" / "onnx" / "model_q4.onnx")
    assert (chosen.main.file, chosen.variants) == (
        "model_q4.onnx",
        ("model.onnx", "model_fp16.onnx"),
    )
    (tmp_path / "tiny" / "onnx" / "model.onnx").unlink()
    with pytest.raises(UsageError, match=r"several models: model_fp16\.onnx, model_q4\.onnx"):
        read(tmp_path / "tiny")


def test_one_half_brings_the_other_of_the_same_copy(tmp_path: Path):
    """The quantized decoder goes with the quantized encoder."""
    for end in ("", "_q4"):
        decoder = language_model()
        decoder.graph.input.append(port("encoder_hidden_states", ["batch", "source", WIDTH]))
        saved(decoder, tmp_path, f"decoder_model_merged{end}.onnx")
        encoder = sized_table_model("last_hidden_state", ["batch", "source", WIDTH])
        saved(encoder, tmp_path, f"encoder_model{end}.onnx")
    found = read(tmp_path / "decoder_model_merged_q4.onnx")
    assert found.kind is ExportedKind.ENCODER_DECODER
    assert found.graph(Role.ENCODER) == found.graphs[1]
    assert found.graphs[1].file == "encoder_model_q4.onnx"
    assert found.parameters == 2 * VOCAB * WIDTH  # the encoder's table is the decoder's


def test_the_content_hash_changes_with_the_weights(tmp_path: Path):
    one = read(saved(language_model(), tmp_path))
    other = read(saved(language_model(head=np.ones((WIDTH, VOCAB), np.float32)), tmp_path))
    assert one.content_hash != other.content_hash
