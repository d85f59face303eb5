"""What a graph keeps between its runs: keys, values and states, their sizes, how they are written.

Names first: every exporter's patterns are in `names`. What they do not tell, the graph does: an
input and an output of equal type and rank are one tensor, of several the pair that lies nearest in
the graph. A dimension that is free and no batch counts tokens; without one it is a state.
"""

import re
from collections.abc import Mapping, Sequence

from harness.core.errors import ModelError
from harness.models.exported.flat import PASSING, FlatGraph
from harness.models.exported.names import STATE_WORDS, CacheName
from harness.models.exported.ports import VALUE_BYTES, CacheLayout, CachePair, Dimension, Port

# Operators that write past and present as one buffer. Source: the schemas of com.microsoft, opset
# 24 of ai.onnx, and their CPU kernels in ONNX Runtime 1.32.
IN_PLACE_OPS = frozenset({"GroupQueryAttention", "TensorScatter"})
SCATTER = "TensorScatter"
_LENGTH_AXES = {3: 1, 4: 2, 5: 3}  # by rank: [batch, heads, length, width], [2, batch, heads, ...
_MOST_DIMENSIONS = 6  # [layers, 2, batch, heads, length, width]
_KEYS_AND_VALUES = ("key", "value", "both")
_FAR = 99  # nodes from a present back to a past that is not found before it
_LONGEST_WAY = 16
_TELLING = re.compile(r"past|present|cache|state|conv|recurrent|ssm|mem", re.IGNORECASE)

Caches = Mapping[CacheName, Port]


def cache_layout(
    flat: FlatGraph, past: Caches, present: Caches, head_dim: int | None
) -> CacheLayout | None:
    """Return the layout of the cached tensors of a graph, or None: it has none that can be fed.

    An encoder may have outputs alone: the keys and values that a decoder looks at.

    Args:
        flat: the graph.
        past: inputs by what their names, or their places in the graph, say.
        present: outputs likewise.
        head_dim: as a configuration says it, for graphs that leave it free.

    Raises:
        ModelError: a past without its present, a type of values, or a size that nothing says.
    """
    names = list(dict.fromkeys([*past, *present]))
    _refuse_lost(past, present)
    if any(_is_fixed_to_lengths(past.get(name), present.get(name)) for name in names):
        return None
    pairs = {name: _pair(flat, name, past, present, head_dim) for name in names}
    own = tuple(pair for name, pair in pairs.items() if not name.cross)
    cross = tuple(pair for name, pair in pairs.items() if name.cross)
    if not own:
        given = tuple(pair for pair in cross if pair.past is None)
        return CacheLayout((), given, shares_buffer=False) if given and not past else None
    has_past = any(pair.past for pair in own)
    return CacheLayout(own, cross, shares_buffer=has_past and _in_place(flat, own))


def paired_by_shape(
    flat: FlatGraph, inputs: Sequence[Port], outputs: Sequence[Port]
) -> tuple[dict[CacheName, Port], dict[CacheName, Port]]:
    """Return pasts and presents among ports whose names no pattern knows.

    Of every input and output of one type, rank and sizes, those pair first whose present lies the
    fewest nodes behind the past; between equal ones numbers and letters of the names tell. Without
    a way from one to the other, as through the branches of an If, the names must speak of a cache.
    """
    candidates = []
    for into, first in enumerate(inputs):
        for out, last in enumerate(outputs):
            if not _may_pair(first, last):
                continue
            nodes = _nodes_between(flat, first.name, last.name)
            if nodes < _FAR or (_TELLING.search(first.name) and _TELLING.search(last.name)):
                unlike = _numbers(first.name) != _numbers(last.name)
                unlike_letters = -_alike(first.name, last.name)
                candidates.append((nodes, unlike, unlike_letters, into, out))
    past: dict[CacheName, Port] = {}
    present: dict[CacheName, Port] = {}
    taken: set[int] = set()
    order: dict[int, int] = {}
    for _, _, _, into, out in sorted(candidates):
        if into not in order and out not in taken:
            order[into] = out
            taken.add(out)
    for into in sorted(order):
        first, last = inputs[into], outputs[order[into]]
        numbers = _numbers(first.name)
        name = CacheName(numbers[0] if numbers else into, first.name, cross=False)
        past[name], present[name] = first, last
    return past, present


