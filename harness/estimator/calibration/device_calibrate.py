"""Measure what a graphics processor can do, by the same micro-graphs as a processor's.

Read bandwidth of its own memory, rates of its matrix kernels, and the times of a call and of a run;
the formulas are those of rates.py. Every round is a fresh process. A row that leaves an operator of
them to others is refused, as a model would be. Of an emulated device every probe runs once over
next to nothing: that proves the function, is marked, and is never kept or taken for a peak.
"""

import hashlib
import json
import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from msgspec import structs

from harness.builder.quantize.levels import LEVELS, Variant, find_level
from harness.core.findings import Log
from harness.core.progress import tell_part
from harness.core.units import MIB
from harness.devices.device import Device
from harness.estimator.calibration.calibrate import TIMEOUT_S
from harness.estimator.calibration.constants import (
    ATTENTION,
    CHOICE,
    ELEMENTWISE,
    OPERATOR_CALL,
    SESSION_CALL,
    Sizes,
    caches_apart,
    is_attention,
    kernel_levels,
)
from harness.estimator.calibration.device_sizes import (
    SIMULATED_BASIS,
    Floats,
    floats_of,
    sizes_of,
)
from harness.estimator.calibration.rates import (
    BANDWIDTH,
    MEASURED_HERE,
    OPERATORS,
    STACKS,
    Reply,
    bandwidth_curve,
    calls_of,
    constants_of,
    elementwise_rate,
    hot_times,
    matrix_rates,
    net,
)
from harness.estimator.calibration.store import (
    CalibrationKey,
    calibration_key,
    find_constants,
    store_constants,
    stored_now,
)
from harness.machine.process.worker import Worker
from harness.results.calibration import Constants, StoredConstants
from harness.results.environment import MachineFacts
from harness.results.replies import Hardware

BUILD_MODULE = "harness.estimator.calibration.device_build_worker"
PROBE_MODULE = "harness.estimator.calibration.device_probe_worker"
# probe -> command of the probing process; any other probe is a matrix kernel
COMMANDS = {
    BANDWIDTH: "read_memory",
    OPERATORS: "call_operators",
    STACKS: "run_stacks",
    ATTENTION: "attend",
    CHOICE: "choose",
}
ATTENDING = (ATTENTION, STACKS)  # probes in whose graphs there is one
# What tells one device of a machine from another, and from itself under another driver.
DEVICE_FACTS = ("provider", "version", "vendor_id", "device_id", "options")


def device_key(
    facts: MachineFacts, device: Device, threads: int, hardware: Hardware | None
) -> CalibrationKey:
    """Return the key of constants of a device of this machine.

    Args:
        facts: of the machine.
        device: as chosen.
        threads: of the sessions, on the host.
        hardware: that stands behind the device; None: not known.
    """
    key = calibration_key(facts, device.key, threads)
    told = {name: getattr(hardware, name, None) for name in DEVICE_FACTS}
    text = json.dumps([key.fingerprint, told], sort_keys=True)
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
    return CalibrationKey(fingerprint, key.onnxruntime, key.device, threads)


def ensure_device_constants(
    cache: Path,
    key: CalibrationKey,
    device: Device,
    levels: tuple[str, ...],
    *,
    full: bool = False,
    again: bool = False,
    sizes: Sizes | None = None,
    seed: int = 0,
    log: Log = lambda _: None,
) -> StoredConstants:
    """Return constants of a device that cover `levels`, measured now where the store has none.

    Args:
        cache: folder that holds the store.
        key: as device_key gives it.
        device: as chosen; an emulated one is measured every time and not kept.
        levels: whose kernels are needed; all that run there with `full`.
        full: every level of fused graphs.
        again: measure even what is stored.
        sizes: other than those of the device.
        seed: of the orders.
        log: takes one line about what happens.

    Raises:
        UsageError: no level has this name.
        WorkerError: a child process died, hung, or the device did not take a graph.
        MeasurementError: passes that no machine gives.
        StorageError: the cache cannot be read or written.
    """
    if full:
        levels = tuple(name for name, level in LEVELS.items() if level.variant is Variant.FUSED)
    floats = floats_of(device.row)
    needed = floats.needed(levels)
    if not device.simulate and not again:
        found = find_constants(cache, key)
        if found.note:
            log(found.note)
        if found.stored is not None and needed <= found.stored.constants.rates.keys():
            return found.stored
        if found.stored is not None:
            held = [one for one in LEVELS if _holds(found.stored, one, floats)]
            levels = tuple(dict.fromkeys((*levels, *held)))
    constants = measure_device(key, device, levels, sizes or sizes_of(device), seed, log)
    stored = stored_now(key, constants, full)
    if not device.simulate:
        store_constants(cache, stored)
    return stored


