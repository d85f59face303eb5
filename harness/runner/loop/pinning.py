"""The processors that interleaved sessions share.

Of two processes a system keeps each on the core where it was last, and cores are not equally fast
while others use the machine: with one thread each, two interleaved sides on cores of their own
differed by up to 30 % for seconds. As they never work at the same time, one place serves them all.
"""

from collections.abc import Sequence

from harness.machine.process.worker import Worker
from harness.machine.watch.cores import one_per_core, usable_processors
from harness.runner.loop.order import shuffled
from harness.runner.plan import SessionGroup


def drawn_cores(*seeds: object) -> list[int]:
    """Return one logical processor of each usable core, in an order that only `seeds` decide."""
    return shuffled(one_per_core(usable_processors()), *seeds, "cores")


def pin_worker(worker: Worker, group: SessionGroup, cores: Sequence[int]) -> None:
    """Keep the worker of a session where the others of its turns work; see processors_for."""
    place = processors_for(group, cores)
    if place is not None:
        worker.pin(place)


def processors_for(group: SessionGroup, cores: Sequence[int]) -> frozenset[int] | None:
    """Return where a session works: on the first of `cores` that its threads need.

    Args:
        group: the session.
        cores: one logical processor of each, in an order drawn for all interleaved sessions.

    Returns:
        As many processors as threads; None where it uses every core, another
        device, or is a client only.
    """
    if group.device.kind != "cpu" or not 0 < group.threads < len(cores):
        return None
    return frozenset(cores[: group.threads])
