"""How busy others kept the processors while a side was measured. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.results.enums import Grade
from harness.results.replies import JUDGED_PROCESSORS, WatchInterval

# The most that a grade allows, of others' CPU and likewise of time taken by a hypervisor.
BACKGROUND_CPU_SHARE = {Grade.A: 0.02, Grade.B: 0.05}


@dataclass(frozen=True, slots=True)
class Background:
    """What others used of the processors; None: nothing tells.

    Attributes:
        cpu_share: processor time of other programs over what our processors could have given, at
            most JUDGED_PROCESSORS of them.
        steal_share: time that a hypervisor gave to others, over the same.
        other_bench: another `bench` measured here meanwhile.
    """

    cpu_share: float | None = None
    steal_share: float | None = None
    other_bench: bool = False

    @property
    def is_busy(self) -> bool:
        """Whether either is beyond what grade B allows; what nobody counted is not."""
        most = BACKGROUND_CPU_SHARE[Grade.B]
        return self.other_bench or any(
            share is not None and share > most for share in (self.cpu_share, self.steal_share)
        )


UNKNOWN = Background()


def background_of(watches: Iterable[WatchInterval | None]) -> Background:
    """Others' shares over several watched parts, as one: times add up.

    Args:
        watches: one a process; None: nobody watched it.

    Returns:
        A share is None where any part lacks it.
    """
    parts = list(watches)
    known = [
        part for part in parts if part is not None and part.wall_ns > 0 and part.processors > 0
    ]
    if not known or len(known) < len(parts):
        return UNKNOWN
    could_ns = sum(part.wall_ns * min(part.processors, JUDGED_PROCESSORS) for part in known)
    return Background(
        _share([part.background_cpu_ns for part in known], could_ns),
        _share([part.steal_ns for part in known], could_ns),
        any(part.other_bench for part in known),
    )


def _share(used_ns: Sequence[int | None], could_ns: int) -> float | None:
    """Others' time over wall time times processors; never below 0."""
    counted = [ns for ns in used_ns if ns is not None]
    return max(0.0, sum(counted) / could_ns) if len(counted) == len(used_ns) else None
