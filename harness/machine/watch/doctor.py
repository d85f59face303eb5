"""Is this machine fit to measure on, now? What it is, how busy it is, and what to change.

Each check is a row: the fact it looks at, when that is a problem, and the way out per operating
system. A fact that this system does not tell is no finding. Nothing here is asked during a run.
Each counter of energy is named, or why it tells nothing.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from harness.core.findings import OK, WARNING, Finding
from harness.core.units import GIB
from harness.machine.meters.counters import DENIED, VALUE
from harness.machine.meters.energy import COUNTERS, MACHINE, PACKAGE, read_energy
from harness.machine.meters.temperature import NO_SENSOR, hottest
from harness.machine.watch.energy_proof import NOT_NOW, prove_counters, said_of
from harness.machine.watch.facts import machine_facts
from harness.machine.watch.free_memory import free_memory_bytes
from harness.machine.watch.probes import difference, snapshot
from harness.machine.watch.reading import probe
from harness.machine.watch.sole import GO_ON, who_measures
from harness.machine.watch.trust import FOLLOWING_GOVERNORS
from harness.results.background import BACKGROUND_CPU_SHARE
from harness.results.enums import Grade
from harness.results.environment import MachineFacts
from harness.results.replies import WatchInterval


def check_energy(
    root: Path = Path("/"),
    system: str = sys.platform,
    wait: Callable[[float], None] = time.sleep,
    cache: Path | None = None,
) -> list[Finding]:
    """One finding per counter of this system, read over an idle and a busy second.

    Only one that may not be read is worth a change. Where another bench measures, the processors
    are left to it.

    Args:
        root: of the file system that Linux's counters are read from.
        system: a value of sys.platform.
        wait: for so many seconds.
        cache: folder of built models, by which other measurements are found; None: none is.
    """
    read = partial(read_energy, root=root, system=system)
    answers = read().answers
    is_alone = cache is None or not who_measures(cache)
    proofs = prove_counters(read=read, wait=wait) if is_alone else {}
    hosts = [row for row in COUNTERS if row.scope in (PACKAGE, MACHINE) and row.name in answers]
    counted = any(answers[row.name].state == VALUE for row in hosts)
    findings = []
    for row in COUNTERS:
        if row.name not in answers:
            continue
        answer = answers[row.name]
        detail = (
            said_of(row, proofs.get(row.name, NOT_NOW))
            if answer.state == VALUE
            else f"{answer.state}: {answer.reason}"
        )
        fix = row.fix if answer.state == DENIED and not counted else None
        findings.append(Finding(f"energy: {row.name}", OK if fix is None else WARNING, detail, fix))
    return findings


LISTEN_SECONDS = 1.0
LEAST_MEMORY_BYTES = GIB
LEAST_DISK_BYTES = 4 * GIB  # two or three small models at full precision
SLOW_CLOCKS = ("hpet", "acpi_pm", "jiffies", "refined-jiffies")
COARSE_NS = 1_000.0
HOT_CELSIUS = 80.0

LINUX, MAC, WINDOWS = "linux", "darwin", "win32"
FIXES: Mapping[str, Mapping[str, str]] = {  # what to do, by the system it is done on
    "governor": {
        LINUX: "sudo cpupower frequency-set -g performance",
        MAC: "System Settings, Battery, Energy Mode: Automatic or High Power",
        WINDOWS: "powercfg /setactive SCHEME_MIN",
    },
    "memory": {
        LINUX: "close programs; `ps --sort -rss aux | head` lists the largest",
        MAC: "close programs; Activity Monitor, Memory, lists the largest",
        WINDOWS: "close programs; Task Manager, Memory, lists the largest",
    },
    "load": {
        LINUX: "close programs; `top` lists the busy ones",
        MAC: "close programs; Activity Monitor, CPU, lists the busy ones (and Spotlight)",
        WINDOWS: "close programs; Task Manager lists the busy ones (and Windows Update, Defender)",
    },
}


@dataclass(frozen=True, slots=True)
class State:
    """What the checks look at.

    Attributes:
        facts: of the machine.
        watch: the machine while nothing of ours ran.
        free_memory_bytes: that a new process could take; None: unknown.
        free_disk_bytes: on the disk of the model cache; None: unknown.
        celsius: of the hottest sensor of the processor; None: there is none.
        system: a value of sys.platform.
        measuring: other measurements, with the classes of devices that they hold.
    """

    facts: MachineFacts
    watch: WatchInterval
    free_memory_bytes: int | None
    free_disk_bytes: int | None
    celsius: float | None
    system: str
    measuring: Mapping[str, Sequence[str]] = field(default_factory=dict)


def check_machine(cache: Path, root: Path = Path("/"), system: str = sys.platform) -> list[Finding]:
    """Look at the machine for a second, and judge it.

    Args:
        cache: folder of built models; its disk is looked at.
        root: of the file system that Linux's facts are read from.
        system: a value of sys.platform.
    """
    before, own_ns = snapshot(root, system), time.process_time_ns()
    time.sleep(LISTEN_SECONDS)
    watch = difference(before, snapshot(root, system), time.process_time_ns() - own_ns)
    state = State(
        facts=machine_facts(root, system),
        watch=watch,
        free_memory_bytes=probe(lambda: free_memory_bytes(root)).value,
        free_disk_bytes=probe(lambda: _free_disk_bytes(cache)).value,
        celsius=_hottest_celsius(),
        system=system,
        measuring=who_measures(cache),
    )
    return list(judge_machine(state))


def judge_machine(state: State) -> Iterator[Finding]:
    """One finding per check that has something to look at."""
    for name, check in CHECKS.items():
        found = check(state)
        if found is not None:
            detail, fix = found
            yield Finding(name, OK if fix is None else WARNING, detail, fix)


Found = tuple[str, str | None] | None  # what was found, and what to do; None: nothing to look at


def _measuring(state: State) -> Found:
    """Another `bench` that measures, which a run waits for."""
    if not state.measuring:
        return "no other measurement goes on", None
    told = "; ".join(f"{who} holds {', '.join(kinds)}" for who, kinds in state.measuring.items())
    return f"{told}: a run on the same devices waits for it", GO_ON


def _load(state: State) -> Found:
    """Other programs on our processors."""
    share = state.watch.background_cpu_share
    if share is None:
        return None
    detail = f"others use {share:.1%} of the usable processors"
    return detail, None if share <= BACKGROUND_CPU_SHARE[Grade.A] else _way("load", state)


def _steal(state: State) -> Found:
    """Other guests on our processors."""
    share = state.watch.steal_share
    if share is None:
        return None
    detail = f"the host takes {share:.1%} of the usable processors"
    fix = "a machine that is not shared; or `bench ab`, whose turns fall on both sides alike"
    return detail, None if share <= BACKGROUND_CPU_SHARE[Grade.A] else fix


def _governor(state: State) -> Found:
    """How the frequency is chosen."""
    governor = state.facts.governor
    if governor is None:
        return None
    return governor, _way("governor", state) if governor in FOLLOWING_GOVERNORS else None


def _power(state: State) -> Found:
    """Battery or mains."""
    on_battery = state.facts.on_battery
    if on_battery is None:
        return None
    detail = "runs from its battery" if on_battery else "runs from the mains"
    return detail, "plug it in, unless the battery is what you ask about" if on_battery else None


def _memory(state: State) -> Found:
    """Room for weights and caches."""
    free = state.free_memory_bytes
    if free is None:
        return None
    detail = f"{free / GIB:.1f} GiB are free"
    return detail, _way("memory", state) if free < LEAST_MEMORY_BYTES else None


def _swap(state: State) -> Found:
    """Traffic of the last second: what is in swap already costs nothing."""
    parts = (state.watch.swapped_in_bytes, state.watch.swapped_out_bytes)
    if None in parts:
        return None
    moved = sum(part or 0 for part in parts)
    detail = "nothing moves" if not moved else f"{moved} bytes moved in the last second"
    return detail, _way("memory", state) if moved else None


def _disk(state: State) -> Found:
    """Room for built models."""
    free = state.free_disk_bytes
    if free is None:
        return None
    detail = f"{free / GIB:.1f} GiB are free for built models"
    return detail, None if free >= LEAST_DISK_BYTES else "free some, or BENCH_CACHE=DIR elsewhere"


def _quota(state: State) -> Found:
    """A container's share of the processors."""
    cores, usable = state.facts.container_cpu_cores, state.facts.usable_cores
    if cores is None:
        return None
    detail = f"this container may use {cores:g} processors; {usable} threads are used"
    whole = float(cores).is_integer()
    return detail, None if whole else "a whole number of processors: the rest of one is throttled"


