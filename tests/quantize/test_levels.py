"""The table of levels, and the sizes that follow from it."""

from dataclasses import replace

import pytest

from harness.errors import UsageError
from harness.quantize.layout import stored_arrays
from harness.quantize.levels import LEVELS, find_level
from harness.quantize.size import bits_per_weight, stored_bytes
from harness.specs.model import ModelSpec

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


def test_levels_are_the_six_we_promise():
    assert list(LEVELS) == ["fp32", "fp16", "int8", "int8-block", "int4", "int4-b128"]
    assert LEVELS["int8"].label == "int8 (W8A8 dynamic)"
    assert [level.weight_bits for level in LEVELS.values()] == [32, 16, 8, 8, 4, 4]


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


def test_int4_is_half_a_byte_and_a_scale_in_32():
    """Half a byte a weight and 4 bytes a block of 32: 5 bit a weight; norms stay float32."""
    weights = BODY_WEIGHTS + TABLE_WEIGHTS
    expected = weights // 2 + 4 * weights // 32 + 4 * NORM_WEIGHTS
    assert stored_bytes(SMALL, LEVELS["int4"]) == expected


def test_int4_b128_pads_rows_to_whole_blocks():
    """Every row, 64 or 96 long, takes one block: 64 bytes and a scale of 4."""
    rows = 128 + 64 + 96 + 96 + 64 + 100
    assert stored_bytes(SMALL, LEVELS["int4-b128"]) == rows * (64 + 4) + 4 * NORM_WEIGHTS


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
