"""The plan of a data file: what is stored where, and under which names a graph reads it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import singledispatch
from math import prod

from harness.builder.graph.block import Stack, expert_stacks, layer_matrices, separate_matrices
from harness.builder.graph.encoder_block import encoder_matrices, separate_encoder_matrices
from harness.builder.graph.matrix import EMBEDDING, HEAD, Matrix
from harness.builder.graph.names import layer_name
from harness.builder.graph.pooling import dense_matrices
from harness.builder.quantize.layout import StoredArray, body_arrays, expert_arrays, table_arrays
from harness.builder.quantize.levels import Form, MatrixFormat, QuantLevel, Variant
from harness.models.specs.blocks import EXPERTS, feed_forward_parts, layer_norms, mixer_parts
from harness.models.specs.layers import Layer
from harness.models.specs.model import (
    NORM_ENDS,
    AnySpec,
    EncoderSpec,
    ModelSpec,
    RotaryEncoderSpec,
    TextSpec,
)
from harness.models.specs.tensors import (
    EMBED_NORM,
    POSITIONS,
    SIDE_IN,
    SIDE_IN_NORM,
    SIDE_TABLE,
    Tensor,
    dense_name,
    encoder_tables,
    logical_tensors,
)

PAGE_BYTES = 4096  # ONNX Runtime maps the file into memory: every array begins on a page


class Role(StrEnum):
    """What a stored weight is used for, and with it how its rows lie."""

    VECTOR = "vector"
    BODY = "body"
    EXPERTS = "experts"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Region:
    """The place of one array in the data file.

    Attributes:
        array: type and shape.
        offset_bytes: of its first byte; a multiple of the page.
    """

    array: StoredArray
    offset_bytes: int

    @property
    def end_bytes(self) -> int:
        """The byte after its last one."""
        return self.offset_bytes + self.array.size_bytes


@dataclass(frozen=True, slots=True)
class View:
    """An initializer: a name for a region; two views of one region share its bytes.

    Attributes:
        name: in the graphs.
        region: where it lies.
        shape: as the graphs see it.
    """

    name: str
    region: Region
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StoredWeight:
    """One weight of the graphs.

    Attributes:
        name: for messages.
        role: what it is used for.
        form: how its values are stored; None: as the float type of the level.
        sources: the trained tensors it is made of, one below the other.
        regions: its arrays, as quantize.layout orders them.
        views: its initializers.
        turns: so many sources in a row give their rows by turns.
    """

    name: str
    role: Role
    form: MatrixFormat | None
    sources: tuple[Tensor, ...]
    regions: tuple[Region, ...]
    views: tuple[View, ...]
    turns: int = 1


class Shelf:
    """Hands out regions one after the other."""

    def __init__(self, begin_bytes: int = 0) -> None:
        """Begin at the first free byte."""
        self._end_bytes = begin_bytes

    def reserve(self, arrays: Sequence[StoredArray]) -> tuple[Region, ...]:
        """Give each array the next free page."""
        regions = []
        for array in arrays:
            begin_bytes = -(-self._end_bytes // PAGE_BYTES) * PAGE_BYTES
            regions.append(Region(array, begin_bytes))
            self._end_bytes = begin_bytes + array.size_bytes
        return tuple(regions)


def plan_storage(spec: AnySpec, level: QuantLevel) -> Iterator[StoredWeight]:
    """Return every weight in file order: tables, layers, final norm, an untied head."""
    tensors = {tensor.name: tensor for tensor in logical_tensors(spec)}
    return _weights(spec, level, Shelf(), tensors)


@singledispatch
def _weights(
    spec: AnySpec, level: QuantLevel, shelf: Shelf, tensors: dict[str, Tensor]
) -> Iterator[StoredWeight]:
    """Yield the weights of an architecture, by its kind."""
    raise TypeError(f"{spec!r} is no architecture")


@_weights.register
def _decoder(
    spec: ModelSpec, level: QuantLevel, shelf: Shelf, tensors: dict[str, Tensor]
) -> Iterator[StoredWeight]:
    """Yield tables, layers, final norm and an untied head of a decoder."""
    yield from _decoder_weights(spec, level, shelf, tensors, is_head=spec.tied_embeddings)


@_weights.register
def _rotary_encoder(
    spec: RotaryEncoderSpec, level: QuantLevel, shelf: Shelf, tensors: dict[str, Tensor]
) -> Iterator[StoredWeight]:
    """Yield a decoder's body, whose table gives no logits, and the dense layers."""
    yield from _decoder_weights(spec, level, shelf, tensors, is_head=False)
    yield from _dense(spec, level, shelf, tensors)


