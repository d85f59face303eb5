"""Profiles of the runtime -> shares."""

import pytest
from msgspec import to_builtins

from harness.devices.placement import TOP, shares, warm_events
from harness.results.replies import Profile

GPU, CPU = "WebGpuExecutionProvider", "CPUExecutionProvider"


def run(ts):
    return {"cat": "Session", "name": "model_run", "ts": ts, "dur": 9}


def node(ts, dur, provider, operator):
    return {
        "cat": "Node",
        "name": "n_kernel_time",
        "ts": ts,
        "dur": dur,
        "args": {"provider": provider, "op_name": operator},
    }


def test_shares_are_of_the_time_of_all_nodes():
    """60 + 20 of 100 us on the GPU; MatMul alone 60."""
    events = [run(0), node(1, 60, GPU, "MatMul"), node(2, 20, GPU, "Add"), node(3, 20, CPU, "Cast")]
    found = shares(events)
    assert found.runs == 1
    assert list(to_builtins(found.providers)) == [
        {"provider": GPU, "share": pytest.approx(0.8)},
        {"provider": CPU, "share": pytest.approx(0.2)},
    ]
    assert to_builtins(found.operators[0]) == {
        "provider": GPU,
        "operator": "MatMul",
        "share": pytest.approx(0.6),
        "calls": 1,
    }


def test_the_first_runs_warm_up():
    """Of 2 runs the first half is left out, with its compilation."""
    events = [run(0), node(1, 900, GPU, "MatMul"), run(10), node(11, 5, CPU, "Cast")]
    found = shares(warm_events(events, skip_share=0.5))
    assert found.runs == 1
    assert [entry.operator for entry in found.operators] == ["Cast"]


def test_only_the_largest_operators_are_kept():
    events = [run(0), *(node(1, 1 + index, CPU, f"Op{index}") for index in range(TOP + 3))]
    operators = shares(events).operators
    assert len(operators) == TOP
    assert operators[0].operator == f"Op{TOP + 2}"


def test_fences_of_a_node_are_no_time_of_it():
    fence = {
        "cat": "Node",
        "name": "n_fence_before",
        "ts": 1,
        "dur": 50,
        "args": {"op_name": "Add"},
    }
    assert shares([run(0), fence, node(2, 5, CPU, "Add")]).operators[0].calls == 1


def test_an_empty_profile_has_no_share():
    assert shares([]) == Profile()
