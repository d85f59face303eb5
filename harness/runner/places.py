"""The processors that sessions which take turns share.

Of two processes a system keeps each on the core where it was last, and cores are not equally fast
while others use the machine: with one thread each, two sides that took turns on cores of their own
differed by up to 30 % for seconds. As they never work at the same time, one place serves them all.
"""

from collections.abc import Sequence

from harness.plan import SessionGroup


def processors_for(group: SessionGroup, cores: Sequence[int]) -> frozenset[int] | None:
    """Return where a session works: on the first of `cores` that its threads need.

    Args:
        group: the session.
        cores: one logical processor of each, in an order drawn for all who take turns.

    Returns:
        As many processors as threads; None where it uses every core, or another device.
    """
    if group.device.kind != "cpu" or group.threads >= len(cores):
        return None
    return frozenset(cores[: group.threads])
