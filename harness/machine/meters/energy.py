"""Energy of a timed part: counters read before and after it, one row per source. Pure but for ask.

What is counted is what the sources cover: everything that ran on the package, the device or the
machine meanwhile, and what they use when idle. A counter that could be asked, and did not follow
load (see energy_proof.py), is none.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from harness.core.units import NS_PER_S
from harness.machine.meters.counters import UNAVAILABLE, VALUE, Answer, NoCounterError, ask
from harness.machine.meters.energy_readers import (
    Zone,
    Zones,
    read_battery,
    read_emi,
    read_ioreport,
    read_nvml,
    read_rapl,
)
from harness.machine.meters.samples import Clock
from harness.results.replies import EnergyUsed, Hardware

PACKAGE, DEVICE, MACHINE = "package", "device", "machine"
# No zone of a package, of Apple's chip, no board and no battery gives more; a counter could have
# wrapped twice in a longer part. Assumes: GB200's board, 1.4 kW, is the hungriest.
PACKAGE_WATTS, CHIP_WATTS, BOARD_WATTS, BATTERY_WATTS = 1000.0, 500.0, 2000.0, 500.0
# A part must draw this much more than the idle second before it.
FOLLOWS_RATIO = 1.05


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
        most_watts: more than a zone of it ever draws; what grows faster has jumped.
        proven_by: whether a second of load can be told by it: PACKAGE by one on the processors,
            DEVICE by the timed part itself, None by nothing so short.
        vendor_id: of the cards it counts; None: it counts no card.
        load_zone: the zone that the processors' load moves; None: all of them together.
        own_zones: of a device built into the package, by its class: one of them must have moved
            with a timed part.
        fix: what gives a refused user the right to read it.
    """

    name: str
    covers: str
    scope: str
    systems: tuple[str, ...]
    read: Callable[[Path], Zones]
    least_s: float
    most_watts: float = PACKAGE_WATTS
    proven_by: str | None = PACKAGE
    vendor_id: str | None = None
    load_zone: str | None = None
    own_zones: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
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
        name="ioreport",
        covers="Apple's chip: processor, graphics processor, neural engine, memory",
        scope=PACKAGE,
        systems=("darwin",),
        read=read_ioreport,
        least_s=0.5,  # in mJ; Assumes: it moves every 100 ms or sooner
        most_watts=CHIP_WATTS,
        load_zone="cpu",
        own_zones={"gpu": ("gpu",), "npu": ("ane", "gpu")},
    ),
    EnergyCounter(
        name="nvml",
        covers="the NVIDIA board",
        scope=DEVICE,
        systems=("linux", "win32"),
        read=read_nvml,
        least_s=1.0,  # it moves every 20 to 100 ms
        most_watts=BOARD_WATTS,
        proven_by=DEVICE,
        vendor_id="0x10de",
    ),
    EnergyCounter(
        name="battery",
        covers="the whole machine, screen included",
        scope=MACHINE,
        systems=("linux",),
        read=read_battery,
        least_s=120.0,  # gauges move every 1 to 30 s
        most_watts=BATTERY_WATTS,
        proven_by=None,
    ),
)


@dataclass(frozen=True, slots=True)
class EnergyReading:
    """Every counter of this system at one moment; `answers` by name."""

    clock_ns: int
    answers: Mapping[str, Answer]


@dataclass(frozen=True, slots=True)
class Proof:
    """What a counter said over an idle second and one of load on all processors.

    Attributes:
        idle_watts: by zone, and of all together under "".
        busy_watts: the same; empty: that load is none of its own.
        problem: why it is not believed; empty: nothing speaks against it.
        words: what was seen, for people.
    """

    idle_watts: Mapping[str, float]
    busy_watts: Mapping[str, float]
    problem: str
    words: str


Proofs = Mapping[str, Proof]  # by counter


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
    proofs: Proofs | None = None,
) -> EnergyUsed:
    """What was used between two readings, by everything that the counters cover.

    The package and, of a card, the card's own counter; without a package counter the battery; of
    a card without either its own counter alone.

    Args:
        before: the earlier one.
        after: the later one.
        hardware: the device; None: the processor.
        counters: rows.
        proofs: of the counters; None: nobody asked them for any.
    """
    seconds = (after.clock_ns - before.clock_ns) / NS_PER_S
    card, uncounted = own_counter(hardware, counters)
    kind = None if hardware is None else hardware.device_class
    zones = {
        row.name: ask(partial(_believed, row, before, after, seconds, kind, (proofs or {})))
        for row in counters
        if row.name in before.answers
    }
    spent = {
        name: Answer(VALUE, sum(found.value.values())) if found.state == VALUE else found
        for name, found in zones.items()
    }
    chosen = _chosen(spent, card, uncounted, kind, counters)
    if chosen is None:
        return EnergyUsed(joules=None, reason=_why(spent, card, uncounted, counters))
    return _measured(zones, chosen[0], chosen[1], proofs or {})


