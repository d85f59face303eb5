"""Packed arrays by hand, and against the operators that read them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.builder.quantize.layout import block_arrays
from harness.builder.quantize.levels import CHANNEL_ZERO_POINT, LEVELS, Form, MatrixFormat, Method
from harness.builder.quantize.pack import check_finite, extreme, quantize_blocks, quantize_channels
from harness.core.errors import ModelError
from tests.builder.graph.run_graph import open_graph
from tests.builder.quantize.dequantize import dequantized, word

INT4 = LEVELS["int4"].body
INT4_ASYM = LEVELS["int4-asym"].body
BLOCK_FORMS = tuple(
    dict.fromkeys(
        fitted
        for level in LEVELS.values()
        for form in level.formats
        if form.form is Form.BLOCK
        for fitted in form.fitting
    )
)


def test_int4_block_by_hand():
    """-8 is the farthest value: scale 1, value v is stored as v + 8, low nibble first.

    Seven values of the block: -8 0 7 1 -1 2 3; the rest are 0, stored as 8.
    """
    row = np.zeros((1, 32), np.float32)
    row[0, :7] = [-8, 0, 7, 1, -1, 2, 3]
    packed, scales = quantize_blocks(row, INT4, "row")
    assert scales.tolist() == [[1.0]]
    assert packed.shape == (1, 1, 16)
    assert packed[0, 0, :4].tolist() == [0x80, 0x9F, 0xA7, 0x8B]
    assert packed[0, 0, 4:].tolist() == [0x88] * 12


def test_farthest_value_may_be_positive():
    """+4 is the farthest: scale -0.5, and +4 is stored as 0."""
    row = np.zeros((1, 32), np.float32)
    row[0, :2] = [4, -3.5]
    packed, scales = quantize_blocks(row, INT4, "row")
    assert scales.tolist() == [[-0.5]]
    assert packed[0, 0, 0] == 15 << 4 | 0


def test_two_bits_pack_four_values_a_byte():
    """Scale 1: -2 -1 0 1 are 0 1 2 3, low bits first."""
    row = np.zeros((1, 16), np.float32)
    row[0, :4] = [-2, -1, 0, 1]
    packed, _scales = quantize_blocks(row, MatrixFormat(Form.BLOCK, 2, block_weights=16), "row")
    assert packed[0, 0].tolist() == [0b11_10_01_00, 0xAA, 0xAA, 0xAA]


def test_rows_are_padded_with_zeros():
    """40 weights take two blocks of 32; 24 stored values are zero."""
    packed, scales = quantize_blocks(np.ones((3, 40), np.float32), INT4, "row")
    assert packed.shape == (3, 2, 16)
    assert scales.shape == (3, 2)
    assert packed[:, 1, 4:].tolist() == [[0x88] * 12] * 3


@pytest.mark.parametrize("value", [0.0, 1e-42])
def test_a_block_of_zeros_stays_zeros(value):
    """No division by zero, and none by a number whose inverse is infinite."""
    packed, scales = quantize_blocks(np.full((1, 32), value, np.float32), INT4, "row")
    assert packed.tolist() == [[[0x88] * 16]]
    assert abs(scales[0, 0]) < 1e-37
    channels, _scales = quantize_channels(np.full((1, 32), value, np.float32), "row")
    assert channels.tolist() == [[CHANNEL_ZERO_POINT] * 32]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_by_name(value):
    rows = np.zeros((2, 32), np.float32)
    rows[1, 3] = value
    for call in (
        lambda: quantize_blocks(rows, INT4, "a.weight"),
        lambda: quantize_channels(rows, "a.weight"),
        lambda: check_finite("a.weight", rows),
    ):
        with pytest.raises(ModelError, match=r"'a\.weight'"):
            call()


def test_channel_by_hand():
    """Max 127 in the first row: scale 1; 63.5 in the second: scale 0.5, range kept to 1..255."""
    rows = np.array([[127, -127, 0, 1.4], [63.5, -0.5, 0.24, 0]], np.float32)
    packed, scales = quantize_channels(rows, "row")
    assert scales.tolist() == pytest.approx([1.0, 0.5])
    assert packed.tolist() == [[255, 1, 128, 129], [255, 127, 128, 128]]


def test_zero_points_by_hand():
    """-3 .. 12 in steps of 1: zero is 3, value v is stored as v + 3; the next block is 0 .. 15.

    Two zero points share a byte, the first one low; a third begins a byte of its own.
    """
    row = np.zeros((1, 96), np.float32)
    row[0, :3], row[0, 32], row[0, 64] = [-3, 12, 1], 15, -15
    packed, scales, zeros = quantize_blocks(row, INT4_ASYM, "row")
    assert scales[0].tolist() == pytest.approx([1.0, 1.0, 1.0])
    assert zeros.tolist() == [[0 << 4 | 3, 15]]
    assert packed[0, 0, :3].tolist() == [15 << 4 | 0, 3 << 4 | 4, 0x33]
    assert packed[0, 1, :2].tolist() == [15, 0]
    assert packed[0, 2, :2].tolist() == [0xF0, 0xFF]


@pytest.mark.parametrize("form", BLOCK_FORMS, ids=word)
@pytest.mark.parametrize("inputs", [32, 128, 257])
def test_arrays_are_those_of_the_layout(form, inputs):
    """Types and shapes that the builder reserves room for."""
    rows = np.random.default_rng(4).standard_normal((3, inputs), dtype=np.float32)
    arrays = quantize_blocks(rows, form, "row")
    expected = block_arrays(3, inputs, form)
    assert [(a.dtype.name, a.shape) for a in arrays] == [(e.dtype, e.shape) for e in expected]


@pytest.mark.parametrize("form", BLOCK_FORMS, ids=word)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_every_block_format_refuses_values_that_are_not_finite(form, value):
    """Before anything is cast: a cast of no number would be a warning, and warnings are errors."""
    rows = np.zeros((2, 40), np.float32)
    rows[1, 39] = value
    with pytest.raises(ModelError, match=r"'a\.weight'"):
        quantize_blocks(rows, form, "a.weight")


@pytest.mark.parametrize("form", BLOCK_FORMS, ids=word)
def test_the_largest_floats_are_stored(form):
    """The difference of the extremes would be infinite; the scale is not."""
    largest = np.finfo(np.float32).max
    rows = np.zeros((1, 32), np.float32)
    rows[0, :2] = [largest, -largest]
    values = dequantized(quantize_blocks(rows, form, "row"), form, 32)
    assert np.isfinite(values).all()
    assert values[0, 0] > 0 > values[0, 1] or form.bits == 2


@pytest.mark.parametrize("form", BLOCK_FORMS, ids=word)
@pytest.mark.parametrize("inputs", [32, 128, 257])
def test_rounding_error_is_at_most_half_a_step(form, inputs):
    """|x - dequantized| <= scale / 2, and one whole step where the range ends on one side.

    A searched grid clips a few weights on purpose: there the other 80 % keep to half a step.
    """
    rows = np.random.default_rng(0).standard_normal((9, inputs), dtype=np.float32)
    arrays = quantize_blocks(rows, form, "row")
    steps = np.repeat(np.abs(arrays[1]), form.block_weights, axis=1)[:, :inputs]
    error = np.abs(dequantized(arrays, form, inputs) - rows)
    if form.method is Method.NEAREST:
        assert (error <= steps * 1.001).all()
        assert (error <= steps * 0.501).mean() > (0.95 if form.bits > 2 else 0.9)
    assert (error <= steps * 0.501).mean() > 0.8


def run_node(operator, inputs, feed, width, **attributes):
    """One node in a session of its own: Y [rows, width] of X [rows, ...]; other inputs constant.

    `inputs` are all of them by name, in order; X is None there.
    """
    node = helper.make_node(operator, [*inputs], ["Y"], domain="com.microsoft", **attributes)
    kind = helper.np_dtype_to_tensor_dtype(feed.dtype)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("X", kind, ["rows", *feed.shape[1:]])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["rows", width])],
        [
            numpy_helper.from_array(np.asarray(value), name)
            for name, value in inputs.items()
            if value is not None
        ],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = open_graph(model.SerializeToString())
    return session.run(None, {"X": feed})[0]


def rounded_blocks(activations, block):
    """int8 activations of accuracy level 4: one scale per block of a row, max / 127."""
    rows, inputs = activations.shape
    padded = np.pad(activations, ((0, 0), (0, -inputs % block))).reshape(rows, -1, block)
    scales = np.abs(padded).max(axis=2, keepdims=True) / 127
    return (np.rint(padded / scales) * scales).reshape(rows, -1)[:, :inputs]


@pytest.mark.parametrize("rows", [1, 4, 40])
@pytest.mark.parametrize("inputs", [48, 576])
@pytest.mark.parametrize("form", BLOCK_FORMS, ids=word)
def test_matmulnbits_reads_the_blocks_as_meant(form, inputs, rows):
    """The operator gives the product of the dequantized weights, padded blocks included."""
    random = np.random.default_rng(1)
    weights = random.standard_normal((96, inputs), dtype=np.float32)
    activations = random.standard_normal((rows, inputs), dtype=np.float32)
    packed, scales, *zeros = quantize_blocks(weights, form, "w")
    ours = run_node(
        "MatMulNBits",
        {"X": None, "B": packed, "scales": scales, **({"zeros": zeros[0]} if zeros else {})},
        activations,
        96,
        N=96,
        K=inputs,
        bits=form.bits,
        block_size=form.block_weights,
        accuracy_level=form.accuracy_level,
    )
    values = dequantized((packed, scales, *zeros), form, inputs)
    exact = rounded_blocks(activations, form.block_weights) @ values.T
    np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-3 * np.abs(exact).max())


@pytest.mark.parametrize("inputs", [64, 129])
@pytest.mark.parametrize("form", BLOCK_FORMS, ids=word)
def test_gatherblockquantized_reads_the_same_arrays(form, inputs):
    """The embedding's look-up gives the dequantized rows; the padding is still on them."""
    table = np.random.default_rng(3).standard_normal((20, inputs), dtype=np.float32)
    arrays = quantize_blocks(table, form, "table")
    names = ("rows", "scales", "zeros")[: len(arrays)]
    rows, *rest = (array.reshape(20, -1) for array in arrays)
    ids = np.array([7, 0, 19, 7])
    ours = run_node(
        "GatherBlockQuantized",
        {"rows": rows, "X": None, **dict(zip(names[1:], rest, strict=True))},
        ids,
        form.padded_inputs(inputs),
        bits=form.bits,
        block_size=form.block_weights,
        gather_axis=0,
        quantize_axis=1,
    )
    exact = dequantized(arrays, form, inputs)[ids]
    np.testing.assert_allclose(ours[:, :inputs], exact, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 4, 40])
