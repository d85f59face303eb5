"""The table of levels, and the sizes that follow from it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.builder.quantize.layout import (
    bits_per_weight,
    body_arrays,
    stored_arrays,
    stored_bytes,
)
from harness.builder.quantize.levels import (
    LEVELS,
    STATIC_LEVELS,
    Form,
    Method,
    Variant,
    exact_level,
    find_level,
    find_levels,
)
from harness.core.errors import UsageError
from harness.models.catalog.catalog import load_spec
from harness.models.specs.model import ModelSpec

SMALL = ModelSpec(
    name="small",
    family="llama",
    vocab_size=100,
    hidden_size=64,
    num_layers=1,
    num_heads=4,
    num_kv_heads=2,
    head_dim=16,
    intermediate_size=96,
    tied_embeddings=True,
    max_context_tokens=64,
    rope_theta=10_000.0,
)
# qkv 128x64, o 64x64, gate and up 96x64 each, down 64x96
BODY_WEIGHTS = 128 * 64 + 64 * 64 + 3 * 96 * 64
TABLE_WEIGHTS = 100 * 64
NORM_WEIGHTS = 3 * 64


def test_levels_are_the_ones_we_promise():
    """The six of the first version, then mixed ones, blocks, zero points, 2 bits, search, fast."""
    assert list(LEVELS) == [
        *("fp32", "fp16", "int8", "int8-block", "int8-fast", "int4-mixed-plus", "int4-b16"),
        *("int4-mixed", "int4-asym", "int4-kquant", "int4", "int4-b64", "int4-fast"),
        *("int4-b128-asym", "int4-b128", "int2-kquant", "int2"),
    ]
    assert LEVELS["int8"].label == "int8 (W8A8 dynamic)"
    assert {level.weight_bits for level in LEVELS.values()} == {32, 16, 8, 4, 2}


def test_static_levels_are_a_sweep_of_their_own():
    """`sweep` never mixes what one device cannot run; a name finds a level of either."""
    assert list(STATIC_LEVELS) == ["fp32-static", "a16w8", "a8w8"]
    assert {level.variant for level in LEVELS.values()} == {Variant.FUSED}
    assert find_levels(["sweep"], Variant.STATIC) == tuple(STATIC_LEVELS.values())
    assert find_levels(["a8w8", "int4"]) == (STATIC_LEVELS["a8w8"], LEVELS["int4"])


@pytest.mark.parametrize(
    ("name", "activations", "cache"),
    [
        ("fp32-static", "float32", "float32"),
        ("a16w8", "uint16", "uint8"),
        ("a8w8", "uint8", "uint8"),
        ("fp16", "float16", "float16"),
        ("int4", "float32", "float32"),
    ],
)
def test_types_of_activations_and_cache(name, activations, cache):
    level = find_level(name)
    assert (level.activation_dtype, level.cache_dtype) == (activations, cache)
    assert level.float_dtype == ("float16" if name == "fp16" else "float32")


@pytest.mark.parametrize(("name", "norm_bytes"), [("a16w8", 2), ("a8w8", 1)])
def test_static_levels_have_a_byte_a_weight(name, norm_bytes):
    """A scale of 4 bytes per output, none for the table; an untied head has its own rows."""
    outputs = 128 + 64 + 96 + 96 + 64
    expected = BODY_WEIGHTS + TABLE_WEIGHTS + 4 * outputs + norm_bytes * NORM_WEIGHTS
    assert stored_bytes(SMALL, STATIC_LEVELS[name]) == expected
    untied = replace(SMALL, tied_embeddings=False)
    assert stored_bytes(untied, STATIC_LEVELS[name]) == expected + TABLE_WEIGHTS + 4 * 100


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("fp32", 32),
        ("fp16", 16),
        ("int8", 8),  # and a scale per output
        ("int8-block", 9),
        ("int8-fast", 8.25),  # where rows divide by 128; 8.5 where by 64 only
        ("int4-b16", 6),
        ("int4-asym", 5.125),
        ("int4-kquant", 5.125),
        ("int4", 5),
        ("int4-b64", 4.5),
        ("int4-fast", 4.28125),  # where rows divide by 128; 4.5625 where by 64 only
        ("int4-b128-asym", 4.28125),
        ("int4-b128", 4.25),
        ("int2-kquant", 3.0625),
        ("int2", 3),
    ],
)
def test_bits_per_weight_by_hand(name, bits):
    """Own bits + (a scale of 32 + a zero point as wide as a weight, if stored) / block."""
    level = LEVELS[name]
    assert level.body.bits_per_weight == bits
    outputs, inputs = 512, 2048
    stored = sum(array.size_bytes for array in body_arrays(outputs, inputs, level))
    assert 8 * stored == bits * outputs * inputs + (32 * outputs if name == "int8" else 0)


@pytest.mark.parametrize("level", LEVELS.values(), ids=lambda level: level.name)
def test_label_says_block_symmetry_and_method(level):
    """Symmetric and nearest go without saying."""
    for form in {level.body} - {LEVELS["int8"].body}:
        assert (f"block {form.block_weights}" in level.label) == (form.form is Form.BLOCK)
        assert ("asymmetric" in level.label) == form.zero_points
        assert ("search" in level.label) == (form.method is Method.SEARCH)
    assert level.label.startswith(level.name)
    assert ("int8" in level.label) == any(form.bits == 8 for form in level.formats)


def test_the_table_falls_in_size():
    """Of a real model whose rows divide into blocks; levels of one size stand side by side."""
    spec = load_spec("llama-3.2-1b")
    sizes = [stored_bytes(spec, level) for level in LEVELS.values() if level.name != "int8"]
    assert sizes == sorted(sizes, reverse=True)


def test_the_word_of_version_0_1_is_still_understood():
    assert find_levels(["ladder"]) == find_levels(["sweep"])


def test_sweep_is_every_level_once():
    """In the order of the table; a name before it comes first, one after it changes nothing."""
    assert [level.name for level in find_levels(["sweep"])] == list(LEVELS)
    names = [level.name for level in find_levels(["int4", "sweep", "fp32"])]
    assert names[:2] == ["int4", "fp32"]
    assert sorted(names) == sorted(LEVELS)
    assert find_levels(["int4", "int4"]) == (LEVELS["int4"],)
    with pytest.raises(UsageError, match="laddr"):
        find_levels(["laddr"])


def test_unknown_level_names_the_nearest():
    with pytest.raises(UsageError) as caught:
        find_level("int4_b128")
    assert "'int4_b128'" in caught.value.problem
    assert "did you mean int4-b128" in caught.value.fix


def test_fp32_is_four_bytes_a_parameter():
    """30,912 weights of 32 bit, norms included."""
    weights = BODY_WEIGHTS + TABLE_WEIGHTS + NORM_WEIGHTS
    assert stored_bytes(SMALL, LEVELS["fp32"]) == 4 * weights
    assert bits_per_weight(SMALL, LEVELS["fp32"]) == 32.0
    assert bits_per_weight(SMALL, LEVELS["fp16"]) == 16.0


@pytest.mark.parametrize(("level", "bits"), [("f32", 32.0), ("f16", 16.0), ("q8_0", 8.5)])
def test_a_gguf_file_holds_matrices_at_its_bits_and_vectors_as_float32(level, bits):
    """Blocks of Q8_0 share 16 bits among 32 weights; its cache of float16 is no weight."""
    weights = BODY_WEIGHTS + TABLE_WEIGHTS
    expected = weights * bits / 8 + 4 * NORM_WEIGHTS
    assert stored_bytes(SMALL, find_level(level)) == expected
    assert find_level(level).activation_dtype == "float32"


def test_a_tied_head_of_gguf_has_more_bits_than_the_layers():
    """Q4_0 is 4.5 bits; rows of 64 are no blocks of 256, so that the table is Q8_0, not Q6_K."""
    expected = BODY_WEIGHTS * 4.5 / 8 + TABLE_WEIGHTS * 8.5 / 8 + 4 * NORM_WEIGHTS
    assert stored_bytes(SMALL, find_level("q4_0")) == expected


def test_int4_is_half_a_byte_and_a_scale_in_32():
    """Half a byte a weight and 4 bytes a block of 32: 5 bit a weight; norms stay float32."""
    weights = BODY_WEIGHTS + TABLE_WEIGHTS
    expected = weights // 2 + 4 * weights // 32 + 4 * NORM_WEIGHTS
    assert stored_bytes(SMALL, LEVELS["int4"]) == expected


def test_int4_b128_pads_rows_to_whole_blocks():
    """Every row, 64 or 96 long, takes one block: 64 bytes and a scale of 4."""
    rows = 128 + 64 + 96 + 96 + 64 + 100
    assert stored_bytes(SMALL, LEVELS["int4-b128"]) == rows * (64 + 4) + 4 * NORM_WEIGHTS


def test_zero_points_fill_whole_bytes_of_each_row():
    """int4: 2 blocks of 64 inputs are one byte, 3 of 96 are two; int2: one byte either way."""
    weights = BODY_WEIGHTS + TABLE_WEIGHTS
    rows_64, rows_96 = 128 + 64 + 96 + 96 + 100, 64
    plain = 4 * weights // 32 + 4 * NORM_WEIGHTS
    expected = weights // 2 + plain + rows_64 + 2 * rows_96
    assert stored_bytes(SMALL, LEVELS["int4-asym"]) == expected
    expected = weights // 4 + plain + rows_64 + rows_96
    assert stored_bytes(SMALL, LEVELS["int2-kquant"]) == expected


def test_mixed_levels_keep_some_matrices_at_8_bits():
    """9 instead of 5 bits: the table; and, the only layer being sensitive, qkv and down."""
    table, sensitive = TABLE_WEIGHTS // 2, (128 * 64 + 64 * 96) // 2
    plain = stored_bytes(SMALL, LEVELS["int4"])
    assert stored_bytes(SMALL, LEVELS["int4-mixed"]) == plain + table
    assert stored_bytes(SMALL, LEVELS["int4-mixed-plus"]) == plain + table + sensitive


def test_int8_has_a_scale_per_output_and_an_8_bit_table():
    """One byte a weight; 448 outputs in the body; the table in blocks of 32, tied: once."""
    outputs = 128 + 64 + 96 + 96 + 64
    table = TABLE_WEIGHTS + 4 * TABLE_WEIGHTS // 32
    expected = BODY_WEIGHTS + 4 * outputs + table + 4 * NORM_WEIGHTS
    assert stored_bytes(SMALL, LEVELS["int8"]) == expected


def test_an_untied_head_is_a_second_table():
    untied = replace(SMALL, tied_embeddings=False)
    for level in LEVELS.values():
        table = stored_bytes(untied, level) - stored_bytes(SMALL, level)
        assert table * 8 / TABLE_WEIGHTS >= level.weight_bits


@pytest.mark.parametrize("name", [name for name in LEVELS if name.startswith("int")])
def test_no_large_float_is_left_at_int8_and_below(name):
    """Only norms, biases and scales stay float; at 152k tokens scales are the largest of them."""
    qwen = replace(
        SMALL,
        family="qwen2",
        vocab_size=151_936,
        hidden_size=896,
        intermediate_size=4864,
        head_dim=64,
        num_heads=14,
        qkv_bias=True,
    )
    weights = {"weight"}
    floats = [array for array in stored_arrays(qwen, LEVELS[name]) if array.suffix in weights]
    assert max(array.size_bytes for array in floats) <= 1_000_000


def test_the_method_page_lists_every_level_with_its_bits():
    """`bits` is the number of the table, and of a mixed level those of its formats."""
    text = (Path(__file__).parents[3] / "docs" / "method.md").read_text(encoding="utf-8")
    section = text.partition("\n## Levels\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([\w-]+)` \| ([^|]+) \|", section, re.MULTILINE))
    assert list(rows) == [*LEVELS, *STATIC_LEVELS]
    for name, level in (LEVELS | STATIC_LEVELS).items():
        stated = [float(word) for word in re.findall(r"\d+(?:\.\d+)?", rows[name])]
        mixed = [level.body, level.table] if name.startswith("int4-mixed") else [level.body]
        assert stated[: len(mixed)] == [form.bits_per_weight for form in mixed]


def test_the_exact_form_of_a_level_differs_in_its_products_alone():
    """The same stored bytes, accuracy level 0; levels that round nothing per block have none."""
    level, exact = find_level("int4-mixed-plus"), find_level("int4-mixed-plus-exact")
    assert exact == exact_level(level)
    assert level.rounds_activations
    assert not exact.rounds_activations
    assert {form.accuracy_level for form in exact.formats} == {0}
    assert stored_bytes(SMALL, exact) == stored_bytes(SMALL, level)
    assert exact.label == "int4-mixed-plus (block 32; head, some body int8), exact activations"
    for name in ("fp32-exact", "a16w8-exact", "int4-exact-exact"):
        with pytest.raises(UsageError):
            find_level(name)
    assert "int4-exact" not in {one.name for one in find_levels(["sweep"])}


def test_the_half_form_of_a_level_stores_the_same_integers_beside_smaller_scales():
    """4 bits and 16 of a scale for 32 weights: 4.5; with a zero point of 4 bits for 16 more."""
    half = find_level("int4-half")
    assert (half.float_dtype, half.cache_dtype) == ("float16", "float16")
    assert half.body.bits_per_weight == 4.5
    assert find_level("int4-asym-half").body.bits_per_weight == 4 + 20 / 32
    scales = {array.dtype for array in stored_arrays(SMALL, half) if array.suffix == "scales"}
    assert scales == {"float16"}
    assert "int4-half" not in {one.name for one in find_levels(["sweep"])}


@pytest.mark.parametrize("name", ["fp16-half", "int8-half", "a16w8-half", "int4-half-half"])
def test_only_levels_of_blocks_have_a_half_form(name):
    """Floats have 16 bits already, and channels are multiplied by what takes 32."""
    with pytest.raises(UsageError):
        find_level(name)
