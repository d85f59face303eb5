"""What is stored beside the weights and is none: tables of angles, masks, sizes."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from harness.models.exported.flat import PASSING, FlatGraph, FlatNode
from harness.models.exported.tensors import elements, stored_array

# operator -> input indices that hold angles, factors of a picture's size, ranges of activations
_NO_WEIGHTS: dict[str, tuple[int, ...]] = {
    "GroupQueryAttention": (7, 8, 12, 13),  # angles, and the scales of quantized caches
    "RotaryEmbedding": (1, 2, 3),
    "GemmaRotaryEmbedding": (0, 1, 2, 3, 4),
    "Resize": (1, 2, 3),
    "QuantizeLinear": (1, 2),
    "Pad": (1, 2, 3),
    "Clip": (1, 2),
    "Range": (0, 1, 2),
}
TO_ANGLES = PASSING | {
    "Expand",
    "Mul",
    "Div",
    "MatMul",
    "Einsum",
    "Concat",
    "Slice",
    "Tile",
    "Pow",
}
_LONGEST_MASK = 2**24  # values read to tell a mask; a longer one is taken for a weight
HIDDEN = -1e4  # what a mask adds where attention may not look is at most this


def is_weight(flat: FlatGraph, name: str, folder: Path) -> bool:
    """Whether a stored float tensor was trained.

    It was, unless one of these holds:

    1. nothing reads it;
    2. it is one value, but for the temperature that an Exp reads (CLIP);
    3. it is only read as angles, sizes or ranges (cos and sin caches, Resize, Clip);
    4. it only leads to Cos and Sin: the rotary frequencies;
    5. it is a table of the cosines or sines of angles: its first row is that of angle 0, and its
       second begins with that of angle 1;
    6. it is a mask: a square of zeros and of values of at most HIDDEN, or a triangle of ones;
    7. it is a scale or zero point between floats and a cache of integers, or another activation.
    """
    tensor = flat.tensor(name)
    readers = flat.readers.get(name, [])
    if tensor is None or not readers or not elements(tensor):
        return False
    if elements(tensor) == 1:
        return name in flat.stored and any(node.op == "Exp" for node, _ in readers)
    uses = list(flat.uses(name))
    if uses and all(
        index in _NO_WEIGHTS.get(node.op, ()) or _scales_activation(flat, node, index)
        for node, index in uses
    ):
        return False
    ends = {node.op for node, _ in flat.uses(name, TO_ANGLES)}
    if ends and ends <= {"Cos", "Sin"}:
        return False
    return not _is_table_of_angles(tensor, folder) and not _is_mask(tensor, folder)


def _scales_activation(flat: FlatGraph, node: FlatNode, index: int) -> bool:
    """Rule 7: by DequantizeLinear, or written out as Div, Round, Cast and Cast, Mul.

    What is scaled must be no stored tensor: scales of those are how weights are stored.
    """
    other = node.input(1 - index) if index < 2 else ""
    if node.op == "DequantizeLinear":
        return index > 0 and flat.tensor(flat.source(node.input(0))) is None
    if node.op == "Div":
        return index == 1 and any(user.op == "Round" for user, _ in flat.uses(node.outputs[0]))
    producer = flat.producers.get(other)
    if node.op != "Mul" or producer is None or producer.op != "Cast":
        return False
    kept = flat.source(other, PASSING | {"Concat", "TensorScatter"})  # of a cache its past
    return kept not in flat.producers and flat.tensor(kept) is None


def _is_table_of_angles(tensor: onnx.TensorProto, folder: Path) -> bool:
    """Rule 5: rows [position, angle], one per position."""
    dims = [size for size in tensor.dims if size != 1]
    if len(dims) != 2 or dims[0] < 2:
        return False
    head = stored_array(tensor, folder).reshape(dims)[:2].astype(np.float64)
    first, second = head[0], float(head[1][0])
    near = 2e-3  # half precision
    cosines = bool(np.all(np.abs(first - 1) < near)) and abs(second - np.cos(1)) < near
    sines = bool(np.all(np.abs(first) < near)) and abs(second - np.sin(1)) < near
    return cosines or sines


def _is_mask(tensor: onnx.TensorProto, folder: Path) -> bool:
    """Rule 6."""
    dims = [size for size in tensor.dims if size != 1]
    if len(dims) != 2 or dims[0] != dims[1] or elements(tensor) > _LONGEST_MASK:
        return False
    stored = stored_array(tensor, folder).reshape(dims)
    first = stored[0].astype(np.float32)
    if not np.all((first == 0) | (first == 1) | (first <= HIDDEN)):  # most matrices end here
        return False
    values: NDArray[Any] = stored.astype(np.float32)
    if np.array_equal(values, np.tri(dims[0], dtype=np.float32)):
        return True
    seen, hidden = values == 0, values <= HIDDEN
    return bool(seen.any() and hidden.any() and np.all(seen | hidden))
