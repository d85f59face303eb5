"""Levels of a graph that others exported, made by ONNX Runtime's own quantizers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from harness.core.errors import DeviceError, UsageError, suggestion

BLOCK_WEIGHTS = 32
ACCURACY_LEVEL = 4  # of MatMulNBits: products in int8, as our own levels have them
INLINE_BYTES = 1024  # smaller tensors stay in the graph file: shapes are read from there


def quantize_graph(model: onnx.ModelProto, level: str, target: Path) -> None:
    """Write one graph at a level; its weights go into a data file beside it.

    Args:
        model: a graph of float32 weights that holds all its data; changed by the quantizer.
        level: a key of EXPORTED_LEVELS.
        target: file of the new graph, in a folder that exists.

    Raises:
        UsageError: a level that is not made this way.
        DeviceError: the quantizer's own requirement is not installed.
    """
    check_exported_level(level)
    quantized = EXPORTED_LEVELS[level](model)
    onnx.save_model(
        quantized,
        target,
        save_as_external_data=True,
        location=f"{target.name}.data",
        size_threshold=INLINE_BYTES,
    )


def check_exported_level(level: str) -> None:
    """Refuse a level that ONNX Runtime's quantizers do not make.

    Raises:
        UsageError: with those they make.
    """
    if level not in EXPORTED_LEVELS:
        raise UsageError(
            f"an exported graph cannot be made {level}", fix=suggestion(level, EXPORTED_LEVELS)
        )


def _int8(model: onnx.ModelProto) -> onnx.ModelProto:
    """Products in integers: weights per channel, activations at run time (MatMulInteger).

    Weights are unsigned: products of unsigned and signed bytes overflow their 16-bit sums on x86
    processors without VNNI, and come out 8 % wrong there.
    """
    import tempfile

    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        quantize_dynamic(
            model,
            path,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QUInt8,
            use_external_data_format=True,
            extra_options={"EnableSubgraph": True},
        )
        return onnx.load(path)


def _int4(model: onnx.ModelProto) -> onnx.ModelProto:
    """Symmetric blocks of 4 bits (MatMulNBits).

    Raises:
        DeviceError: onnx-ir is not installed.
    """
    _gemms_as_products(model.graph)
    try:
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    except ModuleNotFoundError as error:
        raise DeviceError(
            f"ONNX Runtime's int4 quantizer needs the package {error.name}",
            fix="pip install 'ondevice-bench[quantize]'",
        ) from error
    quantizer: Any = MatMulNBitsQuantizer(
        model,
        bits=4,
        block_size=BLOCK_WEIGHTS,
        is_symmetric=True,
        accuracy_level=ACCURACY_LEVEL,
    )
    quantizer.process()
    quantized: onnx.ModelProto = quantizer.model.model
    return quantized


def _gemms_as_products(graph: onnx.GraphProto) -> None:
    """Replace plain Gemms (GPT-2's) by MatMul and Add: the quantizer knows products only.

    A Gemm reads a matrix and MatMul gives the same for one, so nothing changes in the result.
    """
    nodes = []
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _gemms_as_products(attribute.g)
        factors = {item.name: item.f or item.i for item in node.attribute}
        is_plain = not any(factors.get(name) for name in ("transA", "transB"))
        is_plain = is_plain and all(factors.get(name, 1) == 1 for name in ("alpha", "beta"))
        if node.op_type != "Gemm" or node.domain or not is_plain or len(node.input) != 3:
            nodes.append(node)
            continue
        product = f"{node.output[0]}/product"
        nodes.append(helper.make_node("MatMul", node.input[:2], [product], name=node.name))
        nodes.append(helper.make_node("Add", [product, node.input[2]], node.output))
    del graph.node[:]
    graph.node.extend(nodes)


EXPORTED_LEVELS: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "int8": _int8,
    "int4": _int4,
}