def _chosen(
    spent: Mapping[str, Answer],
    card: EnergyCounter | None,
    uncounted: str | None,
    kind: str | None,
    counters: Sequence[EnergyCounter],
) -> tuple[EnergyCounter | None, EnergyCounter | None] | None:
    """The counters of host and card that tell of a device; None: none does.

    A device is told of by a package that has a zone of its own for devices of its class, whatever
    else says or does not say that it is built in.
    """
    known = [row for row in counters if _is_known(spent, row.name)]
    package = next((row for row in known if row.scope == PACKAGE), None)
    machine = next((row for row in known if row.scope == MACHINE), None)
    is_card_known = card is not None and card in known
    if card is None and package is not None and kind in package.own_zones:
        uncounted = None
    if package and uncounted is None and (card is None or is_card_known):
        return package, card
    if machine:
        return machine, None
    return (None, card) if is_card_known else None


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


def zones_grown(
    row: EnergyCounter, before: EnergyReading, after: EnergyReading
) -> dict[str, float]:
    """Joules that each zone of one counter has counted, however short the part was.

    Raises:
        NoCounterError: it has no answer, lost it meanwhile, went backwards or jumped.
    """
    seconds = (after.clock_ns - before.clock_ns) / NS_PER_S
    for reading, gone in ((before, ""), (after, "it vanished meanwhile: ")):
        answer = reading.answers[row.name]
        if answer.state != VALUE:
            raise NoCounterError(f"{gone}{answer.state}, {answer.reason}")
    first, last = (reading.answers[row.name].value for reading in (before, after))
    if first.keys() != last.keys():
        raise NoCounterError("its zones changed meanwhile")
    return {name: _grown(row, first[name], last[name], seconds) for name in first}


def _believed(
    row: EnergyCounter,
    before: EnergyReading,
    after: EnergyReading,
    seconds: float,
    kind: str | None,
    proofs: Proofs,
) -> dict[str, float]:
    """Joules by zone that one counter has counted and that can be believed.

    Raises:
        NoCounterError: as zones_grown, or it did not move, the part is too short for it, or it
            does not follow load.
    """
    proof = proofs.get(row.name)
    if proof is not None and proof.problem and before.answers[row.name].state == VALUE:
        raise NoCounterError(f"{UNAVAILABLE}, {proof.problem}")
    grown = zones_grown(row, before, after)
    if seconds < row.least_s:
        raise NoCounterError(
            f"{seconds:.2g} s are too short for its steps; in a plan: sample_seconds ="
            f" {row.least_s:g}"
        )
    if sum(grown.values()) <= 0:
        raise NoCounterError("it did not move")
    if proof is not None:
        _refuse_still(row, grown, seconds, kind, proof)
    return grown


def _refuse_still(
    row: EnergyCounter, grown: Mapping[str, float], seconds: float, kind: str | None, proof: Proof
) -> None:
    """Refuse a card's counter, or a zone of the device, that no timed part moves.

    Raises:
        NoCounterError: it drew as much in the idle second.
    """
    own = [zone for zone in row.own_zones.get(kind or "", ()) if zone in grown]
    if row.proven_by != DEVICE and not own:
        return
    moved = {zone: grown[zone] for zone in own} or {"": sum(grown.values())}
    told = []
    for zone, joules in moved.items():
        idle, busy = proof.idle_watts.get(zone, 0.0), joules / seconds
        if busy > idle * FOLLOWS_RATIO:
            return
        name = f"{zone}: " if zone else ""
        told.append(f"{name}{watts(idle)} idle, {watts(busy)} in the timed part")
    raise NoCounterError(f"{UNAVAILABLE}, does not follow load ({'; '.join(told)})")


def watts(value: float) -> str:
    """A power for people: three digits."""
    return f"{value:.3g} W" if value < 999.5 else f"{value:,.0f} W"


def _grown(row: EnergyCounter, first: Zone, last: Zone, seconds: float) -> float:
    """Joules between two readings of a zone; past its end a counter goes on from 0."""
    per_unit = (first.joules_per_unit + last.joules_per_unit) / 2
    amount = last.amount - first.amount
    if first.wraps_at is not None:
        if seconds * row.most_watts > first.wraps_at * per_unit:
            raise NoCounterError(f"it may have wrapped more than once in {seconds:.0f} s")
        amount += first.wraps_at if amount < 0 else 0
    if amount < 0:
        raise NoCounterError("it went backwards")
    joules = amount * per_unit
    if seconds > 0 and joules > seconds * row.most_watts:
        raise NoCounterError(
            f"it jumped: {watts(joules / seconds)} is more than any of its kind draws"
        )
    return joules


def _is_known(spent: Mapping[str, Answer], name: str) -> bool:
    return name in spent and spent[name].state == VALUE


def _measured(
    zones: Mapping[str, Answer],
    host: EnergyCounter | None,
    card: EnergyCounter | None,
    proofs: Proofs,
) -> EnergyUsed:
    """The answer of one or two counters."""
    rows = [row for row in (host, card) if row is not None]
    parts = {row.name: float(sum(zones[row.name].value.values())) for row in rows}
    return EnergyUsed(
        joules=sum(parts.values()),
        host=None if host is None else host.name,
        device=None if card is None else card.name,
        parts=parts,
        zones={
            row.name: {zone: float(joules) for zone, joules in zones[row.name].value.items()}
            for row in rows
            if len(zones[row.name].value) > 1
        },
        proofs={row.name: proofs[row.name].words for row in rows if row.name in proofs},
    )


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
