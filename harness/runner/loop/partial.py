"""A run that was killed, from its journal alone: no model is looked for, nothing is built.

A run says what it will measure before it does: the cells with their sizes and estimates. What the
journal holds beside that makes a document of everything that was finished, which says that it is
partial and how it goes on. It lacks quality, and the precision that was reached.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from msgspec import UNSET, structs

from harness.core.errors import ResultFormatError
from harness.results.entries import OutlinedCell, OutlineEntry, SamplesEntry
from harness.results.enums import Ending, Status
from harness.results.journal import read_journal
from harness.results.plan import Progress
from harness.results.progress import SAME
from harness.results.schema import METHOD_VERSION, Document, Record, Trust
from harness.results.size_effect import judge_sizes
from harness.results.summarize import (
    compile_metric,
    energy_of,
    summarize,
    summarize_memory,
    without_doubtful,
)
from harness.results.sustained import sustained_metrics
from harness.runner.loop.assemble import (
    device_doubts,
    doubt,
    hardware_of,
    judge,
    kept_samples,
    placement_of,
    record_of,
    start_doubts,
    status_fields,
    steps_doubts,
    sustain_doubts,
)
from harness.runner.loop.builds import Builds
from harness.runner.loop.calibration import measured_environment
from harness.runner.loop.entries import Entries
from harness.runner.loop.losses import losses_doubts
from harness.runner.loop.parts import CellFacts
from harness.runner.plan import Plan


def outline(plan: Plan, builds: Builds, entries: Entries, command: str) -> OutlineEntry:
    """What is known of every cell of a plan before it is measured.

    Args:
        plan: what was asked for.
        builds: the artifacts behind the groups.
        entries: the peaks, and what failed already.
        command: that would go on with the run; empty: not known.
    """
    cells = []
    for group in plan.groups:
        for workload in group.workloads:
            facts = CellFacts(group, workload, builds, entries, changed=False)
            cells.append(
                OutlinedCell(
                    group=group.key,
                    workload=workload.name,
                    build=facts.build,
                    record=structs.replace(record_of(facts), samples=(), memory=()),
                )
            )
    return OutlineEntry(
        cells=tuple(cells),
        command=command,
        method_version=METHOD_VERSION,
        contents=contents_of(builds),
    )


def contents_of(builds: Builds) -> dict[str, str]:
    """Content hash of every built model, by model and level: another one is another model."""
    return {" ".join(key): one.content_hash for key, one in builds.artifacts.items()}


def read_partial(path: Path, tell: Callable[[str], None] | None = None) -> Document:
    """Draw up what the journal of an unfinished run holds.

    Args:
        path: the journal.
        tell: as of read_journal: what becomes of damaged lines.

    Raises:
        StorageError: it cannot be read.
        ResultFormatError: a damaged line, or a run that had not begun to measure.
    """
    entries = Entries(read_journal(path, tell))
    header, outlined = entries.header, entries.outline
    if outlined is None:
        raise ResultFormatError(
            f"journal {path} holds nothing that was measured, or is of an older version",
            fix=f"go on with its run: {SAME}",
        )
    rounds = header.plan.rounds or 1
    cells = [_Found(cell, entries) for cell in outlined.cells]
    progress = Progress(
        ended=Ending.INTERRUPTED,
        cells=len(cells),
        whole=sum(cell.is_whole(rounds) for cell in cells),
        unmeasured=sum(cell.is_unmeasured for cell in cells),
        rounds=rounds,
        resumed=len(entries.resumed),
        command=outlined.command,
        failed=sum(entries.lacks(*cell.key) for cell in cells),
    )
    return Document(
        method_version=outlined.method_version,
        run_id=header.run_id,
        created_utc=header.created_utc,
        environment=measured_environment(entries),
        plan=structs.replace(
            header.plan,
            rounds_done=min((cell.rounds_done for cell in cells), default=0),
            progress=progress,
            spent_s=entries.spent_s or UNSET,
        ),
        records=judge_sizes([cell.record() for cell in cells]),
    )


@dataclass(frozen=True)
class _Found:
    """A cell of an outline, and the journal it is in."""

    outlined: OutlinedCell
    entries: Entries

    @property
    def key(self) -> tuple[str, str]:
        """What entries of the test are filed under."""
        return self.outlined.group, self.outlined.workload

    @property
    def processes(self) -> list[SamplesEntry]:
        """What its processes said, by round."""
        return self.entries.tests_at(*self.key)

    @property
    def is_unmeasured(self) -> bool:
        """Whether nothing is known of it, not even that it fails."""
        return not self.processes and self.entries.failure_at(*self.key) is None

    @property
    def rounds_done(self) -> int:
        """Rounds that it was measured in; all that there are where it failed."""
        rounds = self.entries.header.plan.rounds or 1
        return rounds if self.entries.failure_at(*self.key) else len(self.processes)

    def is_whole(self, rounds: int) -> bool:
        """Whether no round and no memory is missing."""
        if self.entries.failure_at(*self.key) is not None:
            return True
        is_known = self.key in self.entries.memory or self.key in self.entries.no_memory
        return is_known and len(self.processes) >= rounds

    def record(self) -> Record:
        """What was known before, and what was measured since."""
        entries, (group, _) = self.entries, self.key
        before, processes = self.outlined.record, self.processes
        energy = energy_of(processes)
        memory = entries.memory.get(self.key)
        compiled = entries.compiled.get(group)
        timed = summarize(before.cell, processes, entries.header.plan.looks) if processes else {}
        kept = entries.sustained.get(self.key)
        metrics = {
            **without_doubtful(timed, energy),
            **({} if memory is None else summarize_memory((memory,))),
            **before.metrics,
            **compile_metric(compiled),
            **sustained_metrics(kept, timed),
        }
        fields = status_fields(entries.failure_at(*self.key), len(processes))
        record = structs.replace(
            before,
            **fields,
            metrics=metrics,
            samples=tuple(map(kept_samples, processes)),
            memory=() if memory is None else (memory,),
            energy=energy,
            hardware=hardware_of(processes, entries.agreements.get(group)),
            placement=placement_of(processes, compiled),
            profile=entries.profiles.get(self.key),
            sustain=kept,
        )
        simulated = before.simulated or (record.hardware is not None and record.hardware.simulated)
        trust = self._trust(record, simulated) if record.status == Status.OK else None
        return structs.replace(record, simulated=simulated, trust=trust)

    def _trust(self, record: Record, simulated: bool) -> Trust:
        """The grade of what there is; whether files have changed meanwhile is not known."""
        machine = self.entries.header.environment
        found = judge(record.cell, record.metrics, self.processes, False, machine)
        steps = steps_doubts(self.entries.step_checks.get(self.outlined.build))
        device = device_doubts(record.placement, simulated, record.cell.device)
        heat = start_doubts(self.processes, record.sustain)
        lost = losses_doubts(self.entries, *self.key)
        return doubt(found, (*heat, *sustain_doubts(record.sustain), *steps, *device, *lost))
