"""How long a sequence a graph takes: rows of its tables of positions, frames of its sounds."""

from math import prod
from pathlib import Path

from harness.models.exported.flat import FlatGraph, FlatNode
from harness.models.exported.ports import Port
from harness.models.exported.tensors import elements, stored_array

_PASSING = frozenset(
    {"Cast", "Identity", "Unsqueeze", "Squeeze", "Expand", "Reshape", "Flatten", "Slice"}
)
_COUNTS = {"Range": 0, "CumSum": 1}  # operator -> where its count begins
_LONGEST_STEPS = 16  # from a table back to what counts; a longer way is none of positions
_SMALL_VALUES = 2**20  # of a stored count that is read


def position_limit(flat: FlatGraph, positions: frozenset[str], folder: Path) -> int | None:
    """Return the most tokens that every table of positions has a row for; None: it has none.

    A table is one of positions where its index is counted: by an input of positions, a range, a
    stored count, or a running sum over the mask, which begins at 1. What is added to the count is
    where positions begin: RoBERTa's at 2, so that 514 rows take 512 tokens.

    Args:
        flat: the graph.
        positions: names of inputs that number tokens.
        folder: of its data.
    """
    limits = []
    for node in flat.nodes:
        table = flat.tensor(flat.source(node.input(0))) if node.op == "Gather" else None
        if table is None or len(table.dims) != 2 or node.whole("axis", 0) != 0:
            continue
        first = _first_position(flat, node.input(1), positions, folder)
        if first is not None and 0 <= first < table.dims[0]:
            limits.append(table.dims[0] - first)
    return min(limits, default=None)


def frames_taken(flat: FlatGraph, features: Port | None, given: Port | None) -> int | None:
    """Return the frames of the one length that an encoder takes; None: any, or it is not told.

    One whose input is of any length and whose vectors are of one number takes as many frames as
    its convolutions, each by its stride, make that number of.

    Args:
        flat: the graph.
        features: a spectrogram, its input.
        given: the vectors that come out [batch, frames, width].
    """
    count = given.shape[1] if given is not None and given.rank == 3 and given.shape else None
    if features is None or not isinstance(count, int):
        return None
    strides = (node.whole("strides", 1) for node in flat.nodes if node.op == "Conv")
    return count * prod(strides)


def _first_position(
    flat: FlatGraph,
    name: str,
    positions: frozenset[str],
    folder: Path,
    steps: int = _LONGEST_STEPS,
    *,
    is_cut: bool = False,
) -> int | None:
    """Return the row of the first token; None where an index counts no tokens.

    A stored count is one of tokens only where it is cut to their number: used whole, as of the
    patches of a picture, it says nothing of a limit.
    """
    node = flat.producers.get(name)
    if name in positions:
        return 0
    if flat.tensor(name) is not None:
        return _first_counted(flat, name, folder) if is_cut else None
    if node is None or steps == 0:
        return None
    if node.op in _COUNTS:
        return _COUNTS[node.op] + (_added(flat, node.input(0), folder) if node.op == "Range" else 0)
    is_cut = is_cut or node.op == "Slice"
    for source, added in _sources(flat, node, folder):
        first = _first_position(flat, source, positions, folder, steps - 1, is_cut=is_cut)
        if first is not None:
            return first + added
    return None


def _added(flat: FlatGraph, name: str, folder: Path, steps: int = _LONGEST_STEPS) -> int:
    """Return what is added to a length where a range begins; 0 of a length alone."""
    number = _constant(flat, name, folder)
    node = flat.producers.get(flat.source(name))
    if number is not None or node is None or steps == 0 or node.op not in ("Add", "Sub"):
        return number or 0
    first, second = (_added(flat, node.input(place), folder, steps - 1) for place in (0, 1))
    return first + second if node.op == "Add" else first - second


def _sources(flat: FlatGraph, node: FlatNode, folder: Path) -> list[tuple[str, int]]:
    """Return what an operator hands on, and what it adds to it; empty of one that does more."""
    first, second = node.input(0), node.input(1)
    if node.op in ("Add", "Sub"):
        sign = 1 if node.op == "Add" else -1
        ways = [(first, sign, second), *([(second, 1, first)] if sign == 1 else [])]
        constants = [(way, sign, _constant(flat, other, folder)) for way, sign, other in ways]
        return [(way, sign * number) for way, sign, number in constants if number is not None]
    if node.op == "Mul":  # by the mask
        return [(first, 0), (second, 0)]
    return [(first, 0)] if node.op in _PASSING else []


def _constant(flat: FlatGraph, name: str, folder: Path) -> int | None:
    """Return a single stored number."""
    tensor = flat.tensor(flat.source(name))
    if tensor is None or elements(tensor) != 1:
        return None
    return int(stored_array(tensor, folder).reshape(-1)[0])


def _first_counted(flat: FlatGraph, name: str, folder: Path) -> int | None:
    """Return the first number of a stored count such as 0, 1, 2, ...; None where it is none."""
    tensor = flat.tensor(name)
    if tensor is None or not 2 <= elements(tensor) <= _SMALL_VALUES:
        return None
    values = stored_array(tensor, folder).reshape(-1)
    is_count = values.dtype.kind in "iu" and bool((values[1:] - values[:-1] == 1).all())
    return int(values[0]) if is_count else None