def _decoder_weights(
    spec: ModelSpec,
    level: QuantLevel,
    shelf: Shelf,
    tensors: dict[str, Tensor],
    *,
    is_head: bool,
) -> Iterator[StoredWeight]:
    """Yield the weights of a decoder, or of an encoder with its layers."""
    yield _table(level, shelf, tensors[f"{EMBEDDING}.weight"], is_head=is_head)
    if spec.positions == "learned":
        yield _table(level, shelf, tensors[f"{POSITIONS}.weight"], is_head=False)
    if spec.per_layer_width:
        yield _table(level, shelf, tensors[f"{SIDE_TABLE}.weight"], is_head=False)
        outputs, inputs = tensors[f"{SIDE_IN}.weight"].shape
        matrix = Matrix(SIDE_IN, outputs, inputs)
        yield from _matrices(level, shelf, {"": matrix}, tensors)
        yield _vector(level, shelf, (tensors[f"{SIDE_IN_NORM}.weight"],))
    ends = NORM_ENDS[spec.norm]
    for layer in spec.layers:
        prefix = layer_name(layer.number)
        small = [f"{norm}.{end}" for norm in layer_norms(spec, layer) for end in ends]
        small += [part.name for part in mixer_parts(spec, layer) if not part.is_matrix]
        for name in small:
            yield _vector(level, shelf, (tensors[f"{prefix}.{name}"],))
        matrices = _MATRICES[level.variant](spec, layer.number)
        yield from _matrices(level, shelf, matrices, tensors)
        yield from _experts(spec, level, shelf, layer, tensors)
    for end in ends:
        yield _vector(level, shelf, (tensors[f"model.norm.{end}"],))
    if not spec.tied_embeddings:
        yield _table(level, shelf, tensors[f"{HEAD}.weight"], is_head=True)
    if spec.head_bias:
        yield _vector(level, shelf, (tensors[f"{HEAD}.bias"],))


def _experts(
    spec: ModelSpec, level: QuantLevel, shelf: Shelf, layer: Layer, tensors: dict[str, Tensor]
) -> Iterator[StoredWeight]:
    """Yield the stacks of a layer's experts, and the gate of the block that every token uses."""
    prefix = layer_name(layer.number)
    for stack in expert_stacks(spec, layer.number):
        sources = tuple(
            tensors[f"{prefix}.{EXPERTS}.{expert}.{part}.weight"]
            for expert in range(stack.experts)
            for part in stack.parts
        )
        form = level.body_format(sensitive=stack.sensitive)
        rows = stack.experts * stack.outputs
        regions = shelf.reserve(expert_arrays(rows, stack.inputs, level, form))
        views = tuple(_stacked_view(stack, region) for region in regions)
        turns = len(stack.parts)
        yield StoredWeight(stack.name, Role.EXPERTS, form, sources, regions, views, turns)
        if spec.experts is not None and spec.experts.bias:
            biases = [tensors[source.name.removesuffix("weight") + "bias"] for source in sources]
            yield _stacked_bias(level, shelf, stack, biases)
    for part in feed_forward_parts(spec, layer):
        if not part.is_matrix:
            yield _vector(level, shelf, (tensors[f"{prefix}.{part.name}"],))


def _stacked_bias(
    level: QuantLevel, shelf: Shelf, stack: Stack, biases: Sequence[Tensor]
) -> StoredWeight:
    """Place the biases of all experts as [experts, outputs], ordered as the rows of the stack."""
    name, shape = f"{stack.name}.bias", (stack.experts, stack.outputs)
    regions = shelf.reserve([StoredArray("", level.activation_dtype, shape)])
    views = (View(name, regions[0], shape),)
    turns = len(stack.parts)
    return StoredWeight(name, Role.VECTOR, None, tuple(biases), regions, views, turns)


def _stacked_view(stack: Stack, region: Region) -> View:
    """Return the rows of all experts as [experts, outputs, ...]; blocks lie in one row there."""
    count, outputs = stack.experts, stack.outputs
    values = prod(region.array.shape) // (count * outputs)
    is_row_scale = region.array.suffix == "scales" and len(region.array.shape) == 1
    shape = (count, outputs) if is_row_scale else (count, outputs, values)
    return View(f"{stack.name}.{region.array.suffix}", region, shape)


