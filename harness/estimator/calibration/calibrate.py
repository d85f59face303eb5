"""Measure the hardware peaks of a device in fresh child processes; nothing heavy is imported.

Every constant comes from several processes, one a round. The order of the constants is shuffled
anew in every one, so that drift of the machine falls on all alike. No whole model is run or timed.

Constants that were measured beside other programs are kept (store.py), say so, and are measured
anew by the first run that finds the machine quiet: on one that never is, none pays for them twice.
"""

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import structs

from harness.builder.quantize.levels import CACHES, LEVELS, own_cache
from harness.core.findings import Log
from harness.core.progress import tell_part
from harness.core.units import about_time
from harness.estimator.calibration.bandwidth import ONE_BLAS_THREAD
from harness.estimator.calibration.constants import (
    ATTENTION,
    CHOICE,
    FULL,
    QUICK,
    Sizes,
    attention_name,
    beyond_cache,
    caches_apart,
    is_attention,
    kernel_levels,
)
from harness.estimator.calibration.operators import (
    Probe,
    known_operators,
    operator_rates,
    probes_of,
    usual_operators,
)
from harness.estimator.calibration.pulse import ask_pulse, pulse_of
from harness.estimator.calibration.rates import (
    BANDWIDTH,
    MEASURED_HERE,
    OPERATORS,
    STACKS,
    Reply,
    constants_of,
)
from harness.estimator.calibration.store import (
    CalibrationKey,
    find_constants,
    store_constants,
    stored_now,
)
from harness.machine.process.together import Child, started_together
from harness.machine.process.worker import Worker
from harness.machine.watch.caches import last_level_bytes
from harness.machine.watch.probes import difference, snapshot
from harness.results.background import background_of
from harness.results.calibration import Constants, StoredConstants
from harness.results.replies import MemoryRead

BUILD_MODULE = "harness.estimator.calibration.micro_worker"
PROBER = Child("harness.estimator.calibration.probe_worker", ONE_BLAS_THREAD)
PROBERS_AT_ONCE = 4  # interpreters of tens of MiB
TIMEOUT_S = 300.0  # of one process: a hundred times what it takes
ROUND_SECONDS = 5.0  # of the quick sizes on two AVX2 cores: a guess for the first one
# Looks at the pulse of the machine in each process, so many between its probes, for so long each.
PULSES, PULSE_SECONDS = 3, 0.2
LOOK_SECONDS = 0.5  # at who else is busy, before a busy calibration is made anew

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
    operators: tuple[str, ...] = (),
    full: bool = False,
    again: bool = False,
    sizes: Sizes | None = None,
    seed: int = 0,
    log: Log = lambda _: None,
    is_quiet: Callable[[], bool] | None = None,
) -> StoredConstants:
    """Return constants that cover `levels`, measured now where the store has none.

    What the store already covers is measured along, so that constants of one file belong together.
    Stored ones that are busy are measured anew where the machine is quiet now.

    Args:
        cache: folder that holds the store.
        key: machine, runtime, device and threads.
        levels: whose kernels are needed; all of them with `full`.
        caches: cache levels of the plan; attention over integers has rates of its own.
        operators: that not every model has, see harness.estimator.calibration.operators; those
            that the store does not hold join it, without the others being measured again.
        full: every level and cache, with more and longer processes.
        again: measure even what is stored.
        sizes: other than those of quick or full.
        seed: of the orders.
        log: takes one line about what happens.
        is_quiet: whether a busy calibration can be bettered now; None: machine_is_quiet.

    Raises:
        UsageError: no level or device has this name.
        WorkerError: a child process died, hung or had no memory.
        MeasurementError: passes that no machine gives.
        StorageError: the cache cannot be read or written.
    """
    if full:
        levels, caches = tuple(LEVELS), tuple(CACHES)
        operators = tuple(dict.fromkeys((*operators, *usual_operators())))
    kernel_levels(levels)  # refuses unknown names before anything is read or run
    own = (own_cache(LEVELS[level]) for level in levels)
    apart = (cache.name for cache in own if attention_name(cache) != ATTENTION)
    caches = tuple(dict.fromkeys((*caches, *apart)))
    found = find_constants(cache, key)
    if found.note:
        log(found.note)
    if found.stored is not None:
        known = (found.stored.complete or not full) and _covers(found.stored, levels, caches)
        if known and not again and not _can_be_bettered(found.stored, is_quiet, log):
            held = found.stored.constants.rates
            missing = tuple(name for name in operators if name not in held)
            if not missing:
                return found.stored
            return _with_operators(cache, key, found.stored, missing, sizes, seed, log)
        operators = tuple(dict.fromkeys((*operators, *known_operators(found.stored.constants))))
        full = full or (found.stored.complete and not again)  # nothing is lost for one more cache
        levels, caches = _with_held(found.stored, levels, caches)
    chosen = sizes or _sizes_of(full)
    shares: list[float] = []
    constants = measure_constants(key, levels, chosen, seed, log, caches, shares, operators)
    return _kept(cache, stored_now(key, constants, full, max(shares, default=None)), log)


