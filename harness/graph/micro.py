"""Micro-graphs: a few operators of a decoder and nothing else, to measure what a machine can do.

The nodes come from the emitters of real decoders and the weights from their packers, so that
ONNX Runtime runs the very kernels that a model gets.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from harness.graph.datafile import DataFile, initializer
from harness.graph.emitter import MICROSOFT, Emitter
from harness.graph.matrix import Matrix, multiply
from harness.graph.storage import PAGE_BYTES, Region, Role, StoredWeight, View
from harness.graph.stream import stream_weight
from harness.quantize.layout import body_arrays
from harness.quantize.levels import QuantLevel
from harness.specs.tensors import Tensor

_OPSETS = (("", 21), (MICROSOFT, 1))
_IR_VERSION = 10
_FLOATS = {"float32": onnx.TensorProto.FLOAT, "float16": onnx.TensorProto.FLOAT16}
_EPSILON = 1e-5


@dataclass(frozen=True, slots=True)
class Heads:
    """Shape of the attention of a micro-graph.

    Attributes:
        layers: attentions in a row, each with a cache of its own.
        heads: of queries.
        kv_heads: of keys and values.
        head_dim: width of one.
        capacity_tokens: positions of each cache and of the rotary tables.
    """

    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    capacity_tokens: int


class _Noise:
    """A weight store of normal values scaled by 1 / sqrt(inputs): a chain neither grows nor dies.

    Attributes:
        kind: as of seeded weights.
        identity: names nothing that is kept.
    """

    kind = "seeded"
    identity = "micro"

    def __init__(self, inputs: dict[str, int]) -> None:
        """Remember the width of each matrix, by name."""
        self._inputs = inputs
        self._generator = np.random.Generator(np.random.SFC64(0))

    def tensor(self, name: str) -> npt.NDArray[np.float32]:
        """Refuse: a micro-graph stores no vector."""
        raise KeyError(name)

    def rows(self, name: str, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Return [stop - start, inputs] new values."""
        width = self._inputs[name]
        values = self._generator.standard_normal((stop - start, width), dtype=np.float32)
        return values * np.float32(width**-0.5)


def write_matrix_chain(
    path: Path, level: QuantLevel, hidden: int, wide: int, matrices: int
) -> None:
    """Write a chain of products: hidden -> wide -> hidden -> ..., weights in `path`.data.

    Each matrix has bytes of its own; pairs repeat the same values, which no kernel notices.
    Input `hidden` [1, tokens, hidden], output `product` of the same shape, both of the level's
    float type.

    Args:
        path: of the graph.
        level: whose body format every matrix takes.
        hidden: width of input and output.
        wide: width in between.
        matrices: their number, even.
    """
    shapes = [(wide, hidden), (hidden, wide)]
    data = path.with_name(f"{path.name}.data")
    first, pair_bytes = _place_pair(shapes, level)
    with DataFile(data) as file:
        store = _Noise({weight.name: shape[1] for weight, shape in zip(first, shapes, strict=True)})
        for weight in first:
            stream_weight(file, weight, store)
    _repeat(data, pair_bytes, matrices // 2)
    emitter, product, views = Emitter(), "hidden", []
    for number in range(matrices):
        outputs, inputs = shapes[number % 2]
        name = f"matrix.{number}"
        product = multiply(emitter, Matrix(name, outputs, inputs), product, level)
        for region in first[number % 2].regions:
            moved = Region(region.array, region.offset_bytes + number // 2 * pair_bytes)
            views.append(View(f"{name}.{region.array.suffix}", moved, region.array.shape))
    emitter.nodes[-1].output[0] = "product"
    kind = _FLOATS[level.float_dtype]
    ports = [
        helper.make_tensor_value_info(name, kind, [1, "tokens", hidden])
        for name in ("hidden", "product")
    ]
    _write(path, emitter, ports[:1], ports[1:], [initializer(view, data.name) for view in views])


def write_operator_chain(path: Path, width: int, layers: int) -> int:
    """Write what stands between the matrices of a layer, `layers` times over one tiny vector.

    A norm over a sum, a sigmoid and two products each. Input `hidden` and output `product`
    [1, 1, width] float32.

    Returns:
        The operators of the chain.
    """
    emitter, stream, residual = Emitter(), "hidden", "hidden"
    weight = emitter.constant("norm.weight", np.ones(width), "float32")
    for layer in range(layers):
        norm, next_residual = f"norm.{layer}", f"residual.{layer}"
        emitter.add(
            "SkipSimplifiedLayerNormalization",
            (stream, residual, weight),
            norm,
            MICROSOFT,
            more_outputs=("", "", next_residual),
            epsilon=_EPSILON,
        )
        sigmoid = emitter.add("Sigmoid", (norm,), f"sigmoid.{layer}")
        silu = emitter.add("Mul", (norm, sigmoid), f"silu.{layer}")
        stream, residual = emitter.add("Mul", (silu, norm), f"gated.{layer}"), next_residual
    emitter.nodes[-1].output[0] = "product"
    ports = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, width])
        for name in ("hidden", "product")
    ]
    _write(path, emitter, ports[:1], ports[1:], [])
    return len(emitter.nodes) - 1


