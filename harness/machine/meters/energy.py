"""Energy of a timed part: counters read before and after it, one row per source. Pure but for ask.

What is counted is what the sources cover: everything that ran on the package, the device or the
machine meanwhile, and what they use when idle.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.core.units import NS_PER_S
from harness.machine.meters.counters import VALUE, Answer, NoCounterError, ask
from harness.machine.meters.energy_readers import (
    Zone,
    Zones,
    read_battery,
    read_emi,
    read_nvml,
    read_powermetrics,
    read_rapl,
)
from harness.machine.meters.samples import Clock
from harness.results.replies import EnergyUsed, Hardware

PACKAGE, DEVICE, MACHINE = "package", "device", "machine"
# No package, board or battery gives more; a counter could have wrapped twice in a longer part.
MOST_WATTS = 1000.0


@dataclass(frozen=True, slots=True)
class EnergyCounter:
    """One source.

    Attributes:
        name: the word in results.
        covers: what it counts, in words.
        scope: PACKAGE (processors and what is built into them), DEVICE (a card) or MACHINE.
        systems: values of sys.platform on which it exists.
        read: its zones below a file system root.
        least_s: shortest part for which its steps are small enough, a few percent.
        vendor_id: of the cards it counts; None: it counts no card.
        fix: what gives a refused user the right to read it.
    """

    name: str
    covers: str
    scope: str
    systems: tuple[str, ...]
    read: Callable[[Path], Zones]
    least_s: float
    vendor_id: str | None = None
    fix: str | None = None


COUNTERS = (
    EnergyCounter(
        name="rapl",
        covers="processor packages",
        scope=PACKAGE,
        systems=("linux",),
        read=read_rapl,
        least_s=0.1,  # it moves every ms
        fix="sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj (until the next start)",
    ),
    EnergyCounter("emi", "processor packages", PACKAGE, ("win32",), read_emi, least_s=1.0),
    EnergyCounter(
        "powermetrics", "processor packages", PACKAGE, ("darwin",), read_powermetrics, least_s=1.0
    ),
    EnergyCounter(
        name="nvml",
        covers="the NVIDIA board",
        scope=DEVICE,
        systems=("linux", "win32"),
        read=read_nvml,
        least_s=1.0,  # it moves every 20 to 100 ms
        vendor_id="0x10de",
    ),
    EnergyCounter(
        name="battery",
        covers="the whole machine, screen included",
        scope=MACHINE,
        systems=("linux",),
        read=read_battery,
        least_s=120.0,  # gauges move every 1 to 30 s
    ),
)


@dataclass(frozen=True, slots=True)
class EnergyReading:
    """Every counter of this system at one moment; `answers` by name."""

    clock_ns: int
    answers: Mapping[str, Answer]


def read_energy(
    counters: Sequence[EnergyCounter] = COUNTERS,
    root: Path = Path("/"),
    system: str = sys.platform,
    clock: Clock = time.perf_counter_ns,
) -> EnergyReading:
    """Read every counter of this system now.

    Args:
        counters: rows; those of other systems are left out.
        root: of the file system that Linux's counters are read from.
        system: a value of sys.platform.
        clock: monotonic, in ns.
    """
    answers = {
        counter.name: ask(partial(counter.read, root))
        for counter in counters
        if system in counter.systems
    }
    return EnergyReading(clock(), answers)


def energy_used(
    before: EnergyReading,
    after: EnergyReading,
    hardware: Hardware | None = None,
    counters: Sequence[EnergyCounter] = COUNTERS,
) -> EnergyUsed:
    """What was used between two readings, by everything that the counters cover.

    The package and, of a card, the card's own counter; without a package counter the battery; of
    a card without either its own counter alone.

    Args:
        before: the earlier one.
        after: the later one.
        hardware: the device; None: the processor.
        counters: rows.
    """
    seconds = (after.clock_ns - before.clock_ns) / NS_PER_S
    spent = {
        counter.name: ask(partial(_spent, counter, before, after, seconds))
        for counter in counters
        if counter.name in before.answers
    }
    card, uncounted = own_counter(hardware, counters)
    by_scope = {
        scope: [row.name for row in counters if row.scope == scope and _is_known(spent, row.name)]
        for scope in (PACKAGE, MACHINE)
    }
    is_card_known = card is not None and _is_known(spent, card.name)
    if by_scope[PACKAGE] and uncounted is None and (card is None or is_card_known):
        return _measured(spent, by_scope[PACKAGE][0], card)
    if by_scope[MACHINE]:
        return _measured(spent, by_scope[MACHINE][0], None)
    if is_card_known:
        return _measured(spent, None, card)
    return EnergyUsed(joules=None, reason=_why(spent, card, uncounted, counters))


def own_counter(
    hardware: Hardware | None, counters: Sequence[EnergyCounter] = COUNTERS
) -> tuple[EnergyCounter | None, str | None]:
    """The counter that a device has besides the package; or why nothing is known of its energy.

    An NPU is taken to be built into the processor, a graphics processor only where the system
    says so.
    """
    if hardware is None or hardware.device_class == "cpu":
        return None, None
    kind = hardware.device_class
    for counter in counters:
        if counter.vendor_id is not None and counter.vendor_id == hardware.vendor_id:
            return counter, None
    if kind == "npu" or hardware.discrete is False:
        return None, None
    if hardware.discrete:
        return None, f"nothing counts the energy of this {kind}"
    return None, f"nothing tells whether this {kind} is built into the counted package"


def _spent(
    row: EnergyCounter, before: EnergyReading, after: EnergyReading, seconds: float
) -> float:
    """Joules that one counter has counted.

    Raises:
        NoCounterError: it has no answer, did not move, or the part is too short or long for it.
    """
    for reading in (before, after):
        answer = reading.answers[row.name]
        if answer.state != VALUE:
            raise NoCounterError(f"{answer.state}, {answer.reason}")
    if seconds < row.least_s:
        raise NoCounterError(
            f"{seconds:.2g} s are too short for its steps; in a plan: sample_seconds ="
            f" {row.least_s:g}"
        )
    first, last = (reading.answers[row.name].value for reading in (before, after))
    if first.keys() != last.keys():
        raise NoCounterError("its zones changed meanwhile")
    joules = sum(_grown(first[name], last[name], seconds) for name in first)
    if joules <= 0:
        raise NoCounterError("it did not move")
    return float(joules)


def _grown(first: Zone, last: Zone, seconds: float) -> float:
    """Joules between two readings of a zone; past its end a counter goes on from 0."""
    per_unit = (first.joules_per_unit + last.joules_per_unit) / 2
    amount = last.amount - first.amount
    if first.wraps_at is not None:
        if seconds * MOST_WATTS > first.wraps_at * per_unit:
            raise NoCounterError(f"it may have wrapped more than once in {seconds:.0f} s")
        amount += first.wraps_at if amount < 0 else 0
    return amount * per_unit


def _is_known(spent: Mapping[str, Answer], name: str) -> bool:
    return name in spent and spent[name].state == VALUE


def _measured(
    spent: Mapping[str, Answer], host: str | None, card: EnergyCounter | None
) -> EnergyUsed:
    """The answer of one or two counters."""
    device = None if card is None else card.name
    parts = {name: spent[name].value for name in (host, device) if name is not None}
    return EnergyUsed(joules=sum(parts.values()), host=host, device=device, parts=parts)


def _why(
    spent: Mapping[str, Answer],
    card: EnergyCounter | None,
    uncounted: str | None,
    counters: Sequence[EnergyCounter],
) -> str:
    """What every counter that could have told said instead."""
    asked = [row for row in counters if row.scope != DEVICE or row is card]
    said = [
        f"{row.name}: {spent[row.name].reason}"
        for row in asked
        if row.name in spent and spent[row.name].state != VALUE
    ]
    return "; ".join([*([uncounted] if uncounted else []), *said]) or "no counter on this system"