def _refuse_lost(past: Caches, present: Caches) -> None:
    """Refuse one of the decoder's own caches that goes in and does not come out, or vice versa."""
    has_past = any(not name.cross for name in past)
    lost_out = next((name for name in past if not name.cross and name not in present), None)
    lost_in = next((name for name in present if not name.cross and name not in past), None)
    lost = lost_out or (lost_in if has_past else None)
    if lost is not None:
        raise ModelError(
            f"the cache of layer {lost.layer} has no {'output' if lost is lost_out else 'input'}",
            fix="export the model again, with its cache",
        )


def _is_fixed_to_lengths(past: Port | None, present: Port | None) -> bool:
    """Whether a cache goes in with one fixed length and comes out with another.

    Such a graph is one step at one depth: what it gives cannot be fed to it again.
    """
    pairs = zip((past and past.shape) or (), (present and present.shape) or (), strict=False)
    return any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in pairs)


def _pair(
    flat: FlatGraph, name: CacheName, past: Caches, present: Caches, head_dim: int | None
) -> CachePair:
    """Return one cached tensor with the sizes that either end of it states."""
    into, out = past.get(name), present.get(name)
    ports = [port for port in (into, out) if port is not None]
    shape = _either(ports)
    batch_axis, length_axis = _axes(flat, name, ports, shape)
    sizes = _sizes(name, ports[0], shape, {batch_axis, length_axis}, head_dim)
    sizes[batch_axis] = 0
    kinds = {port.element_type for port in ports}
    if len(kinds) > 1 or not kinds <= VALUE_BYTES.keys():
        raise ModelError(
            f"its cache holds {', '.join(sorted(kinds))}",
            fix=f"supported: one of {', '.join(VALUE_BYTES)} in a layer",
        )
    first, last = (None if port is None else port.name for port in (into, out))
    kind = kinds.pop()
    window = _window(flat, first)
    return CachePair(
        name.layer, name.half, first, last, tuple(sizes), kind, batch_axis, length_axis, window
    )


def _window(flat: FlatGraph, past: str | None) -> int | None:
    """Return how many last tokens the operator of a cache keeps, where it evicts others."""
    readers = [node for node, _ in flat.readers.get(past or "", ())]
    sizes = [n.whole("local_window_size", 0) for n in readers if n.whole("sliding_window_cache", 0)]
    return max(sizes, default=None)


def _either(ports: Sequence[Port]) -> list[Dimension]:
    """Return the sizes that the past or the present states; of the past where both leave it open.

    Raises:
        ModelError: no shape at all, or a number of dimensions that no cache has.
    """
    shapes = [port.shape for port in ports if port.shape is not None]
    if not shapes or not 2 <= len(shapes[0]) <= _MOST_DIMENSIONS or len(set(map(len, shapes))) > 1:
        raise ModelError(
            f"the cache {ports[0].name!r} has"
            f" {f'{len(shapes[0])} dimensions' if shapes else 'no shape'}",
            fix="supported: [batch, heads, length, width], or a state of fixed size",
        )
    return [
        next((size for size in sizes if isinstance(size, int)), sizes[0])
        for sizes in zip(*shapes, strict=True)
    ]


def _axes(
    flat: FlatGraph, name: CacheName, ports: Sequence[Port], shape: Sequence[Dimension]
) -> tuple[int, int | None]:
    """Return the dimension of the sequences, and that of the tokens or None."""
    rank = len(shape)
    batch_axis = 1 if name.half == "both" else 0
    free = [axis for axis, size in enumerate(shape) if isinstance(size, str)]
    moved = [axis for axis in free if len({(port.shape or ())[axis] for port in ports}) > 1]
    if name.half in _KEYS_AND_VALUES:
        usual = _LENGTH_AXES.get(rank)
        still = [axis for axis in free if axis not in moved]
        if moved == [0] and still and not _is_unnamed(ports, 0):
            return still[0], 0  # the tokens come first
        others = [axis for axis in free if axis != batch_axis]
        if name.cross or usual in others or not others:
            return batch_axis, _scattered_axis(flat, ports, rank) or usual
        return batch_axis, others[0]
    named = [axis for axis in moved if not _is_unnamed(ports, axis)]
    batch_axis = next((axis for axis in free if axis not in named), 0)
    found = [axis for axis in (named or free) if axis != batch_axis]
    if not found or name.half in STATE_WORDS:
        return batch_axis, _scattered_axis(flat, ports, rank)
    return batch_axis, found[0]


