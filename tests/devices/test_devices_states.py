"""Every state that `bench devices` can print is reached by the code that finds it."""

from types import SimpleNamespace

import numpy as np
import pytest
from msgspec import structs

from harness.core.units import GIB, MIB
from harness.devices import hardware, probe, probe_worker
from harness.devices.device import Device, find_device
from harness.devices.hardware import is_discrete, size_of
from harness.devices.probe import ProbeReply, look_up, probe_device
from harness.devices.states import (
    BrokenProviderError,
    FellBackError,
    NoHardwareError,
    NotInstalledError,
)
from harness.devices.table import find_row
from tests.machine.watch.fake_machine import write

CPU = Device(find_row("cpu")).sent()


@pytest.mark.parametrize(
    "error", [BrokenProviderError, FellBackError, NoHardwareError, NotInstalledError]
)
def test_what_is_wrong_with_a_device_is_its_state(error, monkeypatch):
    def refuse(*_, **__):
        raise error("it is so", fix="do that")

    monkeypatch.setattr(probe_worker, "open_session", refuse)
    assert probe_worker.probe(CPU) == ProbeReply(
        state=error.state,
        problem="it is so",
        fix="do that",
    )


def test_a_wrong_answer_is_no_work_of_the_device(monkeypatch):
    """Whoever computed it: the product is not that of the probe graph."""
    opened = SimpleNamespace(
        session=SimpleNamespace(run=lambda names, fed: [np.full((8, 8), 7.0, np.float32)]),
        refuse_changed=lambda: None,
    )
    monkeypatch.setattr(probe_worker, "open_session", lambda *_, **__: opened)
    monkeypatch.setattr("harness.builder.graph.probe.largest_error", lambda answer: 7.0)
    found = probe_worker.probe(CPU)
    assert found.state == "fell back"
    assert "gave a wrong product" in found.problem


def test_a_device_works_and_an_emulated_one_is_simulated(monkeypatch):
    assert probe_worker.probe(CPU).state == "works"
    facts = probe_worker.facts_of(find_device("cpu"))
    emulated = structs.replace(facts, simulated=True)
    monkeypatch.setattr(probe_worker, "facts_of", lambda device: emulated)
    found = probe_worker.probe(CPU)
    assert found.state == "simulated"
    assert found.hardware == emulated


def test_a_child_that_dies_is_a_broken_provider(monkeypatch):
    monkeypatch.setattr(probe, "WORKER_MODULE", "harness.no_such_module")
    found = probe_device(find_device("cpu"))
    assert found.state == "broken"
    assert found.problem


def test_what_is_not_tried_is_only_present():
    assert look_up(find_row("cpu")).state == "present"


@pytest.mark.parametrize(
    ("metadata", "discrete"),
    [
        ({"Discrete": "1", "pci_bus_id": "0000:00:02.0"}, True),
        ({"Discrete": "0"}, False),
        ({"pci_bus_id": "0000:00:02.0"}, False),
        ({"pci_bus_id": "0000:c1:00.0"}, None),
        ({}, None),
    ],
)
def test_a_card_is_told_from_what_is_built_in_where_the_system_says_so(metadata, discrete):
    assert is_discrete(metadata) is discrete


def test_the_size_of_a_memory_is_what_its_system_says(tmp_path, monkeypatch):
    card = {"sys/bus/pci/devices/0000:c1:00.0/mem_info_vram_total": f"{16 * GIB}\n"}
    root = write(tmp_path, card)
    assert size_of({"DxgiVideoMemory": "512 MB"}, root) == 512 * MIB
    assert size_of({"pci_bus_id": "0000:c1:00.0"}, root) == 16 * GIB
    assert size_of({"pci_bus_id": "0000:00:02.0"}, root) is None
    board = SimpleNamespace(
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(total=80 * GIB),
    )
    monkeypatch.setattr(hardware, "nvml", lambda: board)
    assert size_of({"vendor_id": "0x10de"}, root) == 80 * GIB
    assert size_of({"vendor_id": "0x1002"}, root) is None