def _clock(state: State) -> Found:
    """What durations are read from."""
    source, tick_ns = state.facts.clock_source, state.facts.clock_resolution_ns
    if source is None and tick_ns is None:
        return None
    detail = f"{source or 'unknown'}, {tick_ns or 0:g} ns a tick"
    slow = source in SLOW_CLOCKS or (tick_ns or 0) > COARSE_NS
    return detail, "boot with clocksource=tsc, or measure longer tests" if slow else None


def _heat(state: State) -> Found:
    """Heat left over from before."""
    if state.celsius is None:
        return f"{NO_SENSOR}: --start-below waits for nothing", None
    fix = (
        "let it cool down: --start-below 60C, or --cooldown 60s"
        if state.celsius > HOT_CELSIUS
        else None
    )
    return f"{state.celsius:.0f} °C, the hottest sensor of the processor", fix


def _telemetry(state: State) -> Found:
    """What onnxruntime's wheels write and send while they are measured."""
    on = state.facts.onnxruntime_telemetry
    if on is None:
        return None
    if not on:
        return "onnxruntime's is off in every process that is measured", None
    fix = "unset ORT_DISABLE_TELEMETRY; `bench run --telemetry default` measures with them"
    return "onnxruntime keeps and sends events inside timed samples", fix


CHECKS: Mapping[str, Callable[[State], Found]] = {
    "other bench": _measuring,
    "other programs": _load,
    "host": _steal,
    "frequency": _governor,
    "power": _power,
    "memory": _memory,
    "swap": _swap,
    "disk": _disk,
    "container": _quota,
    "clock": _clock,
    "heat": _heat,
    "telemetry": _telemetry,
}


def _way(name: str, state: State) -> str:
    """What to do on this system."""
    fixes = FIXES[name]
    return fixes[LINUX if state.system not in fixes else state.system]


def _free_disk_bytes(folder: Path) -> int:
    """Free bytes on the disk of a folder that need not be there yet."""
    import psutil

    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    return int(psutil.disk_usage(str(there)).free)


def _hottest_celsius() -> float | None:
    """Of the hottest sensor of the processor; None: there is none."""
    found = hottest()
    return None if found is None else found.celsius