def _is_unnamed(ports: Sequence[Port], axis: int) -> bool:
    """Whether a free dimension has no name of its own; see Port."""
    return any((port.shape or ())[axis] == f"{port.name}[{axis}]" for port in ports)


def _scattered_axis(flat: FlatGraph, ports: Sequence[Port], rank: int) -> int | None:
    """Return the dimension in which TensorScatter writes; None: nothing is written by place."""
    for node, index in flat.readers.get(ports[0].name, ()):
        if node.op == SCATTER and index == 0:
            return node.whole("axis", -2) % rank
    return None


def _sizes(
    name: CacheName,
    port: Port,
    shape: Sequence[Dimension],
    counted: set[int | None],
    head_dim: int | None,
) -> list[int]:
    """Return the sizes of a tensor; 0 for a counted dimension that is free.

    Raises:
        ModelError: another dimension that neither the graph nor a configuration gives.
    """
    sizes = []
    for axis, size in enumerate(shape):
        known: int | None = size if isinstance(size, int) else None
        if axis in counted:
            known = known or 0
        elif known is None and name.half == "both" and axis == 0:
            known = 2
        elif known is None and axis == len(shape) - 1:
            known = head_dim
        if known is None or (known < 1 and axis not in counted):
            raise ModelError(
                f"its graph leaves the shape of the cache open: {shape[axis]!r} of {port.name!r},"
                " heads or head size",
                fix="put the config.json or genai_config.json of the model beside it",
            )
        sizes.append(known)
    return sizes


def _in_place(flat: FlatGraph, own: Sequence[CachePair]) -> bool:
    """Whether every past goes straight into an operator that gives its present in place."""
    for pair in own:
        readers = [node for node, _ in flat.readers.get(pair.past or "", ())]
        if len(readers) != 1 or readers[0].op not in IN_PLACE_OPS or pair.length_axis is None:
            return False
        if flat.source(pair.present or "", PASSING & {"Identity"}) not in readers[0].outputs:
            return False
    return True


def _may_pair(past: Port, present: Port) -> bool:
    """Whether two ports can be one tensor: type, rank, and every size that both state."""
    if past.element_type != present.element_type or past.element_type not in VALUE_BYTES:
        return False
    if past.shape is None or present.shape is None or past.rank != present.rank:
        return False
    is_named = bool(_TELLING.search(past.name))
    if not 2 <= len(past.shape) <= _MOST_DIMENSIONS or (len(past.shape) == 2 and not is_named):
        return False
    pairs = list(zip(past.shape, present.shape, strict=True))
    return all(a == b or isinstance(a, str) or isinstance(b, str) for a, b in pairs)


def _nodes_between(flat: FlatGraph, past: str, present: str) -> int:
    """Return the fewest nodes from a past to its present; _FAR: there is no short way."""
    border, seen = {present}, {present}
    for nodes in range(_LONGEST_WAY):
        if past in border:
            return nodes
        producers = [flat.producers[name] for name in border if name in flat.producers]
        border = {name for node in producers for name in node.inputs if name} - seen
        seen |= border
    return _FAR


def _numbers(name: str) -> list[int]:
    """Return the numbers in a name."""
    return [int(number) for number in re.findall(r"\d{1,6}", name)]


def _alike(one: str, other: str) -> int:
    """Return how many words two names share, so that keys go with keys and values with values."""
    first, last = (set(re.split(r"[^a-z]+", name.lower())) for name in (one, other))
    return len(first & last)
