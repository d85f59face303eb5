"""The cached keys and values of a graph: sizes, types, and whether they may be written in place."""

from collections.abc import Mapping, Sequence

from harness.core.errors import ModelError
from harness.models.exported.flat import PASSING, FlatGraph
from harness.models.exported.names import CacheName
from harness.models.exported.ports import VALUE_BYTES, CacheLayout, CachePair, Port

IN_PLACE_OPS = frozenset({"GroupQueryAttention"})  # with past and present as one buffer
_LENGTH_AXIS = 2  # [batch, heads, length, width]


def cache_layout(
    flat: FlatGraph,
    past: Mapping[CacheName, Port],
    present: Mapping[CacheName, Port],
    head_dim: int | None,
) -> CacheLayout | None:
    """Return the layout of the cached tensors of a graph, or None: it has none.

    Args:
        flat: the graph.
        past: inputs by what their names say.
        present: outputs likewise.
        head_dim: as a configuration says it, for graphs that leave it free.

    Raises:
        ModelError: a past without its present, shapes that differ between layers, or no head size.
    """
    names = list(dict.fromkeys([*past, *present]))
    pairs = [_pair(name, past.get(name), present.get(name)) for name in names]
    own = tuple(pair for name, pair in zip(names, pairs, strict=True) if not name.cross)
    cross = tuple(pair for name, pair in zip(names, pairs, strict=True) if name.cross)
    if not own:
        return None
    has_past = any(pair.past for pair in own)
    lost = [pair for pair in own if pair.present is None or (has_past and pair.past is None)]
    if lost:
        raise ModelError(
            f"the cache of layer {lost[0].layer} has no {'output' if lost[0].past else 'input'}",
            fix="export the model again, with its cache",
        )
    ports = [past.get(name) or present[name] for name in names if not name.cross]
    heads, width = _sizes(ports, head_dim)
    types = {port.element_type for port in ports}
    if len(types) > 1 or not types <= VALUE_BYTES.keys():
        raise ModelError(
            f"its cache holds {', '.join(sorted(types))}",
            fix=f"supported: one of {', '.join(VALUE_BYTES)} in every layer",
        )
    return CacheLayout(own, cross, heads, width, types.pop(), has_past and _in_place(flat, own))


def _pair(name: CacheName, past: Port | None, present: Port | None) -> CachePair:
    """Return one cached tensor."""
    axis = _LENGTH_AXIS + (name.half == "both")  # [2, batch, heads, length, width]
    first, last = (None if port is None else port.name for port in (past, present))
    return CachePair(name.layer, name.half, first, last, length_axis=axis)


def _sizes(ports: Sequence[Port], head_dim: int | None) -> tuple[int, int]:
    """Return heads and width of the tensors, which must be those of every layer."""
    found = {_heads_and_width(port) for port in ports}
    if len(found) != 1:
        raise ModelError(
            "the caches of its layers have different shapes",
            fix="supported: the same number of heads and head size in every layer",
        )
    heads, width = found.pop()
    width = width if width is not None else head_dim
    if heads is None or not width or heads < 1:
        raise ModelError(
            "its graph leaves the shape of the cache open: heads or head size",
            fix="put the config.json or genai_config.json of the model beside it",
        )
    return heads, width


def _heads_and_width(port: Port) -> tuple[int | None, int | None]:
    """Return heads and width as a port says them; None for a free dimension."""
    shape = port.shape or ()
    if len(shape) not in (4, 5):
        raise ModelError(
            f"the cache {port.name!r} has {len(shape)} dimensions",
            fix="supported: [batch, heads, length, width]",
        )
    heads, width = shape[-3], shape[-1]
    return (heads if isinstance(heads, int) else None, width if isinstance(width, int) else None)


def _in_place(flat: FlatGraph, own: Sequence[CachePair]) -> bool:
    """Whether every past goes straight into an operator that gives its present in place."""
    for pair in own:
        readers = [node for node, _ in flat.readers.get(pair.past or "", ())]
        if len(readers) != 1 or readers[0].op not in IN_PLACE_OPS:
            return False
        if flat.source(pair.present or "", PASSING & {"Identity"}) not in readers[0].outputs:
            return False
    return True
