"""The quantization levels: one row each, in the order of falling size."""

from dataclasses import dataclass
from enum import StrEnum

from harness.errors import UsageError

CHANNEL_ZERO_POINT = 128  # the byte that stands for 0 in the `channel` form


class Form(StrEnum):
    """How a matrix is stored, and with it which operator multiplies by it.

    `float`: as it is (MatMul, Gemm, Gather). `channel`: 8 bits with one scale per output channel,
    activations quantized at run time (DynamicQuantizeMatMul). `block`: unsigned integers with one
    scale per block of inputs (MatMulNBits, GatherBlockQuantized).
    """

    FLOAT = "float"
    CHANNEL = "channel"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class MatrixFormat:
    """How every matrix of one kind is stored.

    Attributes:
        form: the layout and its operator.
        bits: of one stored weight.
        block_weights: run of inputs that share a scale; 0 where `form` is not `block`.
        accuracy_level: of MatMulNBits; 4 multiplies in int8. Other forms: 0.
    """

    form: Form
    bits: int
    block_weights: int = 0
    accuracy_level: int = 0

    def blocks(self, inputs: int) -> int:
        """Blocks of one row of `inputs` weights; the last one is padded with zeros."""
        return -(-inputs // self.block_weights)

    def padded_inputs(self, inputs: int) -> int:
        """Stored weights of one row of `inputs` weights, padding included."""
        return self.blocks(inputs) * self.block_weights


@dataclass(frozen=True, slots=True)
class QuantLevel:
    """What each part of a model is stored as.

    Attributes:
        name: the word the user types.
        label: the words a table prints.
        body: every matrix of the layers.
        table: the embedding and the head; one copy of the bytes where they are tied.
        float_bytes: of one activation, norm weight, bias and cached key or value: 4 or 2.
    """

    name: str
    label: str
    body: MatrixFormat
    table: MatrixFormat
    float_bytes: int = 4

    @property
    def weight_bits(self) -> int:
        """Nominal bits of a weight of the layers, scales left out."""
        return self.body.bits

    @property
    def float_dtype(self) -> str:
        """Name of the activation, norm and cache type: `float32` or `float16`."""
        return {4: "float32", 2: "float16"}[self.float_bytes]


_FP32 = MatrixFormat(Form.FLOAT, 32)
_FP16 = MatrixFormat(Form.FLOAT, 16)
_INT8_CHANNEL = MatrixFormat(Form.CHANNEL, 8)
_INT8_BLOCK = MatrixFormat(Form.BLOCK, 8, block_weights=32, accuracy_level=4)
_INT4_32 = MatrixFormat(Form.BLOCK, 4, block_weights=32, accuracy_level=4)
_INT4_128 = MatrixFormat(Form.BLOCK, 4, block_weights=128, accuracy_level=4)

LEVELS = {
    level.name: level
    for level in (
        QuantLevel("fp32", "fp32", _FP32, _FP32),
        QuantLevel("fp16", "fp16", _FP16, _FP16, float_bytes=2),
        QuantLevel("int8", "int8 (W8A8 dynamic)", _INT8_CHANNEL, _INT8_BLOCK),
        QuantLevel("int8-block", "int8-block (W8, block 32)", _INT8_BLOCK, _INT8_BLOCK),
        QuantLevel("int4", "int4 (block 32)", _INT4_32, _INT4_32),
        QuantLevel("int4-b128", "int4-b128 (block 128)", _INT4_128, _INT4_128),
    )
}


def find_level(name: str) -> QuantLevel:
    """Return the level the user called `name`.

    Raises:
        UsageError: no level has this name; the fix names the nearest and all of them.
    """
    if name in LEVELS:
        return LEVELS[name]
    from harness.specs.names import suggestion  # only needed once something is wrong

    raise UsageError(f"no quantization level is called {name!r}", fix=suggestion(name, LEVELS))
