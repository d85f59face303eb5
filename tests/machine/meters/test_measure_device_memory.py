"""Memory that a driver counts for this process: of fake fdinfo trees and a fake library."""

import os
from types import SimpleNamespace

import pytest

from harness.core.units import KIB, MIB
from harness.machine.meters import device_memory
from harness.machine.meters.counters import ABSENT, VALUE, Answer
from harness.machine.meters.device_memory import device_bytes, read_device_memory
from harness.results.replies import DeviceHeld
from tests.machine.watch.fake_machine import write
from tests.replies import hardware as hardware_of

FOLDER = "proc/self/fdinfo"
INTEL = hardware_of(hardware="gpu", kind="gpu", vendor_id="0x8086")
NVIDIA = hardware_of(kind="gpu", vendor_id="0x10de")
PLAIN = "pos:\t0\nflags:\t02\nmnt_id:\t29\n"


def client(number, driver="xe", card="0000:00:02.0", **regions):
    """One open file of a driver."""
    lines = [f"drm-driver:\t{driver}", f"drm-client-id:\t{number}", f"drm-pdev:\t{card}"]
    lines += [f"drm-{name.replace('_', '-')}:\t{text}" for name, text in regions.items()]
    return PLAIN + "\n".join(lines) + "\n"


def fdinfo(tmp_path, *files):
    root = write(tmp_path, {f"{FOLDER}/{place}": text for place, text in enumerate(files, 3)})
    return read_device_memory(root=root, system="linux")["fdinfo"]


def test_all_regions_of_a_client_are_added_up(tmp_path):
    held = fdinfo(tmp_path, PLAIN, client(1, resident_vram0="3 MiB", resident_system="512 KiB"))
    assert held == Answer(VALUE, 3 * MIB + 512 * KIB)


def test_two_files_of_one_client_are_one(tmp_path):
    """What was opened twice tells the same twice; another client, or card, is more."""
    one = client(1, resident_vram0="3 MiB")
    assert fdinfo(tmp_path / "one", one, one).value == 3 * MIB
    more = (one, client(2, resident_vram0="1 MiB"), client(1, card="b", resident_vram0="1 MiB"))
    assert fdinfo(tmp_path / "more", *more).value == 5 * MIB


def test_the_older_name_of_a_region_is_not_counted_twice(tmp_path):
    both = client(1, "amdgpu", memory_vram="9 MiB", resident_vram="3 MiB", memory_gtt="1 MiB")
    assert fdinfo(tmp_path, both).value == 4 * MIB


def test_a_number_without_a_unit_is_bytes(tmp_path):
    assert fdinfo(tmp_path, client(1, resident_vram="4096")).value == 4096


def test_totals_that_may_be_swapped_out_are_not_held(tmp_path):
    assert fdinfo(tmp_path, client(1, total_vram="9 MiB", resident_vram="1 MiB")).value == MIB


def test_without_a_file_of_a_driver_there_is_no_count(tmp_path):
    """Software Vulkan opens none."""
    answer = fdinfo(tmp_path, PLAIN)
    assert (answer.state, answer.reason) == (
        ABSENT,
        "this process has no file of a graphics driver open",
    )


def test_a_file_that_is_garbled_costs_no_run(tmp_path):
    assert fdinfo(tmp_path, client(1, resident_vram="many")).state == ABSENT


def boards(*lists):
    """NVIDIA's library with the clients (pid, bytes) of each board."""

    def clients(board):
        return [SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, held in lists[board]]

    return SimpleNamespace(
        nvmlDeviceGetCount=lambda: len(lists),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetComputeRunningProcesses=clients,
        nvmlDeviceGetGraphicsRunningProcesses=lambda board: [],
    )


@pytest.mark.parametrize(
    ("lists", "held", "reason"),
    [
        ([[(os.getpid(), 5 * MIB), (1, 9 * MIB)], []], 5 * MIB, ""),
        ([[(1, 9 * MIB)]], None, "no such process"),
        ([[(os.getpid(), None)]], None, "does not tell"),
    ],
)
def test_a_board_counts_this_process_only(lists, held, reason, monkeypatch, tmp_path):
    monkeypatch.setattr(device_memory, "nvml", lambda: boards(*lists))
    answer = read_device_memory(root=tmp_path, system="linux")["nvml"]
    assert answer.value == held
    assert reason in answer.reason


def marks(**answers):
    """The same counters at two moments."""
    return {
        moment: {name: told[place] for name, told in answers.items()}
        for place, moment in enumerate(("loaded", "steady"))
    }


FEW, MANY = Answer(VALUE, 2 * MIB), Answer(VALUE, 7 * MIB)
NONE = Answer(ABSENT, reason="none here")


def test_the_peak_is_the_larger_of_two_looks():
    assert device_bytes(marks(fdinfo=(MANY, FEW)), INTEL) == DeviceHeld(
        peak_bytes=7 * MIB,
        counter="fdinfo",
        held_bytes={"loaded": 7 * MIB, "steady": 2 * MIB},
    )


def test_a_makers_own_counter_comes_first_and_never_counts_for_others():
    both = marks(nvml=(FEW, MANY), fdinfo=(FEW, FEW))
    assert device_bytes(both, NVIDIA).counter == "nvml"
    assert device_bytes(both, INTEL).counter == "fdinfo"
    assert device_bytes(marks(nvml=(NONE, NONE), fdinfo=(FEW, FEW)), NVIDIA).counter == "fdinfo"


@pytest.mark.parametrize(
    ("marks", "hardware", "reason"),
    [
        ({}, hardware_of(hardware="cpu", kind="gpu"), "works in the memory of the host"),
        (marks(fdinfo=(NONE, NONE)), INTEL, "fdinfo: none here"),
        (marks(fdinfo=(FEW, NONE)), INTEL, "fdinfo: none here"),
        (marks(fdinfo=(Answer(VALUE, 0), Answer(VALUE, 0))), INTEL, "it counts nothing"),
        ({"loaded": {}, "steady": {}}, INTEL, "no counter on this system"),
    ],
)
def test_what_is_not_known_is_null_with_a_reason(marks, hardware, reason):
    found = device_bytes(marks, hardware)
    assert found.peak_bytes is None
    assert reason in found.reason
