"""Bytes, flop and operators from the architecture alone, against the nodes of the built graph."""

from dataclasses import replace

import pytest

from harness.builder.graph.decoder import decoder_model
from harness.builder.graph.encoder import encoder_model
from harness.builder.quantize.layout import stored_bytes
from harness.builder.quantize.levels import LEVELS, STATIC_LEVELS, half_level, has_half
from harness.estimator.memory import ANY_ENGINE, ORT_CPU, held_copy_bytes, stored_model_bytes
from harness.estimator.nodes import built_operator_calls
from harness.estimator.work import Pass, pass_work
from harness.models.catalog.catalog import catalog_model, load_spec, spec_names
from harness.models.specs.dissect import spec_structure
from harness.models.specs.model import Dense, ModelSpec
from harness.models.specs.structure import Stage
from tests.estimator.graph_walk import Walk
from tests.tiny import ENCODER, GRID, ROTARY_ENCODERS, SPECS

ENCODERS = {
    "mean": ENCODER,
    "cls": replace(ENCODER, pooling="cls", hidden_size=64, pooler=True),
    "no types": replace(ENCODER, family="distilbert", token_types=0),
    "offset": replace(ENCODER, family="xlm-roberta", token_types=1, first_position=2),
    "scores": replace(
        ENCODER, pooling="cls", dense=(Dense(80, activation="tanh"), Dense(1)), scores=True
    ),
    **ROTARY_ENCODERS,
}
SHAPES = [(1, 1, 0), (2, 1, 9), (1, 7, 0), (3, 5, 4)]


@pytest.mark.parametrize(("name", "level"), GRID)
def test_decoders_are_counted_like_their_nodes(name, level):
    """Flop of every shape, stored bytes and operators, exactly, of one graph.

    Flop: every matrix and every pair of positions that is not masked. Bytes: scales and padding
    included, a tied table once. Operators: all but constants and the rotary tables that loading
    folds.
    """
    spec, row = SPECS[name], LEVELS[level]
    model = decoder_model(spec, row, every_position=False)
    for batch, tokens, depth in SHAPES:
        walk = Walk(model, batch, tokens, depth)
        work = pass_work(spec_structure(spec), row, ANY_ENGINE, Pass(tokens, depth, batch))
        assert sum(term.useful_flop for term in work) == walk.flop > 0
        assert built_operator_calls(spec, row) == walk.calls
    assert stored_model_bytes(spec_structure(spec), row) == walk.initializer_bytes()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_are_counted_like_their_nodes(name, level):
    """Flop, stored bytes and operators, exactly: 3 texts of 7 tokens.

    The kernel multiplies what a window or the order of tokens hides, which a graph of attention
    among all tokens does not show, and one of causal attention does.
    """
    spec = ENCODERS[name]
    walk = Walk(encoder_model(spec, LEVELS[level]), 3, 7, 0, spec.head_dim)
    shape = Pass(7, 0, 3, Stage.ENCODER)
    work = pass_work(spec_structure(spec), LEVELS[level], ORT_CPU, shape)
    useful, done = (sum(getattr(term, word) for term in work) for word in ("useful_flop", "flop"))
    assert (useful if name == "qwen3" else done) == walk.flop > 0
    assert (useful < done) == (name in ("qwen3", "modernbert"))
    assert stored_model_bytes(spec_structure(spec), LEVELS[level]) == walk.initializer_bytes()
    assert built_operator_calls(spec, LEVELS[level]) == walk.calls
    assert sum(term.calls for term in work if "operator" in term.name or "matrix" in term.name) == (
        walk.calls
    )


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ["smollm2-135m", "qwen2.5-0.5b", "qwen3-0.6b"])
def test_real_models_agree_within_one_percent(name, level):
    """A prompt of 64 on 32 cached tokens, through 24 to 30 layers of true width."""
    spec = load_spec(name)
    walk = Walk(decoder_model(spec, LEVELS[level], every_position=False), 1, 64, 32)
    work = pass_work(spec_structure(spec), LEVELS[level], ORT_CPU, Pass(64, 32))
    assert sum(term.useful_flop for term in work) == pytest.approx(walk.flop, rel=0.01)
    assert stored_model_bytes(spec_structure(spec), LEVELS[level]) == walk.initializer_bytes()


