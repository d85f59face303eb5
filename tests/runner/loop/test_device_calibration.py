"""Peaks of graphics processors in a run: measured before its rounds, and what they estimate."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from harness.builder.quantize.levels import find_level
from harness.core.errors import DeviceError, StorageError
from harness.devices.device import Device, find_device
from harness.devices.table import find_row
from harness.estimator.record import RecordEstimates
from harness.results.calibration import Constants, RatePoint, StoredConstants
from harness.results.entries import CalibrationEntry, NoCalibrationEntry
from harness.results.environment import MachineFacts
from harness.runner.loop import device_calibration
from harness.runner.loop.calibration import peaks_of
from harness.runner.loop.device_calibration import (
    device_calibrations,
    has_own_peaks,
    without_host_memory,
)

WEBGPU = Device(find_row("webgpu"))
CONSTANTS = Constants("measured here on webgpu", (RatePoint(300e9, 2**29, processes=3),))
STORED = StoredConstants("f", "1.32.0", "webgpu", 4, False, CONSTANTS)


def group(level, device=WEBGPU, threads=1):
    model = SimpleNamespace(kernels=lambda level: level.name)
    return SimpleNamespace(device=device, threads=threads, level=find_level(level), model=model)


@pytest.fixture
def measured(monkeypatch):
    """The devices and levels that are asked for, and an error to raise instead."""
    asked = []
    asked_error = []

    def ensure(cache, key, device, levels, *, log):
        asked.append((device.key, key.threads, levels))
        if asked_error:
            raise asked_error[0]
        return STORED

    monkeypatch.setattr(device_calibration, "ensure_device_constants", ensure)
    monkeypatch.setattr(
        device_calibration, "probe_device", lambda device: SimpleNamespace(hardware=None)
    )
    return SimpleNamespace(asked=asked, error=asked_error)


def entries(**known):
    header = SimpleNamespace(environment=MachineFacts(cpu_model="one"))
    return SimpleNamespace(header=header, calibrations=known)


def calibrated(groups, tmp_path, held=None):
    plan = SimpleNamespace(groups=groups)
    return list(device_calibrations(plan, held or entries(), tmp_path, lambda line: None))


def test_each_device_and_thread_count_is_measured_once_for_all_levels(measured, tmp_path):
    groups = [
        group("fp16"),
        group("int4"),
        group("int4", threads=2),
        group("int4", find_device("cpu")),
    ]
    found = calibrated(groups, tmp_path)
    assert measured.asked == [
        ("webgpu", 1, ("fp16", "int4")),
        ("webgpu", 2, ("fp16", "int4")),
    ]
    assert [(one.device, one.threads) for one in found] == [("webgpu", 1), ("webgpu", 2)]
    assert all(isinstance(one, CalibrationEntry) for one in found)


def test_what_the_journal_holds_is_not_measured(measured, tmp_path):
    held = entries()
    held.calibrations[("webgpu", 1)] = STORED
    assert calibrated([group("int4")], tmp_path, held) == []


def test_a_device_that_refuses_a_graph_costs_its_estimates_alone(measured, tmp_path):
    measured.error.append(DeviceError("cuda: left GroupQueryAttention", "take another"))
    (found,) = calibrated([group("int4")], tmp_path)
    assert isinstance(found, NoCalibrationEntry)
    assert found.reason == "cuda: left GroupQueryAttention"


def test_a_store_that_cannot_be_written_ends_the_run(measured, tmp_path):
    measured.error.append(StorageError("no room", "free some"))
    with pytest.raises(StorageError):
        calibrated([group("int4")], tmp_path)


@pytest.mark.parametrize(
    ("device", "own"),
    [
        (WEBGPU, True),
        (replace(WEBGPU, simulate=True), False),
        (replace(WEBGPU, refusal=("none", "buy one")), False),
        (find_device("cpu"), False),
        (Device(find_row("qnn")), False),
    ],
)
def test_only_real_devices_of_our_graphs_have_peaks(device, own):
    assert has_own_peaks(device) == own


def test_a_device_is_held_against_its_own_memory_and_not_the_hosts():
    held = entries()
    assert peaks_of(held, WEBGPU, 1).bandwidth_bytes_per_s is None
    held.calibrations[("webgpu", 1)] = STORED
    assert peaks_of(held, WEBGPU, 1).bandwidth_bytes_per_s == 300e9


def test_nothing_is_said_of_host_memory_beyond_what_parameters_say():
    told = {"params": 1.0, "structure": 2.0, "calibrated": 3.0}
    found = RecordEstimates({"peak_rss_bytes": told, "decode_tok_s": told}, None, None)
    kept = without_host_memory(found).by_metric
    assert kept == {"peak_rss_bytes": {"params": 1.0}, "decode_tok_s": told}
