"""The peaks behind a run's estimates: measured before its rounds, kept with its results."""

from collections.abc import Iterator
from pathlib import Path

from msgspec import structs

from harness.builder.quantize.levels import CACHES, Variant
from harness.core.errors import HarnessError, StorageError
from harness.core.findings import Log
from harness.devices.device import Device
from harness.estimator.calibration.bandwidth import read_bytes_per_s
from harness.estimator.calibration.calibrate import ensure_constants
from harness.estimator.calibration.pulse import drift_between, ensure_pulse_graphs, pulse_of
from harness.estimator.calibration.store import FOLDER, calibration_key
from harness.estimator.rules import HardwarePeaks
from harness.results.calibration import Constants
from harness.results.entries import CalibrationEntry, NoCalibrationEntry
from harness.results.environment import Environment, NoCalibration, ReadBandwidth
from harness.runner.loop.device_calibration import device_calibrations, has_own_peaks
from harness.runner.loop.entries import Entries
from harness.runner.plan import Plan, SessionGroup


def calibrations(
    plan: Plan, entries: Entries, cache: Path, log: Log
) -> Iterator[CalibrationEntry | NoCalibrationEntry]:
    """Yield the constants of each device and thread count of a plan that are not journalled yet.

    Stored ones are taken; what is missing is measured now. Where that fails the rows stay, with
    the estimates that need no calibration, and the document says why.

    Raises:
        StorageError: the cache cannot be read or written.
    """
    if not plan.settings.calibrate:
        return
    yield from device_calibrations(plan, entries, cache, log)
    hosts = [group for group in plan.groups if is_calibrated(group)]
    kernels = dict.fromkeys(name for name in (g.model.kernels(g.level) for g in hosts) if name)
    levels = tuple(kernels) or ("fp32",)
    kept = dict.fromkeys(group.cache.name for group in hosts if group.cache.name in CACHES)
    caches = tuple(kept) or ("fp32",)
    operators = dict.fromkeys(
        name
        for group in hosts
        for name in group.model.operators(group.level, CACHES.get(group.cache.name))
    )
    for device, threads in dict.fromkeys((g.device.key, g.threads) for g in hosts):
        if (device, threads) in entries.calibrations:
            continue
        key = calibration_key(entries.header.environment, device, threads)
        try:
            stored = ensure_constants(
                cache, key, levels, caches=caches, operators=tuple(operators), log=log
            )
        except StorageError:
            raise
        except HarnessError as error:
            yield NoCalibrationEntry(device=device, threads=threads, reason=error.problem)
            continue
        yield CalibrationEntry(device=device, threads=threads, stored=stored)


def has_peaks(device: Device) -> bool:
    """Whether this machine's peaks are those of the device: it computes in the host's memory.

    Graphics processors have peaks of their own, see device_calibration.py; rows of other devices
    stand without an estimate of time.
    """
    is_here = device.asked is None and device.refusal is None
    return device.kind == "cpu" and not device.simulate and is_here


def is_calibrated(group: SessionGroup) -> bool:
    """Whether micro-graphs tell what the operators of a group cost: those of fused graphs do."""
    return has_peaks(group.device) and group.level.variant is Variant.FUSED


def peaks_of(entries: Entries, device: Device, threads: int) -> HardwarePeaks:
    """Return what a run knows of a device with this many threads."""
    if has_own_peaks(device):
        stored = entries.calibrations.get((device.key, threads))
        return HardwarePeaks(None, None if stored is None else stored.constants)
    if not has_peaks(device):
        return HardwarePeaks()
    return HardwarePeaks(read_rate(entries, threads), _constants(entries, device.key, threads))


def measured_environment(entries: Entries) -> Environment:
    """Return the machine with its hardware peaks: every pass of the reads, every constant."""
    threads = sorted({count for count, *_ in entries.bandwidth})
    return Environment(
        **structs.asdict(entries.header.environment),
        read_bandwidth=tuple(
            ReadBandwidth(
                threads=count,
                bytes_per_s=read_rate(entries, count),
                processes=tuple(entries.readings_of(count)),
            )
            for count in threads
        ),
        read_bandwidth_failures={
            str(count): reason for count, reason in entries.no_bandwidth.items()
        },
        calibration=tuple(entries.calibrations.values()),
        calibration_failures=tuple(
            NoCalibration(device=device, threads=count, reason=reason)
            for (device, count), reason in entries.no_calibration.items()
        ),
    )


def read_rate(entries: Entries, threads: int) -> float | None:
    """Return the rate at which this run read memory with so many threads, bytes/s."""
    return read_bytes_per_s(entries.readings_of(threads))


def pulse_graphs(plan: Plan, entries: Entries, cache: Path) -> Path | None:
    """Return the graphs that each round multiplies and calls with; None: nothing is calibrated.

    Where they cannot be written the rounds read memory alone, and estimates are not scaled.

    Raises:
        StorageError: the cache cannot be written.
    """
    if not plan.settings.calibrate or not entries.calibrations:
        return None
    try:
        return ensure_pulse_graphs(cache / FOLDER)
    except StorageError:
        raise
    except HarnessError:
        return None


def _constants(entries: Entries, device: str, threads: int) -> Constants | None:
    """The constants of a calibration, with how the machine has drifted since."""
    stored = entries.calibrations.get((device, threads))
    if stored is None:
        return None
    now = pulse_of(entries.readings_of(threads))
    drift = drift_between(stored.constants.pulse, now)
    return structs.replace(stored.constants, drift=drift)