def _sizes_of(full: bool) -> Sizes:
    """Return the sizes of a calibration of this machine."""
    return beyond_cache(FULL if full else QUICK, last_level_bytes())


def _kept(cache: Path, stored: StoredConstants, log: Log) -> StoredConstants:
    """Store constants, with a word in their basis where others were busy meanwhile."""
    if stored.is_busy:
        told = f"while others used {stored.background_share:.0%} of the CPU"
        constants = structs.replace(stored.constants, basis=f"{MEASURED_HERE} {told}")
        stored = structs.replace(stored, constants=constants)
        log(f"calibrated {told}: measured anew once the machine is quiet")
    store_constants(cache, stored)
    return stored


def _with_operators(
    cache: Path,
    key: CalibrationKey,
    stored: StoredConstants,
    missing: tuple[str, ...],
    sizes: Sizes | None,
    seed: int,
    log: Log,
) -> StoredConstants:
    """Measure operators that the store does not hold, and let them join it."""
    shares = [share for share in (stored.background_share,) if share is not None]
    chosen = sizes or _sizes_of(stored.complete)
    replies, *_ = _replies(key, probes_of(missing), (), (), chosen, seed, log, shares)
    rates = dict(stored.constants.rates)
    for name, probe in probes_of(missing).items():
        rates |= operator_rates(probe, replies[name], chosen, stored.constants)
    joined = structs.replace(
        stored,
        constants=structs.replace(stored.constants, rates=rates),
        background_share=max(shares, default=None),
    )
    return _kept(cache, joined, log)


def machine_is_quiet() -> bool:
    """Whether others leave us the processors, over a look of LOOK_SECONDS."""
    before, own_ns = snapshot(), time.process_time_ns()
    time.sleep(LOOK_SECONDS)
    watch = difference(before, snapshot(), time.process_time_ns() - own_ns)
    return not background_of([watch]).is_busy


def _can_be_bettered(
    stored: StoredConstants, is_quiet: Callable[[], bool] | None, log: Log
) -> bool:
    """Whether constants were measured beside other programs that are gone now."""
    if not stored.is_busy or not (is_quiet or machine_is_quiet)():
        return False
    log(
        f"others used {stored.background_share:.0%} of the CPU while this machine was calibrated,"
        " now it is quiet: measuring anew"
    )
    return True


def measure_constants(
    key: CalibrationKey,
    levels: tuple[str, ...],
    sizes: Sizes,
    seed: int,
    log: Log,
    caches: tuple[str, ...] = (),
    shares: list[float] | None = None,
    operators: tuple[str, ...] = (),
) -> Constants:
    """Build the micro-graphs once, run every probe in `sizes.rounds` processes, and add up.

    Of each process the share of the CPU that others used is appended to `shares`.

    Raises:
        HarnessError: as ensure_constants.
    """
    found = probes_of(operators)
    replies, built, pulses = _replies(key, found, levels, caches, sizes, seed, log, shares)
    constants = constants_of(replies, sizes, levels, built, key.threads, caches)
    rates = dict(constants.rates)
    for name, probe in found.items():
        rates |= operator_rates(probe, replies[name], sizes, constants)
    return structs.replace(constants, rates=rates, pulse=pulse_of(pulses))


