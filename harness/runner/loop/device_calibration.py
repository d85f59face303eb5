"""The peaks of graphics processors behind a run's estimates; calibration.py has a processor's."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from harness.builder.quantize.levels import Variant
from harness.core.errors import HarnessError, StorageError
from harness.core.findings import Log
from harness.devices.device import Device
from harness.devices.probe import probe_device
from harness.estimator.calibration.device_calibrate import device_key, ensure_device_constants
from harness.estimator.calibration.device_sizes import is_calibrated_row
from harness.estimator.record import PARAMS, RecordEstimates
from harness.results.entries import CalibrationEntry, NoCalibrationEntry
from harness.runner.loop.entries import Entries
from harness.runner.plan import Plan, SessionGroup

PEAK_MEMORY = "peak_rss_bytes"


def has_own_peaks(device: Device) -> bool:
    """Whether micro-graphs tell what a device can do: a real one, of a row that takes ours."""
    is_here = device.asked is None and device.refusal is None
    return is_calibrated_row(device.row) and not device.simulate and is_here


def has_calibrated_device(group: SessionGroup) -> bool:
    """Whether micro-graphs of a graphics processor tell what the operators of a group cost."""
    return has_own_peaks(group.device) and group.level.variant is Variant.FUSED


def device_calibrations(
    plan: Plan, entries: Entries, cache: Path, log: Log
) -> Iterator[CalibrationEntry | NoCalibrationEntry]:
    """Yield the constants of each graphics processor and thread count that are not journalled yet.

    Raises:
        StorageError: the cache cannot be read or written.
    """
    groups = [group for group in plan.groups if has_calibrated_device(group)]
    named = [group.model.kernels(group.level) for group in groups]
    levels = tuple(dict.fromkeys(name for name in named if name)) or ("fp16",)
    for group in {(group.device.key, group.threads): group for group in groups}.values():
        device, threads = group.device, group.threads
        if (device.key, threads) in entries.calibrations:
            continue
        try:
            hardware = probe_device(device).hardware
            key = device_key(entries.header.environment, device, threads, hardware)
            stored = ensure_device_constants(cache, key, device, levels, log=log)
        except StorageError:
            raise
        except HarnessError as error:
            yield NoCalibrationEntry(device=device.key, threads=threads, reason=error.problem)
            continue
        yield CalibrationEntry(device=device.key, threads=threads, stored=stored)


def without_host_memory(found: RecordEstimates) -> RecordEstimates:
    """Estimates of a device with memory of its own: nothing says what its driver holds in the host.

    What the parameter count says stays.
    """
    kept = dict(found.by_metric)
    if PEAK_MEMORY in kept:
        told = {name: value for name, value in kept[PEAK_MEMORY].items() if name == PARAMS}
        kept[PEAK_MEMORY] = told
    explanation = found.explanation
    if explanation is not None:
        explanation = structs.replace(explanation, memory=())
    return replace(found, by_metric=kept, explanation=explanation)
