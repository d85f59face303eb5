"""What lost workers cost: a mark on what was measured all the same."""

from collections.abc import Mapping

from harness.results.enums import Grade, ReasonCode
from harness.results.losses import NO_MEMORY, LostEntry, NoMemoryEntry
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
    told = (lost_rounds(entries, key, test), lost_memory(entries, key, test))
    return tuple(Doubt(BEST_GRADE, ReasonCode.LOST_WORKER, detail) for detail in told if detail)


def lost_rounds(entries: Entries, key: str, test: str) -> str:
    """Which rounds of a test lost their workers, and how the last one ended; empty: none."""
    lost = entries.losses_at(key, test)
    rounds = ", ".join(str(loss.round + 1) for loss in lost)
    return f"without round{'s' * (len(lost) > 1)} {rounds}: {_end(lost[-1])}" if lost else ""


def lost_memory(entries: Entries, key: str, test: str) -> str:
    """Why the memory of a test was not taken; empty: nothing kept it from that."""
    found = entries.no_memory.get((key, test))
    return "" if found is None else f"{NO_MEMORY}: {_end(found)}"


def _end(entry: LostEntry | NoMemoryEntry) -> str:
    """How a worker ended, without what to try."""
    return f"{entry.status}: {entry.reason.partition('; try: ')[0]}"
