"""The ledger of a fleet: which cell is to be measured where, what came of it, and what was lost.

Pure of any engine: events come in, orders go to a Crew. A cell is done once, however often it is
delivered; a lost worker costs what it had not finished.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from harness.core.errors import EXIT_INTERRUPTED
from harness.core.findings import Log
from harness.fleet.scheduling.offer import needed
from harness.fleet.scheduling.placing import ANY, EACH, Member, Wanted, unit_for
from harness.fleet.scheduling.task import Reply

KEY_WORDS = 4  # bench, cell, machine, try
MOST_KILLS = 3  # workers that may be lost while they measure a cell, before it is given up
MOST_TRIES = 12  # of a cell, whatever became of them


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement that is to be made.

    Attributes:
        wanted: the cell.
        machine: hash of the machine that is to measure it; empty: any that has the device.
        name: of that machine's worker; empty likewise.
        tries: how often it was given out.
        address: of the worker that has it; empty: the scheduler decides, or nobody has it.
        waits_since_s: since when no worker can take it; None: one can.
    """

    wanted: Wanted
    machine: str = ""
    name: str = ""
    tries: int = 0
    address: str = ""
    waits_since_s: float | None = None

    @property
    def place(self) -> tuple[str, str]:
        """What tells it from others: its cell and its machine."""
        return self.wanted.cell, self.machine

    @property
    def key(self) -> str:
        """By which the engine knows this try."""
        return f"bench-{self.wanted.cell}-{self.machine or ANY}-{self.tries}"


@dataclass(frozen=True, slots=True)
class Order:
    """What an engine is asked for.

    Attributes:
        key: of the task.
        cell: its hash.
        text: of its file.
        address: of the only worker that may have it; empty: any.
        resources: that it takes while it runs.
    """

    key: str
    cell: str
    text: str
    address: str
    resources: Mapping[str, float]


class Crew(Protocol):
    """The engine: takes orders; what comes of them is told to the ledger."""

    def submit(self, orders: Sequence[Order]) -> None:
        """Give out tasks."""

    def cancel(self, key: str) -> None:
        """Take a task back, if it has not begun."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A cell without a result.

    Attributes:
        cell: its hash.
        machine: that was to measure it; empty: any.
        name: of that machine's worker; empty likewise.
        reason: why there is none.
    """

    cell: str
    machine: str
    name: str
    reason: str


