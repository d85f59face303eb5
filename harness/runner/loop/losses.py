"""What lost workers cost: a mark on what was measured all the same."""

from collections.abc import Mapping

from harness.results.enums import Grade, ReasonCode
from harness.results.losses import LostEntry, NoMemoryEntry
from harness.results.schema import Metric
from harness.runner.loop.entries import Entries
from harness.runner.loop.parts import CellFacts, Doubt, Part

BEST_GRADE = Grade.B  # of a record that lacks rounds or its memory


def losses_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """What a record lacks; it stands with a mark."""
    return Part(doubts=losses_doubts(facts.entries, *facts.key))


def losses_doubts(entries: Entries, key: str, test: str) -> tuple[Doubt, ...]:
    """What lost workers take away from the grade of a test.

    Args:
        entries: of the journal.
        key: of the session group.
        test: its full name.
    """
    lost, memory = entries.losses_at(key, test), entries.no_memory.get((key, test))
    told = []
    if lost:
        rounds = ", ".join(str(loss.round + 1) for loss in lost)
        told.append(f"without round{'s' * (len(lost) > 1)} {rounds}: {_end(lost[-1])}")
    if memory is not None:
        told.append(f"its memory was not taken: {_end(memory)}")
    return tuple(Doubt(BEST_GRADE, ReasonCode.LOST_WORKER, detail) for detail in told)


def _end(entry: LostEntry | NoMemoryEntry) -> str:
    """How a worker ended, without what to try."""
    return f"{entry.status}: {entry.reason.partition('; try: ')[0]}"
