"""Candidates -> what meets the requirements: estimates, memory, rounds of those undecided, quality.

What costs least comes first, and who is out by one requirement is not measured for the others. The
choice is measured once more, in fresh processes that decide by themselves.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from msgspec import structs

from harness.core.environment import telemetry_as
from harness.core.errors import StorageError
from harness.core.findings import Progress
from harness.machine.watch.sole import sole_measurement
from harness.results.elsewhere import write_or_elsewhere
from harness.results.entries import BandwidthEntry, Entry, MemoryEntry, SamplesEntry
from harness.results.enums import Outcome
from harness.results.fitted import Fitted
from harness.results.journal import AGAIN, prepare_results_folder, read_sound
from harness.results.judged import NOT_MEASURED, Judged, is_counted, lines_of, scatters
from harness.results.metric_row import Source
from harness.results.progress import command_line, without_places
from harness.results.requirement import Requirement
from harness.results.schema import Document, Record
from harness.runner.fitting import replay
from harness.runner.fitting.asked import looks_of
from harness.runner.fitting.choice import BY_MEMORY, Candidate, Lines, in_order, judged_again
from harness.runner.fitting.command import run_words
from harness.runner.fitting.estimated import ruled_out, skipped
from harness.runner.fitting.outcome import (
    FitOutcome,
    exit_code_of,
    failing,
    how_far,
    refuse_changed,
)
from harness.runner.fitting.replay import Kept
from harness.runner.loop.assemble import assemble, record_of
from harness.runner.loop.builds import Builds, Stamp, build_all, build_key, changed_groups, stamps
from harness.runner.loop.calibration import calibrations, pulse_graphs
from harness.runner.loop.entries import Entries
from harness.runner.loop.losses import lost_memory, lost_rounds
from harness.runner.loop.memory_passes import memory_passes
from harness.runner.loop.once import compile_models, step_checks
from harness.runner.loop.partial import outline
from harness.runner.loop.parts import CellFacts
from harness.runner.loop.quality import check_texts, qualities
from harness.runner.loop.resume import open_journal
from harness.runner.loop.rounds import measure_round
from harness.runner.loop.run import agreements, keep_entries, new_run_id, utc_now
from harness.runner.loop.session import failure_entry
from harness.runner.loop.sustain import sustained_tests
from harness.runner.plan import Plan
from harness.stats.limits import Family, looks_between

PURPOSE = "fit"
ROUNDS = frozenset((Source.SAMPLES, Source.COUNTERS, Source.TEXT))  # what more rounds tell of
CONFIRMATION = 5  # fresh processes of the choice, at the least
BY_ROUNDS, BY_BUDGET, BY_INTERRUPT, DECIDED = "rounds", "budget", "interrupt", "decided"
NOT_CONFIRMED = "no fresh process of it was measured"
Watch = Callable[[Candidate], None]  # told of a candidate whenever more is known of its verdict


@dataclass(slots=True)
class Fit:
    """One fit, while it goes on.

    Attributes:
        plan: every candidate.
        requirements: of all.
        prefer: see choice.PREFERENCES.
        cache: of built models and hardware peaks.
        entries: of the journal so far.
        progress: told what begins, and how many candidates are decided.
        builds: what was built.
        before: its files as they were before anything was measured.
        clock: monotonic, in seconds.
        candidates: in the order of the plan.
        family: lines that are told together.
        chosen: which one; None: none yet.
        ended: see results.fitted.Fitted.
        records: of every candidate as they were at its last look, by its place in the document.
        kept: what earlier sittings measured, which is taken as its step comes.
        command: that goes on with it; empty: not known.
        watch: see Watch.
    """

    plan: Plan
    requirements: Sequence[Requirement]
    prefer: str
    cache: Path
    entries: Entries
    progress: Progress
    builds: Builds = field(default_factory=lambda: Builds({}, {}))
    before: dict[tuple[str, str], Stamp] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    candidates: list[Candidate] = field(default_factory=list)
    family: Family = field(default_factory=Family)
    chosen: Candidate | None = None
    ended: str = DECIDED
    records: dict[int, list[Record]] = field(default_factory=dict)
    kept: Kept = field(default_factory=Kept)
    command: str = ""
    watch: Watch = lambda _: None

    def __post_init__(self) -> None:
        """Line the candidates up."""
        place = 0
        for group in self.plan.groups:
            self.candidates.append(Candidate(group, place))
            place += len(group.workloads)

    @property
    def open(self) -> list[Candidate]:
        """Those that may still be chosen."""
        return [one for one in self.candidates if not one.is_out]

    def log(self, what: str, _done: int = 0, _total: int = 0) -> None:
        """Tell what begins, and how many candidates are decided."""
        decided = sum(one.is_out or one.outcome is Outcome.MET for one in self.candidates)
        self.progress(what, decided, len(self.candidates))

    def entries_of_all(self) -> Generator[Entry]:
        """Yield every entry, each of which is filed before the next is asked for."""
        self._recall(replay.PEAKS)
        yield from calibrations(self.plan, self.entries, self.cache, self.log)
        yield from self._by_estimate()
        yield from self._built()
        if self._needs_memory():  # else only the choice's is taken
            yield from self._memory(self.open)
        self._look(self.open, self.family)
        yield from self._rounds()
        yield from self._qualities()
        self._recall(replay.MINUTES)
        yield from sustained_tests(self._part(self.open), self.builds, self.entries, self.log)
        self._look(self.open, self.family)
        for one in self.open:
            if one.outcome is Outcome.INCONCLUSIVE:
                self.watch(one)
        yield from self._confirmed()

    def _recall(
        self, kinds: replay.Kinds, belongs: Callable[[Entry], bool] = lambda _: True
    ) -> None:
        """Know again what a step measured in an earlier sitting."""
        for entry in self.kept.take(kinds, belongs):
            self.entries.add(entry)

    def records_of(self, one: Candidate) -> list[Record]:
        """Its records, as the document would hold them now."""
        return [
            record_of(CellFacts(one.group, test, self.builds, self.entries, changed=False))
            for test in one.group.workloads
        ]

    def fitted(self) -> Fitted:
        """What is known, as the document holds it."""
        words = () if self.chosen is None else run_words(self.chosen.group, self.plan.settings)
        return Fitted(
            prefer=self.prefer,
            lines=self.family.lines,
            looks=self.family.looks,
            candidates=tuple(one.stored() for one in self.candidates),
            chosen=None if self.chosen is None else self.candidates.index(self.chosen),
            command=command_line(without_places(words)) if words else "",
            ended=self.ended,
        )

    def _needs_memory(self) -> bool:
        """Whether anything is decided by what candidates hold."""
        asked = any(one.metric.source is Source.MEMORY for one in self.requirements)
        return asked or self.prefer == BY_MEMORY

    def _by_estimate(self) -> Iterator[Entry]:
        """Yield an entry per candidate that is not built, and fix the family of the others."""
        for one in self.candidates:
            one.lines = ruled_out(one.group, self.requirements, self.entries)
            if one.lines:
                self.watch(one)
                yield skipped(one)
        scattering = sum(
            not is_counted(asked.metric)
            for one in self.open
            for _, asked in lines_of(self.records_of(one), self.requirements)
        )
        self.family = Family(scattering, looks_of(self.plan.settings))

    def _built(self) -> Iterator[Entry]:
        """Yield failed builds, and what is checked before anything is timed."""
        plan = self._part(self.open, quality=False)
        self.builds = build_all(plan, self.cache, self.progress)
        self.before = stamps(self.builds)
        refuse_changed(self.builds, self.kept.contents)
        for one in self.open:
            error = self.builds.failures.get(build_key(one.group))
            if error is not None:
                yield failure_entry(one.group, None, error)
        yield outline(self.plan, self.builds, self.entries, self.command)
        self._recall(replay.CHECKS)
        yield from compile_models(plan, self.builds, self.entries, self.log)
        yield from agreements(plan, self.builds, self.entries, self.cache, self.log)
        yield from step_checks(plan, self.builds, self.entries)

    def _memory(self, some: Sequence[Candidate]) -> Iterator[Entry]:
        """Yield the memory of those candidates that it is not known of."""
        keys = {one.group.key for one in some}
        self._recall(
            replay.MEMORY,
            lambda entry: isinstance(entry, MemoryEntry) and entry.group in keys,
        )
        yield from memory_passes(self._part(some), self.builds, self.entries, self.log)

    def _rounds(self) -> Iterator[Entry]:
        """Yield the rounds of those undecided, until none is left or there are enough."""
        begun_s, settings = self.clock(), self.plan.settings
        for round_index in range(self.family.looks[-1]):
            undecided = [one for one in self.open if one.is_undecided(ROUNDS)]
            if not undecided:
                return
            if settings.budget is not None and self.clock() - begun_s > settings.budget:
                self.ended = BY_BUDGET
                return
            yield from self._round(undecided, round_index)
            if self.family.is_look(round_index + 1):
                self._look(undecided, self.family, round_index + 1)
        if any(one.is_undecided(ROUNDS) for one in self.open):
            self.ended = BY_ROUNDS

    def _round(self, some: Sequence[Candidate], round_index: int) -> Iterator[Entry]:
        """Yield one round: each of some candidates in a fresh process, in a drawn order."""
        plan = self._part(some)
        keys = {one.group.key for one in some}
        self._recall(
            replay.TIMED,
            lambda entry: (
                isinstance(entry, SamplesEntry | BandwidthEntry)
                and entry.round == round_index
                and (isinstance(entry, BandwidthEntry) or entry.group in keys)
            ),
        )
        graphs = pulse_graphs(plan, self.entries, self.cache)
        yield from measure_round(
            plan, self.builds, self.entries, self.log, plan.groups, round_index, graphs
        )

    def _qualities(self) -> Iterator[Entry]:
        """Yield what the levels lose that are left: of no other is it worth its time."""
        left = self._part(self.open)
        if not left.groups or not left.settings.quality:
            return
        builds = build_all(left, self.cache, self.progress)
        check_texts(left, builds)
        self.builds.references.update(builds.references)
        self._recall(replay.LOSSES)
        yield from qualities(left, self.builds, self.entries, self.log)

    def _confirmed(self) -> Iterator[Entry]:
        """Yield fresh processes of the preferred one, else of the next, until one holds."""
        for one in in_order(self.candidates, self.records, self.prefer):
            yield from self._confirm(one)
            self.watch(one)
            if one.outcome is Outcome.MET:
                self.chosen = one
                return

    def _confirm(self, one: Candidate) -> Iterator[Entry]:
        """Yield fresh processes of one candidate, and judge them alone."""
        for test in one.group.workloads:
            self.entries.memory.pop((one.group.key, test.name), None)
        yield from self._memory([one])
        moving = [
            asked
            for asked in self.requirements
            if not is_counted(asked.metric) and not asked.is_sustained
            if asked.metric.source is not Source.QUALITY
        ]
        start = 1 + max((index for key, _, index in self.entries.tests if key == one.group.key),
                        default=-1)  # fmt: skip
        timed = [asked for asked in moving if asked.metric.source in ROUNDS]
        looks = looks_between(CONFIRMATION, max(CONFIRMATION, one.rounds)) if timed else ()
        family = Family(len(lines_of(self.records_of(one), moving)), looks)
        lines: Lines = {}
        for count in range(1, (looks[-1] if looks else 1) + 1):
            if timed:
                yield from self._round([one], start + count - 1)
            if family.is_look(count):
                lines = self._judged_fresh(one, lines, moving, family, start)
                if all(line.outcome is not Outcome.INCONCLUSIVE for line in lines.values()):
                    break
        one.confirmation = lines

    def _judged_fresh(
        self,
        one: Candidate,
        lines: Lines,
        moving: Sequence[Requirement],
        family: Family,
        start: int,
    ) -> Lines:
        """Lines of a candidate by its processes from a round on; without any nothing is told."""
        fresh = [_since(record, start) for record in self.records_of(one)]
        found = judged_again(lines, fresh, moving, family, self._scatter())
        timed = {record.cell.workload for record in fresh if record.samples}
        for (test, text), line in found.items():
            if line.requirement.metric.source in ROUNDS and test not in timed:
                why = lost_rounds(self.entries, one.group.key, test)
                why = "; ".join(filter(None, (NOT_CONFIRMED, why)))
                found[test, text] = Judged(line.requirement, Outcome.INCONCLUSIVE, why=why)
        return self._explained(one, found)

    def _look(self, some: Sequence[Candidate], family: Family, rounds: int | None = None) -> None:
        """Judge what no look has decided; who failed is lost."""
        for one in some:
            one.is_lost = any(
                self.entries.failure_of(one.group, test) for test in one.group.workloads
            )
            one.rounds = one.rounds if rounds is None else rounds
            self.records[one.record] = self.records_of(one)
        common = self._scatter()
        for one in some:
            known, before = self.records[one.record], one.outcome
            found = judged_again(one.lines, known, self.requirements, family, common)
            one.lines = self._explained(one, found)
            if one.is_lost or one.outcome is not before:
                self.watch(one)

    def _explained(self, one: Candidate, lines: Lines) -> Lines:
        """Lines of a candidate, those that nothing decides with the workers that were lost."""
        found: Lines = {}
        for (test, text), line in lines.items():
            key, source, why = one.group.key, line.requirement.metric.source, ""
            if line.outcome is Outcome.INCONCLUSIVE and source in ROUNDS and not one.is_lost:
                why = lost_rounds(self.entries, key, test)
            elif line.why == NOT_MEASURED and source is Source.MEMORY:
                why = lost_memory(self.entries, key, test)
            between = ": " if line.why == NOT_MEASURED else "; "
            found[test, text] = replace(line, why=f"{line.why}{between}{why}" if why else line.why)
        return found

    def _scatter(self) -> dict[str, float]:
        """How far processes are from each other, by metric, over all candidates."""
        return scatters(
            line
            for records in self.records.values()
            for line in lines_of(records, self.requirements)
        )

    def _part(self, some: Sequence[Candidate], quality: bool | None = None) -> Plan:
        """The plan of some candidates."""
        settings = self.plan.settings
        if quality is not None:
            settings = replace(settings, quality=quality)
        return replace(self.plan, settings=settings, groups=tuple(one.group for one in some))


def _since(record: Record, start: int) -> Record:
    """A record with the processes of a round and of later ones alone."""
    kept = tuple(process for process in record.samples if process.round >= start)
    return structs.replace(record, samples=kept)


def fit_plan(
    plan: Plan,
    requirements: Sequence[Requirement],
    prefer: str,
    *,
    results: Path,
    cache: Path,
    progress: Progress,
    resume: bool = False,
    command: Sequence[str] = (),
    wait_s: float | None = None,
    watch: Watch = lambda _: None,
) -> FitOutcome:
    """Find which session group of a plan meets every requirement; an interrupt keeps what is done.

    Args:
        plan: the candidates; its rounds are those of the first look, its max_rounds of the last.
        requirements: all of them.
        prefer: which of several that meet all; see choice.PREFERENCES.
        results: folder of the document and of its journal.
        cache: of built models and hardware peaks.
        progress: told what begins, and how many candidates of how many are decided.
        resume: go on with the newest unfinished fit of the same plan.
        command: words of the one that would go on with this fit; empty: not known.
        wait_s: longest wait for another measurement on the same devices; None: until it ends.
        watch: told of a candidate whenever it is decided, or fails.

    Returns:
        What was found, also where the results folder was lost meanwhile.

    Raises:
        HarnessError: before anything is measured: results folder, models, disk, or nothing to go
            on with.
    """
    prepare_results_folder(results)
    begun = new_run_id(), utc_now()
    damaged: list[str] = []
    journal, entries = open_journal(
        plan, Builds({}, {}), results, resume, *begun, PURPOSE, damaged.append
    )
    kept = Kept(read_sound(journal.path).entries if resume else ())
    if resume:
        entries = Entries([entries.header, *entries.resumed.values()])
    fit = Fit(plan, requirements, prefer, cache, entries, progress, kept=kept, watch=watch)
    for problem in damaged:
        fit.log(f"{problem}; {AGAIN}")
    fit.command = command_line(without_places(command))
    kinds = {group.device.row.kind for group in plan.groups}
    with journal, telemetry_as(plan.settings.telemetry):
        try:
            with sole_measurement(cache, kinds, "bench fit", wait_s, fit.log):
                stopped = keep_entries(fit.entries_of_all(), journal, entries)
        except BaseException:
            if not resume and not entries.tests and not entries.memory:
                with suppress(OSError):
                    journal.path.unlink()
            raise
        fit.ended = fit.ended if stopped is None else BY_INTERRUPT
        document = _drawn_up(fit)
        path, lost = write_or_elsewhere(document, results / f"{document.run_id}.json")
    if lost is None and isinstance(stopped, StorageError):
        lost = stopped
    if stopped is None and lost is None and not failing(fit.candidates, entries):
        with suppress(OSError):
            journal.path.unlink()
    words = () if fit.chosen is None else run_words(fit.chosen.group, plan.settings)
    code = exit_code_of(
        fit.candidates,
        entries,
        chosen=fit.chosen is not None,
        interrupted=isinstance(stopped, KeyboardInterrupt),
        lost=lost,
    )
    return FitOutcome(document, path, code, words, lost)


def _drawn_up(fit: Fit) -> Document:
    """The document of a fit, with its candidates in its plan."""
    plan, entries = fit.plan, fit.entries
    stopped = fit.ended == BY_INTERRUPT
    came = how_far(plan, fit.candidates, entries, stopped, fit.command)
    changed = changed_groups(plan, fit.builds, fit.before)
    document = assemble(plan, fit.builds, entries, changed, came)
    return structs.replace(document, plan=structs.replace(document.plan, fit=fit.fitted()))