@dataclass(slots=True)
class Ledger:
    """Every job of a plan, and where it is.

    Attributes:
        crew: takes orders.
        version: of this package.
        method: METHOD_VERSION.
        grace_s: how long a job waits for a worker that can take it.
        log: told what is lost and moved.
        members: workers that may be used now.
        open: jobs that are not done, by what tells them apart.
        done: those that are.
        losses: those that never will be.
        measuring: what each worker has begun, by its address.
        kills: how many workers were lost while they measured a job.
    """

    crew: Crew
    version: str
    method: int
    grace_s: float
    log: Log
    members: tuple[Member, ...] = ()
    open: dict[tuple[str, str], Job] = field(default_factory=dict)
    done: set[tuple[str, str]] = field(default_factory=set)
    losses: list[Loss] = field(default_factory=list)
    measuring: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """How many jobs there are."""
        return len(self.open) + len(self.done) + len(self.losses)

    def begin(
        self,
        cells: Sequence[Wanted],
        place: str,
        members: tuple[Member, ...],
        known: Collection[tuple[str, str]],
        now_s: float,
    ) -> None:
        """Lay out the jobs and give out what can be.

        Args:
            cells: of the plan.
            place: EACH or ANY.
            members: workers that are there.
            known: cells and machines whose results are there already.
            now_s: of a clock that only goes forward.
        """
        self.members = members
        cells_known = {cell for cell, _ in known}
        for wanted in cells:
            jobs = self._each(wanted) if place == EACH else [Job(wanted)]
            if not jobs:
                reason = f"no worker offers {wanted.device}"
                self.losses.append(Loss(wanted.cell, "", "", reason))
            for job in jobs:
                is_known = job.place in known if job.machine else wanted.cell in cells_known
                if is_known:
                    self.done.add(job.place)
                else:
                    self.open[job.place] = job
        self._give_out(tuple(self.open.values()), now_s)

    def changed(self, members: tuple[Member, ...], now_s: float) -> None:
        """Workers came or went: move what they had, and give out what waits."""
        gone = {one.address: one for one in self.members}
        self.members = members
        left = gone.keys() - {one.address for one in members}
        for address in sorted(left):
            self.log(f"worker {gone[address].offer.name} is gone")
            self.kills.update(self.measuring.pop(address, ()))
        self._give_up_on_killers()
        moved = []
        for job in self.open.values():
            if job.address in left:
                moved.append(replace(job, address="", waits_since_s=now_s))
            elif job.waits_since_s is not None or not job.machine:
                moved.append(job)
        self._give_out(tuple(moved), now_s)

    def began(self, cell: str, address: str) -> None:
        """Note that a worker has begun with a cell."""
        machines = [one.offer.machine for one in self.members if one.address == address]
        for place in ((cell, machine) for machine in (*machines, "")):
            if place in self.open:
                self.measuring.setdefault(address, set()).add(place)

    def killed(self, place: tuple[str, str], key: str, now_s: float) -> None:
        """The engine gives a task up for the workers that were lost with it.

        dask counts also what only waited at them: what was not measured there goes out again.
        """
        self._give_up_on_killers()
        self.took(place, key, now_s)

    def job_of(self, key: str) -> Job | None:
        """The open job that a try belongs to, its newest or an older one."""
        words = key.split("-")
        if len(words) != KEY_WORDS:
            return None
        return self.open.get((words[1], "" if words[2] == ANY else words[2]))

    def took(self, place: tuple[str, str], key: str, now_s: float) -> None:
        """A job came back without being measured: its worker was stopped. Give it out again."""
        job = self.open.get(place)
        if job is not None and job.key == key:
            self._give_out((replace(job, address="", waits_since_s=now_s),), now_s)

    def finished(self, place: tuple[str, str]) -> bool:
        """Note a result; False: it was there already, or is not waited for any more."""
        if self.open.pop(place, None) is None:
            return False
        for begun in self.measuring.values():
            begun.discard(place)
        self.done.add(place)
        return True

    def lost(self, place: tuple[str, str], reason: str) -> None:
        """Note that a job will have no result."""
        job = self.open.pop(place, None)
        if job is not None:
            self.losses.append(Loss(job.wanted.cell, job.machine, job.name, reason))

    def tick(self, now_s: float) -> None:
        """Give up what has waited too long."""
        for place, job in tuple(self.open.items()):
            if job.waits_since_s is not None and now_s - job.waits_since_s >= self.grace_s:
                self.crew.cancel(job.key)
                who = f"worker {job.name} was lost" if job.machine else "every worker was lost"
                came = f"{who}, and none with {job.wanted.device} came instead"
                self.lost(place, came if job.tries else f"no worker offers {job.wanted.device}")

    def give_up(self, reason: str) -> None:
        """Note that nothing more will come."""
        for place in tuple(self.open):
            self.lost(place, reason)

    def _give_up_on_killers(self) -> None:
        """Give up cells that took too many workers down, or were tried too often."""
        for place, job in tuple(self.open.items()):
            if self.kills[place] > MOST_KILLS or job.tries >= MOST_TRIES:
                self.crew.cancel(job.key)
                self.lost(place, f"{self.kills[place]} workers were lost while they measured it")

    def _each(self, wanted: Wanted) -> list[Job]:
        """A job for every machine that has the device, once for each machine."""
        found = {
            one.offer.machine: Job(wanted, one.offer.machine, one.offer.name)
            for one in reversed(self.members)
            if unit_for(wanted, (one,)) is not None
        }
        return list(found.values())

    def _give_out(self, jobs: Sequence[Job], now_s: float) -> None:
        """Order what a worker can take; the rest waits."""
        orders = []
        for job in jobs:
            able = tuple(one for one in self.members if job.machine in ("", one.offer.machine))
            name = unit_for(job.wanted, able)
            since_s = now_s if job.waits_since_s is None else job.waits_since_s
            if name is None:
                self.open[job.place] = replace(job, waits_since_s=since_s)
                continue
            if not job.machine and job.tries and job.waits_since_s is None:
                continue  # the scheduler has it, and moves it by itself
            if job.tries:
                self.crew.cancel(job.key)
            address = self._address(job, able)
            given = replace(job, tries=job.tries + 1, address=address, waits_since_s=None)
            self.open[job.place] = given
            takes = needed(name, job.wanted.kind, self.version, self.method)
            orders.append(Order(given.key, job.wanted.cell, job.wanted.text, address, takes))
        if orders:
            self.crew.submit(orders)

    def _address(self, job: Job, able: Sequence[Member]) -> str:
        """The worker of a job's machine; empty: the scheduler decides."""
        if not job.machine:
            return ""
        return next(one.address for one in able if unit_for(job.wanted, (one,)) is not None)


def is_stopped(reply: Reply) -> bool:
    """Whether a worker was stopped while it measured, so that another one may."""
    return reply.exit_code == EXIT_INTERRUPTED and reply.result is None
