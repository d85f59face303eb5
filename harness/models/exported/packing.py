"""The operators that read quantized weights: where the integers, scales and zero points are."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import onnx

from harness.models.exported.flat import PASSING, FlatGraph, FlatNode
from harness.models.exported.tensors import FLOAT_LEVELS, TYPES, elements

# A row is looked up before its integers are turned to floats, so a Gather may stand in between.
TABLE_PASSING = PASSING | {"Gather", "Slice"}
BYTES_OF_4_BITS = 4


@dataclass(frozen=True, slots=True)
class Packing:
    """One weight of an operator.

    Attributes:
        weight: input index of the integers.
        others: input indices of what belongs to them: scales, zero points, orders.
        bits: name of the attribute with the bits of one weight, where several share a byte.
        block: name of the attribute with the run of weights that share a scale.
        rows: whether the stored matrix has one row per output; else one per input.
    """

    weight: int
    others: tuple[int, ...]
    bits: str = ""
    block: str = ""
    rows: bool = False


# Source: docs/ContribOperators.md of ONNX Runtime, the ONNX operator list.
PACKINGS: dict[str, tuple[Packing, ...]] = {
    "MatMulNBits": (Packing(1, (2, 3, 4), "bits", "block_size", rows=True),),
    "MatMulBnb4": (Packing(1, (2,), "quant_type", "block_size", rows=True),),
    "GatherBlockQuantized": (Packing(0, (2, 3), "bits", "block_size", rows=True),),
    "DequantizeLinear": (Packing(0, (1, 2), block="block_size"),),
    "MatMulInteger": (Packing(1, (3,)),),
    "ConvInteger": (Packing(1, (3,), rows=True),),
    "DynamicQuantizeMatMul": (Packing(1, (2, 3)),),
    "MatMulIntegerToFloat": (Packing(1, (3, 5)),),
    "QLinearMatMul": (Packing(3, (4, 5)),),
    "QGemm": (Packing(3, (4, 5)),),
    "QLinearConv": (Packing(3, (4, 5), rows=True),),
    "QAttention": (Packing(1, (4, 7)),),
    "QEmbedLayerNormalization": tuple(
        Packing(weight, (weight + 6, weight + 11), rows=True) for weight in range(2, 7)
    ),
    "DynamicQuantizeLSTM": (Packing(1, (8, 9)), Packing(2, (10, 11))),
    "MatMulInteger16": (Packing(1, ()),),
    "QOrderedMatMul": (Packing(2, (3,)),),
    "GemmFloat8": (Packing(1, (4,)),),
    "QMoE": tuple(
        Packing(weight, others, "expert_weight_bits", "block_size", rows=True)
        for weight, others in ((2, (3, 11)), (5, (6, 12)), (8, (9, 13)))
    ),
}
QUANTIZED_OPS = frozenset(PACKINGS)
_DEFAULT_BITS = {"MatMulBnb4": 4, "MatMulNBits": 4, "GatherBlockQuantized": 4, "QMoE": 4}
_DEFAULT_BLOCK = {"GatherBlockQuantized": 128}


@dataclass(frozen=True, slots=True)
class PackedWeight:
    """Integers that an operator reads.

    Attributes:
        name: of the stored tensor.
        others: names of the stored scales, zero points and orders.
        op: the operator.
        bits: of one weight.
        block: run of weights that share a scale; 0: a row or a column, or all of them.
        parameters: weights, padding left out where the operator says how many there are.
        level: in words.
        outputs: of the matrix, or 0 where it is not known to be one.
        inputs: of the matrix, or 0.
        rows: whether the stored matrix has one row per output.
    """

    name: str
    others: tuple[str, ...]
    op: str
    bits: int
    block: int
    parameters: int
    level: str
    outputs: int
    inputs: int
    rows: bool


def packed_weights(flat: FlatGraph) -> Iterator[PackedWeight]:
    """Every quantized weight of a graph, once for each operator that reads it."""
    for node in flat.nodes:
        for packing in PACKINGS.get(node.op, ()):
            name = flat.source(node.input(packing.weight))
            if node.op == "DequantizeLinear":
                name = flat.source(name, TABLE_PASSING)
            tensor = flat.tensor(name)
            if tensor is None or tensor.data_type not in TYPES or _is_scale(flat, node):
                continue
            if TYPES[tensor.data_type][1] not in FLOAT_LEVELS:
                yield _weight(flat, node, packing, name, tensor)


def _is_scale(flat: FlatGraph, node: FlatNode) -> bool:
    """Whether what a DequantizeLinear gives is a scale or a zero point of other integers."""
    if node.op != "DequantizeLinear" or not node.outputs:
        return False
    uses = list(flat.uses(node.outputs[0]))
    return bool(uses) and all(
        any(index in packing.others for packing in PACKINGS.get(reader.op, ()))
        for reader, index in uses
    )


def _others(flat: FlatGraph, node: FlatNode, packing: Packing) -> Iterator[str]:
    """Names of the stored tensors that belong to a weight; of quantized scales all of theirs."""
    for index in packing.others:
        name = flat.source(node.input(index))
        producer = flat.producers.get(name)
        if producer is not None and producer.op == "DequantizeLinear":
            yield from (flat.source(inner) for inner in producer.inputs if inner)
        elif name:
            yield name


def _weight(
    flat: FlatGraph, node: FlatNode, packing: Packing, name: str, tensor: onnx.TensorProto
) -> PackedWeight:
    """Return the record of one weight of one operator."""
    stored_bits = TYPES[tensor.data_type][0]
    bits = _bits(node, packing, stored_bits)
    parameters = elements(tensor) * stored_bits // max(1, bits)
    outputs, inputs = _sizes(node, tensor, stored_bits, bits, packing)
    if node.op in ("MatMulNBits", "MatMulBnb4") and outputs * inputs > 0:
        parameters = outputs * inputs
    others = tuple(name for name in _others(flat, node, packing) if flat.tensor(name) is not None)
    block = node.whole(packing.block, _DEFAULT_BLOCK.get(node.op, 0)) if packing.block else 0
    scales = flat.tensor(others[0]) if others else None
    level = _level(node, bits, block, scales, TYPES[tensor.data_type][1])
    return PackedWeight(
        name, others, node.op, bits, block, parameters, level, outputs, inputs, packing.rows
    )


def _bits(node: FlatNode, packing: Packing, stored_bits: int) -> int:
    """Return the bits of one weight: of packed bytes as an attribute says, else of the type."""
    if not packing.bits or stored_bits < 8:
        return stored_bits
    if packing.bits == "quant_type":
        return BYTES_OF_4_BITS
    bits = node.whole(packing.bits, _DEFAULT_BITS[node.op])
    return bits if bits in (1, 2, 3, 4, 8) else stored_bits


def _sizes(
    node: FlatNode, tensor: onnx.TensorProto, stored_bits: int, bits: int, packing: Packing
) -> tuple[int, int]:
    """Return outputs and inputs of a matrix; zeros where it is none."""
    if node.op in ("MatMulNBits", "MatMulBnb4"):
        return max(0, node.whole("N", 0)), max(0, node.whole("K", 0))
    dims = tuple(tensor.dims)
    if node.op == "GatherBlockQuantized" and dims:
        return dims[0], math.prod(dims[1:]) * stored_bits // max(1, bits)
    if len(dims) != 2:
        return 0, 0
    return dims if packing.rows else (dims[1], dims[0])


def _level(
    node: FlatNode, bits: int, block: int, scales: onnx.TensorProto | None, stored_type: str
) -> str:
    """Return how weights are stored, in words, such as `int4 b32 (MatMulNBits)`."""
    kind = f"int{bits}"
    if node.op == "MatMulBnb4":
        kind = "nf4" if node.whole("quant_type", 1) else "fp4"
    elif stored_type.startswith("float"):
        kind = stored_type.replace("float4e2m1", "fp4")
    if block > 0:
        kind += f" b{block}"
    elif scales is not None and elements(scales) > 1:
        kind += " per channel"
    return f"{kind} ({node.op})"
