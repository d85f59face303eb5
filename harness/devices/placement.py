"""Which provider the nodes of a graph were given to: the only sound proof of where it ran.

`get_providers()` is no evidence: several providers stay in that list with no node of their own.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

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
COMPUTE_OPERATORS = frozenset(_STANDARD.split() + _MICROSOFT.split())


class Verdict(StrEnum):
    """How much of a graph the wanted provider took.

    FULL: every node. FULL_COMPUTE: every compute node. PARTIAL: some compute node ran elsewhere.
    FELL_BACK: no node. UNKNOWN: nothing was recorded.
    """

    FULL = "FULL"
    FULL_COMPUTE = "FULL_COMPUTE"
    PARTIAL = "PARTIAL"
    FELL_BACK = "FELL_BACK"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a session's nodes are.

    Attributes:
        verdict: how much the wanted provider took.
        nodes: nodes per provider, before the late fusions of the CPU provider.
        compute_nodes: compute nodes per provider.
    """

    verdict: Verdict
    nodes: dict[str, int]
    compute_nodes: dict[str, int]


def read_placement(session: Any, provider: str) -> Placement:
    """Ask an open `onnxruntime.InferenceSession` that recorded its assignment.

    Args:
        session: opened with `session.record_ep_graph_assignment_info` set to 1.
        provider: the provider that should have the nodes.
    """
    return place(
        (
            (part.ep_name, node.op_type)
            for part in session.get_provider_graph_assignment_info()
            for node in part.get_nodes()
        ),
        provider,
    )


def place(assignment: Iterable[tuple[str, str]], provider: str) -> Placement:
    """Count pairs of (provider, operator) and judge them.

    Args:
        assignment: one pair per node.
        provider: the provider that should have the nodes.
    """
    nodes: Counter[str] = Counter()
    compute_nodes: Counter[str] = Counter()
    for owner, operator in assignment:
        nodes[owner] += 1
        compute_nodes[owner] += operator in COMPUTE_OPERATORS
    return Placement(_verdict(nodes, compute_nodes, provider), dict(nodes), dict(+compute_nodes))


def _verdict(nodes: Counter[str], compute_nodes: Counter[str], provider: str) -> Verdict:
    """The first of the verdicts, worst first, that the counts support."""
    if not nodes:
        return Verdict.UNKNOWN
    if not nodes[provider]:
        return Verdict.FELL_BACK
    if nodes[provider] == nodes.total():
        return Verdict.FULL
    if compute_nodes[provider] == compute_nodes.total():
        return Verdict.FULL_COMPUTE
    return Verdict.PARTIAL
