"""Which provider the nodes of a graph were given to: the only sound proof of where it ran.

`get_providers()` is no evidence: several providers stay in that list with no node of their own.

ONNX Runtime's profile gives shares of the time, per provider and per operator. The durations are
those of the host's calls, of a session that the profile slows down: they say where the time goes,
never how long anything takes. A provider that compiles its part of a graph shows it as one
operator.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from harness.results.enums import PlacementVerdict
from harness.results.replies import OperatorShare, Placement, Profile, ProviderShare

# Operators that do the arithmetic of a model; all else is glue between them.
_STANDARD = """
Attention CausalConvWithState Conv ConvInteger ConvTranspose Einsum Gemm GRU LinearAttention LSTM
MatMul MatMulInteger QLinearConv QLinearMatMul RNN
"""
_MICROSOFT = """
DynamicQuantizeMatMul FusedConv FusedGemm FusedMatMul GatedDeltaNet GemmFastGelu
GroupQueryAttention MatMulBnb4 MatMulFpQ4 MatMulIntegerToFloat MatMulNBits MoE MultiHeadAttention
PackedAttention PackedMultiHeadAttention PagedAttention QAttention QGemm QMoE SparseAttention
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


Event = Mapping[str, Any]  # as ONNX Runtime writes it
TOP = 10


def warm_events(events: Sequence[Event], skip_share: float) -> list[Event]:
    """Leave the first runs of one session out: they warm up.

    Args:
        events: of one profile's JSON file; their times count from its session's beginning.
        skip_share: this part of the runs is left out.
    """
    runs = sorted(event["ts"] for event in events if event.get("name") == "model_run")
    counted = runs[int(len(runs) * skip_share) :]
    return [event for event in events if counted and event["ts"] >= counted[0]]


def shares(events: Sequence[Event]) -> Profile:
    """Add up the time of the nodes.

    Args:
        events: of the profiles of all sessions of a model.

    Returns:
        The TOP operators, and all providers; shares are of the time of all nodes.
    """
    per_provider: Counter[str] = Counter()
    per_operator: Counter[tuple[str, str]] = Counter()
    calls: Counter[tuple[str, str]] = Counter()
    for event in events:
        if event.get("cat") != "Node":
            continue
        provider = event.get("args", {}).get("provider")
        if provider:  # other entries of a node are its fences, without a provider
            operator = (provider, event["args"].get("op_name", event["name"]))
            per_provider[provider] += event["dur"]
            per_operator[operator] += event["dur"]
            calls[operator] += 1
    total_us = per_provider.total() or 1
    return Profile(
        runs=sum(event.get("name") == "model_run" for event in events),
        providers=tuple(
            ProviderShare(provider=name, share=us / total_us)
            for name, us in per_provider.most_common()
        ),
        operators=tuple(
            OperatorShare(
                provider=provider, operator=operator, share=us / total_us, calls=calls[key]
            )
            for key, us in per_operator.most_common(TOP)
            for provider, operator in [key]
        ),
    )
