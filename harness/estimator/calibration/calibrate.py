"""Measures the hardware peaks of a device in fresh child processes; nothing heavy is imported here.

Every constant comes from several processes, one a round. The order of the constants is shuffled
anew in every one, so that drift of the machine falls on all alike. No whole model is run or timed.
"""

import random
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.builder.quantize.cache import CACHES
from harness.builder.quantize.levels import LEVELS
from harness.core.findings import Log
from harness.estimator.calibration.bandwidth import ONE_BLAS_THREAD
from harness.estimator.calibration.constants import (
    ATTENTION,
    CHOICE,
    Constants,
    StoredConstants,
    attention_name,
    is_attention,
)
from harness.estimator.calibration.passes import Reply
from harness.estimator.calibration.rates import BANDWIDTH, OPERATORS, STACKS, constants_of
from harness.estimator.calibration.shapes import FULL, QUICK, Sizes, integer_caches, kernel_levels
from harness.estimator.calibration.storage import (
    METHOD_VERSION,
    CalibrationKey,
    find_constants,
    store_constants,
)
from harness.machine.process.worker import Worker

BUILD_MODULE = "harness.estimator.calibration.micro_worker"
PROBE_MODULE = "harness.estimator.calibration.probe_worker"
TIMEOUT_S = 300.0  # of one process: a hundred times what it takes

# probe -> command of the probing process; any other probe is a matrix kernel
COMMANDS = {
    BANDWIDTH: "read_curve",
    OPERATORS: "call_operators",
    STACKS: "run_stacks",
    ATTENTION: "attend",
    CHOICE: "choose",
}


def ensure_constants(
    cache: Path,
    key: CalibrationKey,
    levels: tuple[str, ...],
    *,
    caches: tuple[str, ...] = (),
    full: bool = False,
    again: bool = False,
    sizes: Sizes | None = None,
    seed: int = 0,
    log: Log = lambda _: None,
) -> StoredConstants:
    """Return constants that cover `levels`, measured now where the store has none.

    What the store already covers is measured along, so that constants of one file belong together.

    Args:
        cache: folder that holds the store.
        key: machine, runtime, device and threads.
        levels: whose kernels are needed; all of them with `full`.
        caches: cache levels of the plan; attention over integers has rates of its own.
        full: every level and cache, with more and longer processes.
        again: measure even what is stored.
        sizes: other than those of quick or full.
        seed: of the orders.
        log: takes one line about what happens.

    Raises:
        UsageError: no level or device has this name.
        WorkerError: a child process died, hung or had no memory.
        MeasurementError: passes that no machine gives.
        StorageError: the cache cannot be read or written.
    """
    levels, caches = (tuple(LEVELS), tuple(CACHES)) if full else (levels, caches)
    kernel_levels(levels)  # refuses unknown names before anything is read or run
    found = find_constants(cache, key)
    if found.note:
        log(found.note)
    if found.stored is not None:
        known = (found.stored.complete or not full) and _covers(found.stored, levels, caches)
        if known and not again:
            return found.stored
        full = full or (found.stored.complete and not again)  # nothing is lost for one more cache
        levels, caches = _with_held(found.stored, levels, caches)
    chosen = sizes or (FULL if full else QUICK)
    constants = measure_constants(key, levels, chosen, seed, log, caches)
    stored = StoredConstants(
        fingerprint=key.fingerprint,
        onnxruntime=key.onnxruntime,
        device=key.device,
        method_version=METHOD_VERSION,
        complete=full,
        constants=constants,
    )
    store_constants(cache, stored)
    return stored


def measure_constants(
    key: CalibrationKey,
    levels: tuple[str, ...],
    sizes: Sizes,
    seed: int,
    log: Log,
    caches: tuple[str, ...] = (),
) -> Constants:
    """Build the micro-graphs once, run every probe in `sizes.rounds` processes, and add up.

    Raises:
        HarnessError: as ensure_constants.
    """
    attended = integer_caches(caches)
    probes = [*COMMANDS, *attended, *kernel_levels(levels)]
    replies: dict[str, list[Reply]] = {probe: [] for probe in probes}
    with tempfile.TemporaryDirectory(prefix="bench-calibrate-") as folder:
        log(f"calibrating {key.device}, {key.threads} threads: building {len(probes)} probes")
        with Worker.start(BUILD_MODULE) as worker:
            built = worker.ask(
                "build",
                TIMEOUT_S,
                dict,
                folder=folder,
                sizes=asdict(sizes),
                levels=list(levels),
                caches=[cache.name for cache in attended.values()],
            )
        for number in range(sizes.rounds):
            log(f"calibrating: round {number + 1} of {sizes.rounds}")
            order = list(probes)
            random.Random(f"{seed}/calibrate/{number}").shuffle(order)
            with Worker.start(PROBE_MODULE, env=ONE_BLAS_THREAD) as worker:
                for probe in order:
                    replies[probe].append(_ask(worker, probe, folder, key, sizes))
    return constants_of(replies, sizes, levels, built, key.threads, caches)


def _covers(stored: StoredConstants, levels: tuple[str, ...], caches: tuple[str, ...] = ()) -> bool:
    """Tell whether every kernel of these levels, and attention over these caches, was measured."""
    needed = kernel_levels(levels).keys() | {attention_name(CACHES[name]) for name in caches}
    return needed <= set(stored.constants.rates)


def _with_held(
    stored: StoredConstants, levels: tuple[str, ...], caches: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what is asked for and what the store holds beside it: levels, caches."""
    held = [level for level in LEVELS if _covers(stored, (level,))]
    attended = [cache for cache in CACHES if _covers(stored, (), (cache,))]
    return tuple(dict.fromkeys((*levels, *held))), tuple(dict.fromkeys((*caches, *attended)))


def _ask(worker: Worker, probe: str, folder: str, key: CalibrationKey, sizes: Sizes) -> Reply:
    """Let a process measure one probe."""
    arguments: dict[str, Any] = {"sizes": asdict(sizes)}
    if probe != CHOICE:
        arguments["threads"] = key.threads
    if probe not in (BANDWIDTH, CHOICE):
        arguments |= {"folder": folder, "device": key.device}
    do = COMMANDS.get(probe)
    if is_attention(probe):
        do, arguments["probe"] = COMMANDS[ATTENTION], probe
    if do is None:
        do, arguments["kernel"] = "multiply", probe
    reply: Reply = worker.ask(do, TIMEOUT_S, list, **arguments)
    return reply