def measure_device(
    key: CalibrationKey,
    device: Device,
    levels: tuple[str, ...],
    sizes: Sizes,
    seed: int,
    log: Log,
) -> Constants:
    """Build the micro-graphs once, run every probe in `sizes.rounds` processes, and add up.

    Raises:
        HarnessError: as ensure_device_constants.
    """
    floats = floats_of(device.row)
    caches, levels = floats.caches(levels), floats.measured(levels)
    known = [probe for probe in COMMANDS if floats.attends or probe not in ATTENDING]
    probes = [*known, *caches_apart(caches), *kernel_levels(levels)]
    replies: dict[str, list[Reply]] = {probe: [] for probe in probes}
    with tempfile.TemporaryDirectory(prefix="bench-calibrate-") as folder:
        log(f"calibrating {device.key}: building {len(probes)} probes")
        given: dict[str, Any] = {"folder": folder, "sizes": sizes, "floats": floats}
        with Worker.start(BUILD_MODULE) as worker:
            built = worker.ask(
                "build", TIMEOUT_S, dict, levels=list(levels), caches=list(caches), **given
            )
        given |= {"device": device.sent(), "threads": key.threads}
        for number in range(sizes.rounds):
            log(f"calibrating {device.key}: round {number + 1} of {sizes.rounds}")
            tell_part(number, sizes.rounds, "rounds")
            order = list(probes)
            random.Random(f"{seed}/calibrate/{number}").shuffle(order)
            with Worker.start(PROBE_MODULE) as worker:
                for probe in order:
                    replies[probe].append(_ask(worker, probe, given))
    replies[BANDWIDTH] = [reads_alone(reply) for reply in replies[BANDWIDTH]]
    if floats.attends:
        constants = constants_of(replies, sizes, levels, built, key.threads, caches)
    else:
        constants = without_attention(replies, sizes, levels, built["operators"], key.threads)
    basis = f"{MEASURED_HERE} on {device.key}{', without attention' * (not floats.attends)}"
    if device.simulate:
        basis = SIMULATED_BASIS
    return structs.replace(constants, basis=basis, rates=floats.rates(constants.rates))


def _ask(worker: Worker, probe: str, given: dict[str, Any]) -> Reply:
    """Let a process measure one probe."""
    if is_attention(probe):
        return worker.ask(COMMANDS[ATTENTION], TIMEOUT_S, list, probe=probe, **given)
    if probe in COMMANDS:
        return worker.ask(COMMANDS[probe], TIMEOUT_S, list, **given)
    return worker.ask("multiply", TIMEOUT_S, list, kernel=probe, **given)


def without_attention(
    replies: Mapping[str, Sequence[Reply]],
    sizes: Sizes,
    levels: tuple[str, ...],
    operators: Sequence[int],
    threads: int,
) -> Constants:
    """Return the constants of a device that takes no attention of our decoders.

    The time of an operator is that of a chain of them alone, not between matrices.

    Args:
        replies: as of harness.estimator.calibration.rates.constants_of, without those of ATTENDING.
        sizes: that they were measured with.
        levels: whose kernels were measured.
        operators: of each chain, as the builder counted them.
        threads: that they were measured with.
    """
    elementwise = elementwise_rate(replies[OPERATORS], sizes, operators)
    hot = hot_times(replies[OPERATORS], sizes, operators, elementwise)
    session_s, operator = hot[SESSION_CALL].seconds, calls_of(hot[OPERATOR_CALL], MIB)
    rates = {ELEMENTWISE: (elementwise,), CHOICE: bandwidth_curve(replies[CHOICE])}
    rates[OPERATOR_CALL] = (operator,)
    rates |= matrix_rates(replies, sizes, levels, session_s)
    return Constants(
        basis=MEASURED_HERE,
        bandwidth=bandwidth_curve(replies[BANDWIDTH]),
        rates=rates,
        operator_s=1.0 / operator.rate_per_s,
        threads=threads,
        times={SESSION_CALL: hot[SESSION_CALL]},
    )


def reads_alone(reply: Reply) -> Reply:
    """Return reads of working sets without what a run takes that reads next to nothing.

    Args:
        reply: passes of a process by `size_bytes`, the first of next to nothing.
    """
    first, *others = reply
    fixed_ns = median(first["pass_ns"])
    return [
        {**shot, "pass_ns": [net(pass_ns, fixed_ns) for pass_ns in shot["pass_ns"]]}
        for shot in others
    ]


def _holds(stored: StoredConstants, level: str, floats: Floats) -> bool:
    """Whether a stored calibration knows every rate of a level."""
    is_fused = find_level(level).variant is Variant.FUSED
    return is_fused and floats.needed((level,)) <= stored.constants.rates.keys()
