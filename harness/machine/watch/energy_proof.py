"""Whether counters of energy follow load: read over an idle second and a busy one, before use.

Virtual machines show counters that stand still, drivers some that grow as a clock does; either
would be taken for energy. Each second is read in four quarters. A counter of packages follows when

    15 of the 16 pairs of a busy and an idle quarter have the busy one above (2 of 70 by chance)
    the mean of the busy quarters is 5 % above that of the idle ones, and at least LEAST_WATTS

Source of the share by chance: Mann and Whitney 1947, doi:10.1214/aoms/1177730491, U of 4 and 4. The
load is a hash on every usable core, in threads, outside of Python's lock. A card is not
moved by it: its idle second is kept, and the first timed part is its busy one; a zone of a graphics
processor or neural engine in the package is held against its idle second likewise. A battery's
steps are longer than seconds: it is not proven, and says so.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from itertools import pairwise
from statistics import fmean

from harness.core.units import NS_PER_S
from harness.machine.meters.counters import UNAVAILABLE, VALUE, NoCounterError
from harness.machine.meters.energy import (
    COUNTERS,
    DEVICE,
    FOLLOWS_RATIO,
    EnergyCounter,
    EnergyReading,
    Proof,
    Proofs,
    read_energy,
    watts,
    zones_grown,
)
from harness.machine.watch.cores import usable_cores

QUARTERS, QUARTER_S = 4, 0.25
FOLLOWS_PAIRS = 15  # of 16
LEAST_WATTS = 0.1  # what less than this reads under load has another unit than it says
HASHED = bytes(2**20)

Read = Callable[[], EnergyReading]


def prove_counters(
    counters: Sequence[EnergyCounter] = COUNTERS,
    read: Read | None = None,
    wait: Callable[[float], None] = time.sleep,
    load: Callable[[], AbstractContextManager[None]] | None = None,
) -> dict[str, Proof]:
    """Read the counters of this system over an idle second, and over a busy one where one can tell.

    Nothing is waited for where no counter answers that a second can tell anything of.

    Args:
        counters: rows.
        read: all of them at one moment; None: this machine's.
        wait: for so many seconds.
        load: keeps the processors busy meanwhile; None: all usable cores.
    """
    take = read or (lambda: read_energy(counters))
    first = take()
    asked = [row for row in counters if row.name in first.answers]
    answering = [row for row in asked if first.answers[row.name].state == VALUE]
    proofs = {row.name: UNPROVEN for row in answering if row.proven_by is None}
    provable = [row for row in answering if row.proven_by is not None]
    if not provable:
        return proofs
    idle, busy = _quarters(take, wait), []
    if any(row.proven_by != DEVICE for row in provable):
        with (load or busy_processors)():
            busy = _quarters(take, wait)
    return proofs | {row.name: judge(row, idle, busy) for row in provable}


UNPROVEN = Proof({}, {}, "", "not proven: its steps are longer than a second")
NOT_NOW = Proof({}, {}, "", "not proven now: load would disturb a measurement that goes on")


def judge(
    row: EnergyCounter, idle: Sequence[EnergyReading], busy: Sequence[EnergyReading]
) -> Proof:
    """Say whether one counter follows load.

    Args:
        row: the counter.
        idle: readings, one more than parts.
        busy: likewise, under load on every processor.
    """
    try:
        calm = _watts(row, idle)
        loaded = [] if row.proven_by == DEVICE else _watts(row, busy)
    except NoCounterError as error:
        return Proof({}, {}, str(error), str(error))
    idle_watts = _means(calm)
    if row.proven_by == DEVICE:
        told = f"{watts(idle_watts[''])} idle, each timed part must draw more"
        return Proof(idle_watts, {}, "", told)
    busy_watts, zone = _means(loaded), row.load_zone or ""
    told = f"{watts(idle_watts[zone])} idle, {watts(busy_watts[zone])} busy"
    problem = _problem([one[zone] for one in calm], [one[zone] for one in loaded])
    if problem:
        return Proof(idle_watts, busy_watts, f"{problem} ({told})", told)
    return Proof(idle_watts, busy_watts, "", f"follows load: {told}")


def _problem(idle: Sequence[float], busy: Sequence[float]) -> str:
    """Why watts under load are not those of a counter that follows it; empty: they are."""
    if not any(busy):
        return "does not follow load: it does not move"
    if fmean(busy) < LEAST_WATTS:
        return "does not follow load: no processor draws so little, its unit is another"
    above = sum(loaded > calm for loaded in busy for calm in idle)
    share = FOLLOWS_PAIRS / QUARTERS**2
    if above < share * len(busy) * len(idle) or fmean(busy) < FOLLOWS_RATIO * fmean(idle):
        return "does not follow load"
    return ""


def _quarters(take: Read, wait: Callable[[float], None]) -> list[EnergyReading]:
    """Readings with a quarter of a second between two."""
    readings = [take()]
    for _ in range(QUARTERS):
        wait(QUARTER_S)
        readings.append(take())
    return readings


def _watts(row: EnergyCounter, readings: Sequence[EnergyReading]) -> list[dict[str, float]]:
    """Power of each part by zone, and of all together under "", W.

    Raises:
        NoCounterError: as zones_grown.
    """
    found = []
    for before, after in pairwise(readings):
        grown = zones_grown(row, before, after)
        seconds = (after.clock_ns - before.clock_ns) / NS_PER_S
        powers = {zone: joules / seconds for zone, joules in grown.items()}
        found.append({**powers, "": sum(powers.values())})
    return found


def _means(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means of parts of one length, by zone."""
    return {zone: fmean(part[zone] for part in parts) for zone in parts[0]}


def said_of(row: EnergyCounter, proof: Proof | None) -> str:
    """What one counter counts and how it followed load, or why it is not believed.

    Args:
        row: a counter that answers.
        proof: of it; None: nobody asked.
    """
    if proof is not None and proof.problem:
        return f"{UNAVAILABLE}: {proof.problem}"
    return f"counts {row.covers}" + (f"; {proof.words}" if proof is not None else "")


@contextmanager
def busy_processors(processors: int | None = None) -> Iterator[None]:
    """Keep processors busy, a thread each; hashes of large blocks let other threads run.

    Args:
        processors: how many; None: as many as there are usable cores.
    """
    ended = threading.Event()

    def hash_on() -> None:
        while not ended.is_set():
            hashlib.sha256(HASHED).digest()

    threads = [
        threading.Thread(target=hash_on, daemon=True) for _ in range(processors or usable_cores())
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


@cache
def proofs_here() -> Proofs:
    """The proofs of this machine's counters, asked for once a process."""
    return prove_counters()