@pytest.mark.parametrize("inputs", [48, 576])
def test_dynamic_quantize_matmul_reads_the_channels_as_meant(inputs, rows):
    """Large weights of one sign: signed bytes would saturate here on x86 without VNNI.

    Source of the activations' rounding: operator DynamicQuantizeLinear, one scale per pass.
    """
    random = np.random.default_rng(2)
    weights = 1 + random.standard_normal((96, inputs), dtype=np.float32) / 8
    activations = 1 + random.standard_normal((rows, inputs), dtype=np.float32) / 8
    packed, scales = quantize_channels(weights, "w")
    zero = np.uint8(CHANNEL_ZERO_POINT)
    inputs_by_name = {"X": None, "B": packed.T, "scales": scales, "zero": zero}
    ours = run_node("DynamicQuantizeMatMul", inputs_by_name, activations, 96)
    step = max(activations.max(), 0) / 255
    values = (packed.astype(np.float64) - CHANNEL_ZERO_POINT) * scales[:, None]
    exact = np.rint(activations / step) * step @ values.T
    np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-4 * np.abs(exact).max())


@pytest.mark.parametrize("width", [1, 2, 16, 24, 32, 128])
def test_extremes_are_those_of_numpy(width):
    """Of widths that halve to one and of others; what is no number stays visible."""
    blocks = np.random.default_rng(width).standard_normal((3, 5, width)).astype(np.float32)
    blocks[0, 0, 0], blocks[1, 2, -1], blocks[2, 4, 0] = np.inf, -np.inf, np.nan
    for choose in (np.minimum, np.maximum):
        np.testing.assert_array_equal(extreme(blocks, choose), choose.reduce(blocks, axis=2))
