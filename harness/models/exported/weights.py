"""The true parameters of a graph: counted from what is stored, quantized packing understood.

Trained values are the stored floats that are weights (see constants.is_weight) and the integers
that an operator of packing.PACKINGS reads; scales and zero points are how they are stored. Each
counts once, however often it is stored: matrices of the same bytes, and a head that is the
embedding once more, transposed or quantized, are one.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from harness.models.exported.constants import is_weight
from harness.models.exported.flat import FlatGraph
from harness.models.exported.model import Storage
from harness.models.exported.packing import TABLE_PASSING, PackedWeight, packed_weights
from harness.models.exported.tensors import (
    FLOAT_LEVELS,
    TYPES,
    digest,
    elements,
    external,
    stored_array,
    stored_bytes,
)
from harness.models.exported.ties import Matrix, are_tied

# A constant inside a graph is a weight only where one of these reads it as such.
_PRODUCTS = {"MatMul": 1, "Gemm": 1, "Conv": 1, "Gather": 0}
TABLE_OPS = ("Gather", "GatherBlockQuantized")
_FLOAT_OPS = ("Mul", "Sub", "Div", "MatMul", "Gemm", "Conv")
_STEPS = 3  # of a chain from integers to floats: zero point, scale, and one more
_BIT_OPS = ("BitShift", "BitwiseAnd")
SMALL_BYTES, MANY_BYTES = 256, 4096  # smaller tensors are zero points, tables of an activation
LOOKED_AT = 1 << 16  # values read to tell a mask


@dataclass(frozen=True, slots=True)
class Weight:
    """One stored weight.

    Attributes:
        key: what tells it from others: a digest of its content.
        level: how it is stored, in words.
        bits: of one value.
        parameters: 0 where the same values counted already.
        stored_bytes: with scales and zero points.
        is_table: whether rows of it are looked up.
        sizes: of a matrix its outputs and inputs, in any order.
    """

    key: str
    level: str
    bits: int
    parameters: int
    stored_bytes: int
    is_table: bool
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Counted:
    """What one graph stores.

    Attributes:
        weights: every one that a rule reads.
        unread_bytes: of stored tensors that no rule reads, and that are none of those known to be
            no weights.
        copies_bytes: of matrices whose values counted already.
        once: how many equal vectors of a model that was never trained stand for others as well.
        once_parameters: values of those others.
    """

    weights: tuple[Weight, ...]
    unread_bytes: int
    copies_bytes: int
    once: int = 0
    once_parameters: int = 0


def count_weights(flat: FlatGraph, folder: Path) -> Counted:
    """Return what one graph stores whose data lies in `folder`."""
    packed: dict[str, PackedWeight] = {}
    for found in (*packed_weights(flat), *_cast_weights(flat, folder)):
        packed.setdefault(found.name, found)
    others = {other for weight in packed.values() for other in weight.others}
    scales = _late_scales(flat)
    floats = [
        name
        for name in (*flat.stored, *_constant_weights(flat))
        if name not in packed and name not in others and name not in scales
    ]
    counted = [_packed_weight(flat, weight, folder) for weight in packed.values()]
    names = list(packed)
    for name in floats:
        tensor = flat.tensor(name)
        assert tensor is not None
        if TYPES.get(tensor.data_type, (0, ""))[1] in FLOAT_LEVELS and is_weight(
            flat, name, folder
        ):
            counted.append(_float_weight(flat, name, tensor, folder))
            names.append(name)
    once = _count_once(flat, dict(zip(names, counted, strict=True)), packed, folder)
    weights = _bytes_once(flat, once, packed, scales)
    others_of = {name: _other_readers(flat, name, folder) for name in names if name not in packed}
    return Counted(
        weights,
        _unread_bytes(flat, {*names, *others, *scales}),
        sum(weight.stored_bytes for weight in weights if not weight.parameters),
        sum(others_of.values()),
        sum(once[name].parameters * count for name, count in others_of.items()),
    )


def _other_readers(flat: FlatGraph, name: str, folder: Path) -> int:
    """How many equal vectors one stands for, beside itself: exporters store equal tensors once.

    Before training all norms of a width are ones, and all biases zeros; after it no two are alike.
    """
    tensor = flat.tensor(name)
    assert tensor is not None
    if max(tensor.dims, default=0) != elements(tensor) or not _is_constant(tensor, folder):
        return 0
    return len(list(flat.uses(name))) - 1


def _cast_weights(flat: FlatGraph, folder: Path) -> Iterator[PackedWeight]:
    """Integers that plain operators make floats of: Cast, then differences and products.

    A mask of zeros and ones is none.
    """
    for name, tensor in (*flat.stored.items(), *flat.constants.items()):
        bits, kind = TYPES.get(tensor.data_type, (0, ""))
        if bits > 8 or not kind.lstrip("u").startswith("int") or elements(tensor) < SMALL_BYTES:
            continue
        uses = list(flat.uses(name, TABLE_PASSING))
        if not any(node.op in _FLOAT_OPS and not node.domain for node, _ in uses):
            continue
        if bits == 8 and int(stored_array(tensor, folder).reshape(-1)[:LOOKED_AT].max()) <= 1:
            continue
        outputs, inputs = reversed(tensor.dims) if len(tensor.dims) == 2 else (0, 0)
        others = tuple(dict.fromkeys(_factors(flat, name, elements(tensor))))
        level = f"int{bits} (Cast)"
        yield PackedWeight(
            name, others, "Cast", bits, 0, elements(tensor), level, outputs, inputs, False
        )


def _factors(flat: FlatGraph, name: str, values: int) -> Iterator[str]:
    """Names of the scales and zero points that a tensor of so many values meets on its way."""
    waiting = [name]
    for _ in range(_STEPS):
        reached = [use for each in waiting for use in flat.uses(each, TABLE_PASSING)]
        waiting = []
        for node, index in reached:
            if node.op not in ("Mul", "Sub", "Div", "Add"):
                continue
            other = flat.source(node.input(1 - index))
            tensor = flat.tensor(other)
            if tensor is not None and elements(tensor) * 4 <= values:
                yield other
                waiting.extend(node.outputs)


def _unread_bytes(flat: FlatGraph, known: Collection[str]) -> int:
    """Return the bytes of stored tensors that look like weights and that no rule reads."""
    places: dict[object, int] = {}
    for name, tensor in (*flat.stored.items(), *flat.constants.items()):
        if name in known or not flat.readers.get(name) or not _looks_like_weights(flat, name):
            continue
        place = external(tensor)
        key = name if place is None else (place.location, place.offset_bytes)
        places[key] = stored_bytes(tensor)
    return sum(places.values()) + flat.sparse_bytes


def _looks_like_weights(flat: FlatGraph, name: str) -> bool:
    """Whether a tensor that no rule reads may hold weights: by its type, size and readers.

    Floats are weights unless constants.is_weight knows better; whole numbers of 32 and 64 bits are
    sizes and places, but where an operator beyond the standard reads many of them, or bits are
    taken out of them (GPTQ's words of eight weights).
    """
    tensor = flat.tensor(name)
    assert tensor is not None
    if tensor.data_type == onnx.TensorProto.STRING or stored_bytes(tensor) < SMALL_BYTES:
        return False
    kind = TYPES.get(tensor.data_type, (0, ""))[1]
    if kind in FLOAT_LEVELS or kind == "bool":
        return False
    if kind in ("int32", "int64", "uint32", "uint64"):
        uses = list(flat.uses(name))
        if any(node.op in _BIT_OPS and index == 0 for node, index in uses):
            return True
        foreign = any(node.domain for node, _ in uses)
        return foreign and stored_bytes(tensor) >= MANY_BYTES
    uses = list(flat.uses(name))
    return not (uses and all(node.op == "Gather" and index == 1 for node, index in uses))


def combine(decoders: Iterable[tuple[Weight, ...]], encoder: tuple[Weight, ...]) -> list[Weight]:
    """Return the weights of several graphs of one model, each once.

    Two decoder graphs hold the same weights: of each content the larger number counts. An encoder
    shares the table of embeddings and nothing else.
    """
    total: list[Weight] = []
    for weights in decoders:
        known = [weight.key for weight in total]
        for weight in weights:
            if weight.key in known:
                known.remove(weight.key)
            else:
                total.append(weight)
    tables = {weight.key for weight in total if weight.is_table}
    return total + [weight for weight in encoder if weight.key not in tables]


def storages(weights: Iterable[Weight]) -> tuple[Storage, ...]:
    """Return the weights by how they are stored, most parameters first."""
    rows: dict[str, Storage] = {}
    for weight in weights:
        row = rows.get(weight.level, Storage(weight.level, weight.bits, 0, 0))
        rows[weight.level] = replace(
            row,
            parameters=row.parameters + weight.parameters,
            stored_bytes=row.stored_bytes + weight.stored_bytes,
        )
    return tuple(sorted(rows.values(), key=lambda row: -row.parameters))


def _constant_weights(flat: FlatGraph) -> list[str]:
    """Return the constants of two or more dimensions that a product or a look-up reads."""
    return [
        name
        for name, tensor in flat.constants.items()
        if len(tensor.dims) >= 2
        and any(_PRODUCTS.get(node.op) == index for node, index in flat.readers.get(name, ()))
    ]


def _late_scales(flat: FlatGraph) -> set[str]:
    """Return the scales that multiply what an integer product gave: beside that of its input."""
    found = set()
    for node in flat.nodes:
        if node.op != "Mul":
            continue
        for own, other in ((0, 1), (1, 0)):
            producer = flat.producers.get(node.input(other))
            if producer is None or producer.op != "DynamicQuantizeLinear":
                continue
            if node.input(other) == producer.outputs[1]:
                found.add(flat.source(node.input(own)))
    return found & flat.stored.keys()


def _packed_weight(flat: FlatGraph, weight: PackedWeight, folder: Path) -> Weight:
    """Return a quantized weight; its bytes come later."""
    tensor = flat.tensor(weight.name)
    assert tensor is not None
    key = digest(tensor, folder)
    table = _is_table(flat, weight.name)
    sizes = (weight.outputs, weight.inputs) if weight.outputs * weight.inputs else ()
    return Weight(key, weight.level, weight.bits, weight.parameters, 0, table, sizes)


def _float_weight(flat: FlatGraph, name: str, tensor: onnx.TensorProto, folder: Path) -> Weight:
    """Return a float weight; its bytes come later."""
    bits, kind = TYPES[tensor.data_type]
    table = _is_table(flat, name)
    key, values, sizes = digest(tensor, folder), elements(tensor), tuple(tensor.dims)
    return Weight(key, FLOAT_LEVELS[kind], bits, values, 0, table, sizes)


def _is_table(flat: FlatGraph, name: str) -> bool:
    """Whether rows of a tensor are looked up."""
    through = frozenset({"DequantizeLinear", "Cast", "Identity", "Reshape"})
    return any(node.op in TABLE_OPS and index == 0 for node, index in flat.uses(name, through))


def _count_once(
    flat: FlatGraph, weights: Mapping[str, Weight], packed: Mapping[str, PackedWeight], folder: Path
) -> dict[str, Weight]:
    """Return the weights with no parameters where the same values counted already."""
    done: dict[str, Weight] = {}
    seen: set[str] = set()
    tables = [
        matrix
        for name, weight in weights.items()
        if weight.is_table and (matrix := _matrix(flat, name, packed.get(name))) is not None
    ]
    for name, weight in weights.items():
        tensor = flat.tensor(name)
        assert tensor is not None
        repeated = weight.key in seen
        if len(tensor.dims) >= 2 and not _is_constant(tensor, folder):
            seen.add(weight.key)
        if not weight.is_table and not repeated:
            matrix = _matrix(flat, name, packed.get(name))
            repeated = matrix is not None and any(
                are_tied(matrix, table, folder) for table in tables
            )
        done[name] = replace(weight, parameters=0) if repeated else weight
    return done


def _is_constant(tensor: onnx.TensorProto, folder: Path) -> bool:
    """Whether all values are one: such matrices are alike without being shared."""
    values = stored_array(tensor, folder).reshape(-1)
    return bool((values[:4096] == values[0]).all())


def _matrix(flat: FlatGraph, name: str, packed: PackedWeight | None) -> Matrix | None:
    """Return a stored matrix as the operator that reads it sees it, or None: it is none."""
    tensor = flat.tensor(name)
    assert tensor is not None
    if packed is not None:
        return _packed_matrix(flat, tensor, packed)
    if len(tensor.dims) != 2:
        return None
    bits = TYPES[tensor.data_type][0]
    rows = _is_table(flat, name) or any(
        node.op == "Gemm" and index == 1 and node.whole("transB", 0)
        for node, index in flat.readers.get(name, ())
    )
    rows = rows or any(node.op == "Transpose" for node, _ in flat.readers.get(name, ()))
    outputs, inputs = tensor.dims if rows else reversed(tensor.dims)
    return Matrix(tensor, outputs, inputs, bits, 0, rows) if outputs * inputs else None


def _packed_matrix(
    flat: FlatGraph, tensor: onnx.TensorProto, packed: PackedWeight
) -> Matrix | None:
    """Return a quantized matrix as it is stored, or None: it is none, or no table of columns."""
    outputs, inputs, rows = packed.outputs, packed.inputs, packed.rows
    if _is_table(flat, packed.name) and not rows:
        outputs, inputs, rows = inputs, outputs, True
    whole = packed.bits in (2, 4, 8, 16) and packed.op != "MatMulBnb4"
    enough = stored_bytes(tensor) * 8 >= outputs * inputs * packed.bits
    if not outputs * inputs or not whole or not enough:
        return None
    return Matrix(tensor, outputs, inputs, packed.bits, packed.block, rows)


def _bytes_once(
    flat: FlatGraph,
    weights: Mapping[str, Weight],
    packed: Mapping[str, PackedWeight],
    scales: set[str],
) -> tuple[Weight, ...]:
    """Return the weights with their bytes; a place that two names share counts once."""
    seen: set[object] = set()

    def take(name: str) -> int:
        tensor = flat.tensor(name)
        if tensor is None:
            return 0
        place = external(tensor)
        key: object = name if place is None else (place.location, place.offset_bytes)
        if key in seen:
            return 0
        seen.add(key)
        return stored_bytes(tensor)

    done = []
    for name, weight in weights.items():
        others = packed[name].others if name in packed else ()
        done.append(replace(weight, stored_bytes=take(name) + sum(take(other) for other in others)))
    late = sum(take(name) for name in scales)
    for at, weight in enumerate(done):
        if late and weight.level.endswith("(MatMulInteger)"):
            done[at] = replace(weight, stored_bytes=weight.stored_bytes + late)
            break
    return tuple(done)
