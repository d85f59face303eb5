"""Which provider the nodes of a graph were given to: the only sound proof of where it ran.

`get_providers()` is no evidence: several providers stay in that list with no node of their own.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from harness.results.enums import PlacementVerdict
from harness.results.replies import Placement

# Operators that do the arithmetic of a model; all else is glue between them.
_STANDARD = """
Attention Conv ConvInteger ConvTranspose Einsum Gemm GRU LSTM MatMul MatMulInteger QLinearConv
QLinearMatMul RNN
"""
_MICROSOFT = """
DynamicQuantizeMatMul FusedConv FusedGemm FusedMatMul GemmFastGelu GroupQueryAttention MatMulBnb4
MatMulFpQ4 MatMulIntegerToFloat MatMulNBits MoE MultiHeadAttention PackedAttention
PackedMultiHeadAttention PagedAttention QAttention QGemm QMoE SparseAttention
"""
COMPILED = "EPContext"  # a part of a graph that a provider compiled earlier; only it can run it
COMPUTE_OPERATORS = frozenset((*_STANDARD.split(), *_MICROSOFT.split(), COMPILED))

Node = tuple[str, str, str]  # provider, operator, name


def recorded_nodes(session: Any) -> list[Node]:
    """Ask an open `onnxruntime.InferenceSession` that recorded its assignment.

    Args:
        session: opened with `session.record_ep_graph_assignment_info` set to 1.
    """
    return [
        (part.ep_name, node.op_type, node.name)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    ]


def place(
    assignment: Iterable[Node], provider: str, file_order: Sequence[str] | None = None
) -> Placement:
    """Count nodes and judge them.

    Args:
        assignment: one entry per node.
        provider: the provider that should have the nodes.
        file_order: names of the graph's nodes, sorted so that none reads a later one; None: not
            known.
    """
    nodes: Counter[str] = Counter()
    compute_nodes: Counter[str] = Counter()
    fell_off: Counter[str] = Counter()
    owners: dict[str, str] = {}
    for owner, operator, name in assignment:
        nodes[owner] += 1
        compute_nodes[owner] += operator in COMPUTE_OPERATORS
        fell_off[operator] += owner != provider
        owners[name] = owner
    return Placement(
        verdict=_verdict(nodes, compute_nodes, provider),
        nodes=dict(nodes),
        compute_nodes=dict(+compute_nodes),
        switches=_switches(owners, nodes, file_order),
        fell_off=dict((+fell_off).most_common()),
    )


def together(placements: Sequence[Placement]) -> Placement:
    """Add up the placements of the graphs of one model; FULL only where each of them is.

    Args:
        placements: of at least one graph.
    """
    switches = [placement.switches for placement in placements]
    known = [count for count in switches if count is not None]
    return Placement(
        verdict=_worst([placement.verdict for placement in placements]),
        nodes=_sums([placement.nodes for placement in placements]),
        compute_nodes=_sums([placement.compute_nodes for placement in placements]),
        switches=sum(known) if len(known) == len(switches) else None,
        fell_off=_sums([placement.fell_off for placement in placements]),
    )


def _sums(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Counts added up by name, the most first."""
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(total.most_common())


def _worst(verdicts: Sequence[PlacementVerdict]) -> PlacementVerdict:
    """The worst of several; one graph of several that fell back leaves the whole PARTIAL."""
    worst = max(verdicts, key=list(PlacementVerdict).index)
    if worst is PlacementVerdict.FELL_BACK and len(set(verdicts)) > 1:
        return PlacementVerdict.PARTIAL
    return worst


def _switches(
    owners: Mapping[str, str], nodes: Counter[str], file_order: Sequence[str] | None
) -> int | None:
    """Changes of provider along the file; nodes that optimisation took away are passed over."""
    if len(nodes) == 1:
        return 0
    if not nodes or file_order is None:
        return None
    along = [owners[name] for name in file_order if name in owners]
    return sum(before != after for before, after in pairwise(along))


def _verdict(nodes: Counter[str], compute_nodes: Counter[str], provider: str) -> PlacementVerdict:
    """The first of the verdicts, worst first, that the counts support."""
    if not nodes:
        return PlacementVerdict.UNKNOWN
    if not nodes[provider]:
        return PlacementVerdict.FELL_BACK
    if nodes[provider] == nodes.total():
        return PlacementVerdict.FULL
    if compute_nodes[provider] == compute_nodes.total():
        return PlacementVerdict.FULL_COMPUTE
    return PlacementVerdict.PARTIAL