@_weights.register
def _encoder(
    spec: EncoderSpec, level: QuantLevel, shelf: Shelf, tensors: dict[str, Tensor]
) -> Iterator[StoredWeight]:
    """Yield tables, their norm, and the layers of an encoder."""
    for name in encoder_tables(spec):
        yield _table(level, shelf, tensors[f"{name}.weight"], is_head=False)
    norms = [EMBED_NORM]
    for layer in range(spec.num_layers):
        prefix = layer_name(layer)
        norms += [f"{prefix}.self_attn_norm", f"{prefix}.mlp_norm"]
        matrices = _ENCODER_MATRICES[level.variant](spec, layer)
        yield from _matrices(level, shelf, matrices, tensors)
    for norm in norms:
        for end in ("weight", "bias"):
            yield _vector(level, shelf, (tensors[f"{norm}.{end}"],))
    yield from _dense(spec, level, shelf, tensors)


def _dense(
    spec: TextSpec, level: QuantLevel, shelf: Shelf, tensors: dict[str, Tensor]
) -> Iterator[StoredWeight]:
    """Yield what a pooled vector passes."""
    yield from _matrices(level, shelf, dense_matrices(spec), tensors)
    for place, dense in enumerate(spec.dense):
        if dense.norm:
            yield _vector(level, shelf, (tensors[f"{dense_name(place)}.norm.weight"],))


def _matrices(
    level: QuantLevel, shelf: Shelf, matrices: dict[str, Matrix], tensors: dict[str, Tensor]
) -> Iterator[StoredWeight]:
    """Yield the matrices of one layer, each with its bias."""
    for matrix in matrices.values():
        names = matrix.sources or (matrix.name,)
        sources = tuple(tensors[f"{name}.weight"] for name in names)
        yield _matrix(level, shelf, matrix, sources)
        if matrix.has_bias:
            biases = tuple(tensors[f"{name}.bias"] for name in names)
            yield _vector(level, shelf, biases, f"{matrix.name}.bias")


_MATRICES = {Variant.FUSED: layer_matrices, Variant.STATIC: separate_matrices}
_ENCODER_MATRICES = {Variant.FUSED: encoder_matrices, Variant.STATIC: separate_encoder_matrices}


def _vector(
    level: QuantLevel, shelf: Shelf, sources: tuple[Tensor, ...], name: str = ""
) -> StoredWeight:
    """Place small tensors end to end, called like the first unless `name` is given."""
    name = name or sources[0].name
    elements = sum(source.elements for source in sources)
    regions = shelf.reserve([StoredArray("", level.activation_dtype, (elements,))])
    shape = sources[0].shape if len(sources) == 1 else (elements,)
    views = (View(name, regions[0], shape),)
    return StoredWeight(name, Role.VECTOR, None, sources, regions, views)


def _matrix(
    level: QuantLevel, shelf: Shelf, matrix: Matrix, sources: tuple[Tensor, ...]
) -> StoredWeight:
    """Place a matrix of a layer; in a static model its rows lie like those of a table."""
    arrays = body_arrays(matrix.outputs, matrix.inputs, level, sensitive=matrix.sensitive)
    regions = shelf.reserve(arrays)
    form = level.body_format(sensitive=matrix.sensitive)
    views = tuple(_view(matrix.name, region) for region in regions)
    role = Role.TABLE if level.variant is Variant.STATIC else Role.BODY
    return StoredWeight(matrix.name, role, form, sources, regions, views)


def _table(level: QuantLevel, shelf: Shelf, tensor: Tensor, *, is_head: bool) -> StoredWeight:
    """Place a table whose rows are looked up, a head, or both in one.

    GatherBlockQuantized reads [vocab, bytes per row], called `.rows`, where MatMulNBits reads
    [vocab, blocks, bytes per block], called `.quantized`: a tied table has both views.
    """
    name, is_untied = tensor.name.removesuffix(".weight"), tensor.name == f"{HEAD}.weight"
    rows_count, width = tensor.shape
    regions = shelf.reserve(table_arrays(rows_count, width, level, is_head=is_untied))
    views = [_view(name, region) for region in regions]
    if level.table.form is Form.BLOCK and name != HEAD:
        vocab, blocks, block_bytes = regions[0].array.shape
        rows = View(f"{name}.rows", regions[0], (vocab, blocks * block_bytes))
        views = [rows, *views] if is_head else [rows, *views[1:]]
    form = level.head if is_untied else level.table
    return StoredWeight(name, Role.TABLE, form, (tensor,), regions, tuple(views))


def _view(name: str, region: Region) -> View:
    """Return a region under the name of its weight and its own suffix."""
    return View(f"{name}.{region.array.suffix}", region, region.array.shape)
