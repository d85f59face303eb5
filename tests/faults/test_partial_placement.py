"""Fault: a provider that takes a part of a graph and leaves the rest to the CPU.

What must remain true: how many nodes ran where is known, no number is taken of such a session, and
where --allow-fallback keeps it the operators that were left are in the record.
"""

from dataclasses import replace

import pytest

from harness.core.errors import EXIT_DEVICE
from harness.devices import session
from harness.devices.device import Device
from harness.devices.placement import place
from harness.devices.row import ProviderRow
from harness.devices.session import open_session
from harness.devices.states import FellBackError
from harness.results.schema import Reason, Trust
from harness.runner.loop.assemble import device_doubts, doubt
from tests.devices.small_graphs import write_relu

AZURE, CPU = "AzureExecutionProvider", "CPUExecutionProvider"
NODES = [(CPU, "MatMul", "product"), (AZURE, "Relu", "positive")]


@pytest.fixture
def partial(tmp_path, monkeypatch):
    """A graph, and a device of this build that is said to have taken one node of two."""
    monkeypatch.setattr(session, "_placement", lambda *_: place(NODES, AZURE))
    return write_relu(tmp_path / "model.onnx"), Device(ProviderRow("x", "npu", AZURE, "w", "fix"))


def test_it_is_refused_by_what_was_left(partial):
    graph, device = partial
    with pytest.raises(
        FellBackError, match=r"left operators to others: 1 MatMul \(PARTIAL\)"
    ) as no:
        open_session(graph, device, threads=1)
    assert no.value.exit_code == EXIT_DEVICE
    assert "--allow-fallback" in no.value.fix


def test_where_it_is_allowed_it_is_recorded_and_graded(partial):
    graph, device = partial
    opened = open_session(graph, replace(device, allow_fallback=True), threads=1)
    assert opened.placement.nodes == {CPU: 1, AZURE: 1}
    assert opened.placement.fell_off == {"MatMul": 1}
    trust = doubt(Trust(grade="A"), device_doubts(opened.placement, simulated=False))
    assert trust.grade != "A"
    assert trust.reasons == (
        Reason(code="PLACEMENT", detail="PARTIAL: nodes left to others: 1 MatMul"),
    )
