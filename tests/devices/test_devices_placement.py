"""Verdicts over recorded assignments."""

import pytest

from harness.devices.placement import Verdict, place

MINE, CPU = "QNNExecutionProvider", "CPUExecutionProvider"


@pytest.mark.parametrize(
    ("assignment", "verdict"),
    [
        ([], Verdict.UNKNOWN),
        ([(CPU, "MatMul"), (CPU, "Add")], Verdict.FELL_BACK),
        ([(MINE, "Add"), (CPU, "MatMul")], Verdict.PARTIAL),
        ([(MINE, "MatMulNBits"), (CPU, "GroupQueryAttention")], Verdict.PARTIAL),
        ([(MINE, "MatMul"), (CPU, "Shape"), (CPU, "Gather")], Verdict.FULL_COMPUTE),
        ([(MINE, "MatMul"), (MINE, "Add")], Verdict.FULL),
    ],
)
def test_verdict(assignment, verdict):
    assert place(assignment, MINE).verdict is verdict


def test_counts_are_per_provider():
    """3 nodes of ours, 2 of them compute; one glue node on the CPU, which has no compute."""
    assignment = [(MINE, "MatMul"), (MINE, "Gemm"), (MINE, "Add"), (CPU, "Shape")]
    placement = place(assignment, MINE)
    assert placement.nodes == {MINE: 3, CPU: 1}
    assert placement.compute_nodes == {MINE: 2}
