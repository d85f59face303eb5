"""What a fit leaves, and how its command ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from harness.core.errors import (
    EXIT_GATE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_STORAGE,
    StorageError,
    UsageError,
)
from harness.results.enums import Ending, Outcome
from harness.results.fitted import Fitted
from harness.results.plan import Progress
from harness.results.schema import Document, Record
from harness.runner.fitting.choice import Candidate
from harness.runner.loop.builds import Builds
from harness.runner.loop.effort import progress_of
from harness.runner.loop.entries import Entries
from harness.runner.loop.partial import contents_of
from harness.runner.plan import Plan


@dataclass(frozen=True, slots=True)
class FitOutcome:
    """What a fit leaves.

    Attributes:
        document: with the candidates in its plan.
        path: where it lies, or should.
        exit_code: of the command.
        command: words that run the choice, with every path as it was typed; empty: no choice.
        lost: what became of the results folder, and where the document lies instead; None: it
            lies there.
    """

    document: Document
    path: Path
    exit_code: int
    command: tuple[str, ...]
    lost: StorageError | None = None

    @property
    def fitted(self) -> Fitted:
        """Every candidate beside every requirement."""
        found = self.document.plan.fit
        assert isinstance(found, Fitted)  # of every fit
        return found

    @property
    def chosen(self) -> Record | None:
        """The first record of the choice; None: none meets all requirements."""
        if self.fitted.chosen is None:
            return None
        return self.document.records[self.fitted.candidates[self.fitted.chosen].record]


def exit_code_of(
    candidates: Sequence[Candidate],
    entries: Entries,
    *,
    chosen: bool,
    interrupted: bool,
    lost: StorageError | None,
) -> int:
    """0: one is chosen; 1: none is; 3: and some failed, one of which might have met all."""
    if interrupted:
        return EXIT_INTERRUPTED
    if lost is not None:
        return EXIT_STORAGE
    if chosen:
        return EXIT_OK
    return max(failing(candidates, entries).values(), default=EXIT_GATE)


def failing(candidates: Sequence[Candidate], entries: Entries) -> dict[str, int]:
    """Exit codes of lost workers that kept candidates from a verdict, by key of the group."""
    undecided = {one.group.key for one in candidates if one.outcome is Outcome.INCONCLUSIVE}
    found: dict[str, int] = {}
    for table in (entries.failures, entries.lost, entries.no_memory):
        for one in table.values():
            if one.exit_code and one.group in undecided:
                found[one.group] = max(one.exit_code, found.get(one.group, 0))
    return found


def how_far(
    plan: Plan, candidates: Sequence[Candidate], entries: Entries, stopped: bool, command: str
) -> Progress | None:
    """How far a fit came that was ended early, failed or was gone on with; None: to its end.

    Candidates that were not measured to the end because they were decided are no failure.
    """
    found = progress_of(plan, entries, stopped, command)
    if stopped or found is None:
        return found
    lost = failing(candidates, entries)
    cells = sum(len(group.workloads) for group in plan.groups if group.key in lost)
    if cells:
        return structs.replace(found, ended=Ending.FAILED, failed=cells, command=command)
    if entries.resumed:
        return structs.replace(found, ended=Ending.RESUMED, failed=0, command="")
    return None


def refuse_changed(builds: Builds, before: dict[str, str]) -> None:
    """Refuse to go on with models that are others than those that were measured.

    Args:
        builds: of this sitting.
        before: content hashes of the last one, by model and level.

    Raises:
        UsageError: names them.
    """
    now = contents_of(builds)
    changed = [name for name, found in now.items() if before.get(name, found) != found]
    if changed:
        raise UsageError(
            f"--resume: {', '.join(changed)} changed since the fit was interrupted",
            fix="leave --resume out",
        )
