"""How much of attention's scores a graph holds at once, where it is written out.

Between the product of queries and keys and that with values stand operators that each take a
matrix of all scores and give another. ONNX Runtime allocates what a node gives before it drops what
the node took. One of truths takes the place of one of floats: the arena splits a free block for it,
and what is left of that holds no further matrix.
"""

from collections.abc import Iterator, Set

from harness.models.exported.flat import FlatGraph, FlatNode

POINTWISE = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Max", "Min", "Clip", "Tanh", "Cast", "Identity", "Where"),
        *("IsNaN", "IsInf", "Not", "And", "Or", "Equal", "Greater", "Less", "Dropout", "Softmax"),
    }
)
MOST_STEPS = 16  # from a softmax to either product; a longer way is none of attention


def score_arrays(flat: FlatGraph) -> int:
    """Return the most arrays of all scores that live at once; 0: attention is no such chain.

    Where makes two more while it runs, of what is taken and of what is not: seen with
    onnxruntime 1.32.0 on the CPU.
    """
    softmaxes = (node for node in flat.nodes if node.op == "Softmax" and not node.domain)
    return max((_most(flat, node) for node in softmaxes), default=0)


def _most(flat: FlatGraph, softmax: FlatNode) -> int:
    """The most arrays around one softmax; 0: no product of activations stands on both sides."""
    before, after = _before(flat, softmax.input(0)), _after(flat, softmax.outputs[0])
    if before is None or after is None:
        return 0
    chain = [*before, softmax, *after]
    wide = {softmax.input(0), *(node.outputs[0] for node in chain)}
    named = (name for node in before for name in node.inputs)
    wide |= {name for name in named if _is_product(flat.producers.get(name), flat)}
    return max(_living(node, wide) for node in chain)


def _living(node: FlatNode, wide: Set[str]) -> int:
    """Arrays that live while a node runs: what it takes, what it makes besides, what it gives."""
    besides = 0
    if node.op == "Where":
        condition, *parts = node.inputs
        besides = sum(condition in wide or part in wide for part in parts)
    return len(wide & {*node.inputs}) + besides + 1


def _before(flat: FlatGraph, name: str) -> list[FlatNode] | None:
    """Pointwise nodes from the product of queries and keys to a name; None: there is none."""
    ways: list[tuple[str, tuple[FlatNode, ...]]] = [(name, ())]
    seen = {name}
    while ways:
        here, way = ways.pop()
        node = flat.producers.get(here)
        if _is_product(node, flat):
            return list(way)
        if node is None or node.op not in POINTWISE or len(way) == MOST_STEPS:
            continue
        for other in node.inputs:
            if other not in seen:
                seen.add(other)
                ways.append((other, (*way, node)))
    return None


def _after(flat: FlatGraph, name: str) -> list[FlatNode] | None:
    """Pointwise nodes from a name to the product with values; None: there is none."""
    found: list[FlatNode] = []
    waiting, is_attention = [name], False
    while waiting and len(found) <= MOST_STEPS:
        for node in _readers(flat, waiting.pop()):
            is_attention |= _is_product(node, flat)
            if node.op in POINTWISE and node not in found:
                found.append(node)
                waiting.append(node.outputs[0])
    return found if is_attention else None


def _readers(flat: FlatGraph, name: str) -> Iterator[FlatNode]:
    """Nodes that take a name."""
    return (node for node, _ in flat.readers.get(name, ()))


def _is_product(node: FlatNode | None, flat: FlatGraph) -> bool:
    """Whether a node multiplies two arrays, neither of which is stored."""
    if node is None or node.op not in ("MatMul", "FusedMatMul"):
        return False
    return not any(flat.tensor(flat.source(name)) for name in node.inputs)