def _replies(
    key: CalibrationKey,
    operators: Mapping[str, Probe],
    levels: tuple[str, ...],
    caches: tuple[str, ...],
    sizes: Sizes,
    seed: int,
    log: Log,
    shares: list[float] | None,
) -> tuple[dict[str, list[Reply]], dict[str, Any], list[MemoryRead]]:
    """Build micro-graphs, and run every probe in a process of each round.

    Without levels those of operators alone, and no pulse; else its readings come last.
    """
    attended = caches_apart(caches)
    probes = [*COMMANDS, *attended, *kernel_levels(levels)] if levels else []
    probes += operators
    replies: dict[str, list[Reply]] = {probe: [] for probe in probes}
    pulses: list[MemoryRead] = []
    with tempfile.TemporaryDirectory(prefix="bench-calibrate-") as folder:
        log(f"calibrating {key.device}, {key.threads} threads: building {len(probes)} probes")
        with Worker.start(BUILD_MODULE) as worker:
            built = worker.ask(
                "build",
                TIMEOUT_S,
                dict,
                folder=folder,
                sizes=sizes,
                levels=list(levels),
                caches=[cache.name for cache in attended.values()],
                operators=list(operators),
            )
            worker.ask("build_pulse", TIMEOUT_S, dict, folder=folder)
        start_s = time.monotonic()
        for number, waiting in enumerate(_probers(sizes.rounds)):
            left = ROUND_SECONDS if number == 0 else (time.monotonic() - start_s) / number
            log(
                f"calibrating {key.device}, {key.threads} threads: round {number + 1} of"
                f" {sizes.rounds}, {about_time(left * (sizes.rounds - number))} left"
            )
            tell_part(number, sizes.rounds, "rounds")
            order = list(probes)
            random.Random(f"{seed}/calibrate/{number}").shuffle(order)
            looks = {look * len(order) // PULSES for look in range(PULSES)}
            before, own_ns = snapshot(), time.process_time_ns()
            own_ns += waiting.cpu_ns() if waiting else 0
            with waiting or Worker.start(PROBER.module, env=PROBER.env) as worker:
                for at, probe in enumerate(order):
                    if levels and at in looks:
                        pulses.append(
                            ask_pulse(worker, Path(folder), key.threads, PULSE_SECONDS, TIMEOUT_S)
                        )
                    do = operators[probe].command if probe in operators else None
                    replies[probe].append(_ask(worker, probe, folder, key, sizes, do))
                own_ns = worker.cpu_ns() + time.process_time_ns() - own_ns
                watch = difference(before, snapshot(), own_ns)
            found = (watch.background_cpu_share, watch.steal_share)
            if shares is not None:
                shares += [share for share in found if share is not None]
    return replies, built, pulses


def _probers(rounds: int) -> Iterator[Worker | None]:
    """Yield a fresh process for each round; see harness.machine.process.together."""
    for start in range(0, rounds, PROBERS_AT_ONCE):
        with started_together([PROBER] * min(PROBERS_AT_ONCE, rounds - start)) as workers:
            yield from workers


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


def _ask(
    worker: Worker,
    probe: str,
    folder: str,
    key: CalibrationKey,
    sizes: Sizes,
    command: str | None = None,
) -> Reply:
    """Let a process measure one probe; one of an operator has its own command."""
    arguments: dict[str, Any] = {"sizes": sizes}
    if probe != CHOICE:
        arguments["threads"] = key.threads
    if probe not in (BANDWIDTH, CHOICE):
        arguments |= {"folder": folder, "device": key.device}
    do = command or COMMANDS.get(probe)
    if command:
        arguments["probe"] = probe
    elif is_attention(probe):
        do, arguments["probe"] = COMMANDS[ATTENTION], probe
    if do is None:
        do, arguments["kernel"] = "multiply", probe
    reply: Reply = worker.ask(do, TIMEOUT_S, list, **arguments)
    return reply
