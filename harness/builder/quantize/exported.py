"""Levels of a graph that others exported, made by ONNX Runtime's own quantizers."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

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
    _turn_weights(model.graph)
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


def _turn_weights(graph: onnx.GraphProto) -> None:
    """Store turned weights as their products read them: the quantizers pass over a Transpose.

    Exporters write an output matrix that is tied to the table of embeddings so. The table stays
    for its look-ups, and the product gets a matrix of its own, which is quantized.
    """
    turned: dict[str, str] = {}
    for scope, stored in _scopes(graph, {}):
        _use_turned(graph, scope, stored, turned)
    while _drop_unread(graph):
        pass


def _drop_unread(graph: onnx.GraphProto) -> bool:
    """Take away what turns a weight that nobody reads any more; whether there was any."""
    scopes = [scope for scope, _ in _scopes(graph, {})]
    read = {name for scope in scopes for node in scope.node for name in node.input}
    read |= {port.name for scope in scopes for port in scope.output}
    found = False
    for scope in reversed(scopes):  # to fill a graph anew copies those within it
        kept = [n for n in scope.node if n.op_type not in _TURNING or read & {*n.output}]
        found |= len(kept) < len(scope.node)
        del scope.node[:]
        scope.node.extend(kept)
    return found


_TURNING = ("Transpose", "Identity")
_Stored = dict[str, onnx.TensorProto]


def _scopes(graph: onnx.GraphProto, outer: _Stored) -> Iterator[tuple[onnx.GraphProto, _Stored]]:
    """Every graph of a model, with the stored tensors that its nodes may read."""
    stored = {**outer, **{tensor.name: tensor for tensor in graph.initializer}}
    yield graph, stored
    for node in graph.node:
        for attribute in node.attribute:
            for branch in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _scopes(branch, stored)


def _use_turned(
    main: onnx.GraphProto, graph: onnx.GraphProto, stored: _Stored, turned: dict[str, str]
) -> None:
    """Let the products of one graph read turned copies; each weight is copied once.

    Args:
        main: gets the copies.
        graph: whose products are changed.
        stored: what they may read.
        turned: names of weights -> of their copies.
    """
    makers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        weight, is_turned = _weight_of(node, makers)
        tensor = stored.get(weight)
        if not is_turned or tensor is None or len(tensor.dims) != 2:
            continue
        if weight not in turned:
            turned[weight] = f"{weight}/turned"
            values = np.ascontiguousarray(numpy_helper.to_array(tensor).T)
            main.initializer.append(numpy_helper.from_array(values, turned[weight]))
        node.input[1] = turned[weight]
        for attribute in node.attribute:
            if attribute.name == "transB":
                attribute.i = 0


def _weight_of(node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto]) -> tuple[str, bool]:
    """Name of what a product multiplies by, and whether it is read with its axes exchanged."""
    if node.op_type not in ("MatMul", "Gemm") or node.domain or len(node.input) < 2:
        return "", False
    name = node.input[1]
    is_turned = any(item.name == "transB" and item.i for item in node.attribute)
    while (maker := makers.get(name)) is not None and maker.op_type in _TURNING:
        if maker.op_type == "Transpose":
            orders = [list(item.ints) for item in maker.attribute if item.name == "perm"]
            is_turned ^= orders in ([], [[1, 0]])
        name = maker.input[0]
    return name, is_turned


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
        if node.op_type != "Gemm" or node.domain or not is_plain:
            nodes.append(node)
            continue
        has_bias = len(node.input) == 3 and node.input[2]
        product = f"{node.output[0]}/product" if has_bias else node.output[0]
        nodes.append(helper.make_node("MatMul", node.input[:2], [product], name=node.name))
        if has_bias:
            nodes.append(helper.make_node("Add", [product, node.input[2]], node.output))
    del graph.node[:]
    graph.node.extend(nodes)


EXPORTED_LEVELS: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "int8": _int8,
    "int4": _int4,
}