@pytest.mark.parametrize("name", spec_names())
def test_two_formulas_for_stored_bytes_agree(name):
    """One sums the trained tensors, the other the matrices as they are multiplied."""
    spec = load_spec(name)
    is_mixture = isinstance(spec, ModelSpec) and spec.experts is not None
    static = () if is_mixture else STATIC_LEVELS.values()  # no static mixture is built
    structure = spec_structure(spec)
    halves = map(half_level, filter(has_half, LEVELS.values()))
    for level in (*LEVELS.values(), *halves, *static):
        assert stored_model_bytes(structure, level) == stored_bytes(spec, level)


@pytest.mark.parametrize(
    ("level", "bytes_per_weight"),
    [("fp32", 4.0), ("fp16", 4.0), ("int8-block", 1.25), ("int4", 0.75), ("int4-b128", 0.5625)],
)
def test_kernels_hold_more_than_the_file(level, bytes_per_weight):
    """int4 in blocks of 32: 0.5 + 4/32 scale + 4/32 block sum = 0.75 bytes a weight."""
    body = catalog_model("llama-3.2-1b").structure.groups[1]
    held = held_copy_bytes(body, LEVELS[level], ORT_CPU)
    assert held == bytes_per_weight * body.outputs * body.inputs


def test_int8_channel_holds_one_byte_and_one_scale_per_output():
    body = catalog_model("llama-3.2-1b").structure.groups[1]
    held = held_copy_bytes(body, LEVELS["int8"], ORT_CPU)
    assert held == body.outputs * body.inputs + 4 * body.outputs


def test_decode_reads_the_cache_once_per_query_head():
    """Llama 3.2 1B: 32 query heads, 8 key heads of 64, 16 layers, fp32, 99 + 1 tokens."""
    model = catalog_model("llama-3.2-1b").structure
    shape = Pass(1, depth_tokens=99)
    for runtime, heads in ((ORT_CPU, 32), (ANY_ENGINE, 8)):
        work = pass_work(model, LEVELS["fp32"], runtime, shape)
        read = sum(term.read_bytes for term in work if term.name == "attention")
        assert read == 2 * 16 * heads * 64 * 100 * 4


def test_a_tied_head_is_read_once_and_the_embedding_as_one_row():
    """smollm2-135m fp32: head 49152*576*4 bytes; the row 576*4 bytes, beside 61 norms."""
    model = catalog_model("smollm2-135m").structure
    terms = {term.name: term for term in pass_work(model, LEVELS["fp32"], ANY_ENGINE, Pass(1))}
    assert terms["head"].read_bytes == 49152 * 576 * 4
    assert terms["look-ups and vectors"].read_bytes == 576 * 4 + 61 * 576 * 4


def test_one_token_reads_two_of_eight_experts():
    """Mixtral, fp16: 56 layers * 2 experts * 3 matrices of 6144 * 16384, and what all share."""
    model = catalog_model("mixtral-8x22b").structure
    read = {t.name: t.read_bytes for t in pass_work(model, LEVELS["fp16"], ANY_ENGINE, Pass(1))}
    assert read["body"] == 2 * 56 * (6144 * (48 + 16) * 128 + 6144 * 48 * 128 + 8 * 6144)
    assert read["experts"] == 2 * 56 * 2 * 3 * 6144 * 16384


def test_masked_pairs_are_done_by_onnxruntime_but_not_useful():
    """8 new tokens on 4: 8*12 pairs are multiplied, 8*4 + 36 of them count."""
    model = catalog_model("smollm2-135m").structure
    work = pass_work(model, LEVELS["fp32"], ORT_CPU, Pass(8, 4))
    attention = next(term for term in work if term.name == "attention")
    unit = 4 * 30 * 9 * 64
    assert attention.flop == unit * 8 * 12
    assert attention.useful_flop == unit * (8 * 4 + 36)