def write_attention(path: Path, shape: Heads) -> None:
    """Write attentions that read one packed input, each over a cache of its own, in float32.

    Inputs `packed` [1, tokens, (heads + 2 kv_heads) head_dim], `last_index` int32 [1],
    `total_tokens` int32 scalar, `past.N.key` and `past.N.value`; outputs `attended.N`,
    `present.N.key` and `present.N.value`.
    """
    floats, integers = onnx.TensorProto.FLOAT, onnx.TensorProto.INT32
    port = helper.make_tensor_value_info
    emitter = Emitter()
    angles = np.outer(np.arange(shape.capacity_tokens), np.ones(shape.head_dim // 2))
    cosines = emitter.constant("cosines", np.cos(angles), "float32")
    sines = emitter.constant("sines", np.sin(angles), "float32")
    packed = (shape.heads + 2 * shape.kv_heads) * shape.head_dim
    inputs = [port("packed", floats, [1, "tokens", packed]), port("last_index", integers, [1])]
    inputs.append(port("total_tokens", integers, []))
    outputs = []
    for layer in range(shape.layers):
        halves = [f"{layer}.{half}" for half in ("key", "value")]
        past = [f"past.{half}" for half in halves]
        emitter.add(
            "GroupQueryAttention",
            ("packed", "", "", *past, "last_index", "total_tokens", cosines, sines),
            f"attended.{layer}",
            MICROSOFT,
            more_outputs=tuple(f"present.{half}" for half in halves),
            num_heads=shape.heads,
            kv_num_heads=shape.kv_heads,
            do_rotary=1,
            rotary_interleaved=0,
            scale=shape.head_dim**-0.5,
            local_window_size=-1,
        )
        outputs.append(
            port(f"attended.{layer}", floats, [1, "tokens", shape.heads * shape.head_dim])
        )
        cache = [1, shape.kv_heads, shape.capacity_tokens, shape.head_dim]
        inputs += [port(name, floats, cache) for name in past]
        outputs += [port(f"present.{half}", floats, cache) for half in halves]
    _write(path, emitter, inputs, outputs, [])


def _place_pair(shapes: list[tuple[int, int]], level: QuantLevel) -> tuple[list[StoredWeight], int]:
    """Return two matrices placed from byte 0 on, each array on a page, and the end of both."""
    end_bytes, weights = 0, []
    for number, (outputs, inputs) in enumerate(shapes):
        regions = []
        for array in body_arrays(outputs, inputs, level):
            regions.append(Region(array, end_bytes))
            end_bytes = -(-regions[-1].end_bytes // PAGE_BYTES) * PAGE_BYTES
        name = f"pair.{number}"
        source = (Tensor(name, (outputs, inputs)),)
        weights.append(StoredWeight(name, Role.BODY, level.body, source, tuple(regions), ()))
    return weights, end_bytes


def _repeat(data: Path, part_bytes: int, times: int) -> None:
    """Fill the file up to whole pages and append copies of it until it stands `times` times."""
    part = data.read_bytes().ljust(part_bytes, b"\0")
    with data.open("wb") as file:
        for _ in range(times):
            file.write(part)


def _write(
    path: Path,
    emitter: Emitter,
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    initializers: list[onnx.TensorProto],
) -> None:
    """Write one graph."""
    graph = helper.make_graph(emitter.nodes, path.stem, inputs, outputs, initializers)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in _OPSETS],
        ir_version=_IR_VERSION,
    )
    path.write_bytes(model.SerializeToString())
