"""Verdicts over recorded assignments."""

import pytest

from harness.devices.placement import place, together
from harness.results.enums import PlacementVerdict

MINE, CPU = "QNNExecutionProvider", "CPUExecutionProvider"


def named(*pairs):
    """Nodes n0, n1, ... of (provider, operator)."""
    return [(owner, operator, f"n{place}") for place, (owner, operator) in enumerate(pairs)]


@pytest.mark.parametrize(
    ("assignment", "verdict", "proven"),
    [
        ([], PlacementVerdict.UNKNOWN, False),
        ([(CPU, "MatMul"), (CPU, "Add")], PlacementVerdict.FELL_BACK, False),
        ([(MINE, "Add"), (CPU, "MatMul")], PlacementVerdict.PARTIAL, False),
        ([(MINE, "MatMulNBits"), (CPU, "GroupQueryAttention")], PlacementVerdict.PARTIAL, False),
        ([(MINE, "MatMul"), (CPU, "Shape"), (CPU, "Gather")], PlacementVerdict.FULL_COMPUTE, True),
        ([(MINE, "MatMul"), (MINE, "Add")], PlacementVerdict.FULL, True),
    ],
)
def test_verdict(assignment, verdict, proven):
    placement = place(named(*assignment), MINE)
    assert (placement.verdict, placement.proven) == (verdict, proven)


def test_counts_are_per_provider():
    """3 nodes of ours, 2 of them compute; one glue node on the CPU, which has no compute."""
    assignment = named((MINE, "MatMul"), (MINE, "Gemm"), (MINE, "Add"), (CPU, "Shape"))
    placement = place(assignment, MINE)
    assert placement.nodes == {MINE: 3, CPU: 1}
    assert placement.compute_nodes == {MINE: 2}


def test_what_fell_off_is_counted_by_operator_most_first():
    assignment = named((CPU, "Cast"), (CPU, "Shape"), (CPU, "Cast"), (MINE, "MatMul"))
    assert list(place(assignment, MINE).fell_off.items()) == [("Cast", 2), ("Shape", 1)]


@pytest.mark.parametrize(
    ("order", "switches"),
    [
        (["n0", "n1", "n2", "n3"], 3),  # ours, CPU, ours, CPU
        (["n0", "n2", "n1", "n3"], 1),  # ours, ours, CPU, CPU
        (["n0", "gone", "n2", "n1"], 1),  # what optimisation removed is passed over
        (None, None),
    ],
)
def test_switches_are_counted_along_the_file(order, switches):
    assignment = named((MINE, "MatMul"), (CPU, "Cast"), (MINE, "Add"), (CPU, "Shape"))
    assert place(assignment, MINE, order).switches == switches


def test_one_provider_never_switches():
    assert place(named((MINE, "MatMul"), (MINE, "Add")), MINE).switches == 0


PART = place(named((MINE, "MatMul"), (CPU, "Gemm")), MINE, ["n0", "n1"])
WHOLE = place(named((MINE, "MatMul"), (MINE, "Add")), MINE)
GLUE = place(named((MINE, "MatMul"), (CPU, "Cast")), MINE)
NOTHING = place(named((CPU, "MatMul")), MINE)


@pytest.mark.parametrize(
    ("placements", "verdict"),
    [
        ([WHOLE], PlacementVerdict.FULL),
        ([WHOLE, GLUE], PlacementVerdict.FULL_COMPUTE),
        ([PART, GLUE], PlacementVerdict.PARTIAL),
        ([WHOLE, NOTHING], PlacementVerdict.PARTIAL),
        ([NOTHING, NOTHING], PlacementVerdict.FELL_BACK),
        ([WHOLE, place([], MINE)], PlacementVerdict.UNKNOWN),
    ],
)
def test_the_graphs_of_one_model_are_as_good_as_the_worst(placements, verdict):
    """One that fell back beside one that did not is no whole that fell back."""
    assert together(placements).verdict is verdict


def test_counts_of_several_graphs_add_up():
    found = together([PART, WHOLE, NOTHING])
    assert found.nodes == {MINE: 3, CPU: 2}
    assert found.compute_nodes == {MINE: 2, CPU: 2}
    assert found.fell_off == {"Gemm": 1, "MatMul": 1}
    assert found.switches == 1


def test_switches_of_which_some_are_not_known_are_not_known():
    assert together([WHOLE, place(named((MINE, "Add"), (CPU, "Cast")), MINE)]).switches is None
