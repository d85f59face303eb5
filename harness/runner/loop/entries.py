"""What a run knows so far: its journal entries, filed by what they are about."""

from collections.abc import Iterable
from typing import Any

from harness.core.errors import ResultFormatError
from harness.engine.workload import Workload
from harness.results.calibration import StoredConstants
from harness.results.entries import (
    AgreementEntry,
    BandwidthEntry,
    CalibrationEntry,
    CompiledEntry,
    Entry,
    MemoryEntry,
    NoBandwidthEntry,
    NoCalibrationEntry,
    NoQualityEntry,
    OutlineEntry,
    ProfileEntry,
    QualityEntry,
    ResumedEntry,
    RunEntry,
    SamplesEntry,
    SensitivityEntry,
    SpentEntry,
    StepsCheckEntry,
    SustainEntry,
    TextBytes,
    TokenizerEntry,
)
from harness.results.losses import FailureEntry, LostEntry, NoMemoryEntry
from harness.results.quality import GroupLoss, Quality
from harness.results.replies import (
    Agreement,
    Compiled,
    MemoryRead,
    MemoryTaken,
    Profile,
    StepsCheck,
    Sustained,
)
from harness.runner.plan import Plan, SessionGroup

# entry -> (attribute of Entries, what it is filed under, the one field that is kept)
FILED: dict[type[Entry], tuple[str, tuple[str, ...], str | None]] = {
    SamplesEntry: ("tests", ("group", "workload", "round"), None),
    MemoryEntry: ("memory", ("group", "workload"), "reply"),
    BandwidthEntry: ("bandwidth", ("threads", "round", "reading"), "reply"),
    FailureEntry: ("failures", ("group", "workload"), None),
    LostEntry: ("lost", ("group", "workload", "round"), None),
    NoMemoryEntry: ("no_memory", ("group", "workload"), None),
    NoBandwidthEntry: ("no_bandwidth", ("threads",), "reason"),
    CalibrationEntry: ("calibrations", ("device", "threads"), "stored"),
    NoCalibrationEntry: ("no_calibration", ("device", "threads"), "reason"),
    QualityEntry: ("quality", ("model", "level"), "found"),
    SensitivityEntry: ("sensitivity", ("model", "level"), "found"),
    TokenizerEntry: ("tokenizers", ("model",), "found"),
    NoQualityEntry: ("no_quality", ("model", "level"), "reason"),
    AgreementEntry: ("agreements", ("group",), "found"),
    SustainEntry: ("sustained", ("group", "workload"), "found"),
    CompiledEntry: ("compiled", ("group",), "found"),
    StepsCheckEntry: ("step_checks", ("model", "level"), "found"),
    ProfileEntry: ("profiles", ("group", "workload"), "found"),
    ResumedEntry: ("resumed", ("created_utc",), None),
    SpentEntry: ("spent", ("sitting", "phase"), "seconds"),
}

LOST_TO_REST = 2  # tries of a test in a row that lost their workers


class Entries:
    """Journal entries by kind and key; a later entry of the same key replaces the earlier one.

    Attributes:
        header: the entry that opens the journal.
        outline: what is known of every cell before it is measured; None: it was not drawn up.
        tests: by (group, test name, round).
        memory: by (group, test name).
        bandwidth: by (threads, round, reading).
        failures: by (group, test name or None for the whole group).
        lost: workers, by (group, test name or None for all that the round lacks, round).
        no_memory: why the memory of a test is not known, by (group, test name).
        no_bandwidth: threads -> why a peak could not be measured.
        calibrations: constants as stored, by (device, threads).
        no_calibration: why there are none, by the same key.
        quality: what a level loses, by (model argument, SessionGroup.stored_name).
        no_quality: why that is not known, by the same key.
        sensitivity: what each group of matrices loses at a level, by the same key.
        agreements: how close a group's device comes to the CPU's logits, by group.
        compiled: what the device took to compile the model, or why it did not, by group.
        step_checks: how far an exported decoder's steps are from whole passes, by that key.
        profiles: shares of the time, or why there are none, by (group, test name).
        sustained: a speed over minutes, or why it is not known, by (group, test name).
        resumed: each time that the run was gone on with, by when that was.
        spent: seconds, by (sitting, phase of the run).
        tokenizers: bytes of English and Korean text a token, or None; by model argument.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        """File `entries` in order."""
        self._header: RunEntry | None = None
        self.outline: OutlineEntry | None = None
        self.tests: dict[tuple[str, str, int], SamplesEntry] = {}
        self.memory: dict[tuple[str, str], MemoryTaken] = {}
        self.bandwidth: dict[tuple[int, int, int], MemoryRead] = {}
        self.failures: dict[tuple[str, str | None], FailureEntry] = {}
        self.lost: dict[tuple[str, str | None, int], LostEntry] = {}
        self.no_memory: dict[tuple[str, str], NoMemoryEntry] = {}
        self.no_bandwidth: dict[int, str] = {}
        self.calibrations: dict[tuple[str, int], StoredConstants] = {}
        self.no_calibration: dict[tuple[str, int], str] = {}
        self.quality: dict[tuple[str, str], Quality] = {}
        self.no_quality: dict[tuple[str, str], str] = {}
        self.sensitivity: dict[tuple[str, str], tuple[GroupLoss, ...]] = {}
        self.agreements: dict[str, Agreement] = {}
        self.compiled: dict[str, Compiled] = {}
        self.step_checks: dict[tuple[str, str], StepsCheck] = {}
        self.profiles: dict[tuple[str, str], Profile] = {}
        self.sustained: dict[tuple[str, str], Sustained] = {}
        self.tokenizers: dict[str, TextBytes | None] = {}
        self.resumed: dict[str, ResumedEntry] = {}
        self.spent: dict[tuple[str, str], float] = {}
        self._rounds: dict[tuple[str, str], set[int]] = {}  # that a test has samples of
        for entry in entries:
            self.add(entry)

    @property
    def header(self) -> RunEntry:
        """The entry that opens the journal.

        Raises:
            ResultFormatError: there is none.
        """
        if self._header is None:
            raise ResultFormatError(
                "the journal does not begin with its run", fix="leave --resume out, measure again"
            )
        return self._header

    def add(self, entry: Entry) -> None:
        """File one entry; a sitting that goes on tries again what failed in those before it."""
        if isinstance(entry, RunEntry):
            self._header = entry
            return
        if isinstance(entry, ResumedEntry):
            self._forget_failures()
        if isinstance(entry, OutlineEntry):
            self.outline = entry
            return
        if isinstance(entry, SamplesEntry):
            self._rounds.setdefault((entry.group, entry.workload), set()).add(entry.round)
        if type(entry) not in FILED:
            raise ResultFormatError(
                f"the journal of a run holds a {entry.__struct_config__.tag} entry",
                fix="keep the file, leave --resume out and measure again",
            )
        attribute, fields, kept = FILED[type(entry)]
        key = tuple(getattr(entry, field) for field in fields)
        table: dict[Any, Any] = getattr(self, attribute)
        table[key if len(key) > 1 else key[0]] = entry if kept is None else getattr(entry, kept)

    @property
    def spent_s(self) -> dict[str, float]:
        """Seconds that every phase took, over all sittings."""
        phases = dict.fromkeys(phase for _, phase in self.spent)
        return {
            phase: round(sum(took for (_, name), took in self.spent.items() if name == phase), 3)
            for phase in phases
        }

    def _forget_failures(self) -> None:
        self.failures.clear()
        self.lost.clear()
        self.no_memory.clear()
        self.no_quality.clear()

    def has_group(self, group: SessionGroup, round_index: int) -> bool:
        """Whether a round of this group is done, or can no longer be."""
        return not self.left_of(group, round_index)

    def left_of(self, group: SessionGroup, round_index: int) -> tuple[Workload, ...]:
        """The tests of a group that a round still lacks: neither measured nor lost, nor at rest."""
        return tuple(
            test
            for test in group.workloads
            if (group.key, test.name, round_index) not in self.tests
            and self._loss(group.key, test.name, round_index) is None
            and not self.rests(group, test)
        )

    def rests(self, group: SessionGroup, workload: Workload) -> bool:
        """Whether a test is not tried again: it failed, or the last two tries of it were lost."""
        key, test = group.key, workload.name
        if {(key, None), (key, test)} & self.failures.keys():
            return True
        tries = dict.fromkeys(self._rounds.get((key, test), ()), True)
        tries |= {loss.round: False for loss in self.losses_at(key, test)}
        last = [tries[index] for index in sorted(tries)][-LOST_TO_REST:]
        return len(last) == LOST_TO_REST and not any(last)

    def losses_at(self, key: str, test: str) -> list[LostEntry]:
        """Workers that were lost with this test, by round; none of rounds that have its samples."""
        rounds = sorted({index for name, _, index in self.lost if name == key})
        found = (self._loss(key, test, index) for index in rounds)
        return [loss for loss in found if loss and (key, test, loss.round) not in self.tests]

    def _loss(self, key: str, test: str, round_index: int) -> LostEntry | None:
        own = self.lost.get((key, test, round_index))
        return own or self.lost.get((key, None, round_index))

    def has_memory(self, group: SessionGroup, workload: Workload) -> bool:
        """Whether the memory of this test is known, or cannot be."""
        key = (group.key, workload.name)
        failed = key in self.no_memory or self.failure_of(group, workload) is not None
        return failed or key in self.memory

    def has_bandwidth(self, threads: int, round_index: int, reading: int = 0) -> bool:
        """Whether this round has read memory so often with this many threads."""
        return (threads, round_index, reading) in self.bandwidth

    def readings_of(self, threads: int) -> list[MemoryRead]:
        """Every reading of memory with this many threads, by round."""
        return [self.bandwidth[key] for key in sorted(self.bandwidth) if key[0] == threads]

    def failure_of(
        self, group: SessionGroup, workload: Workload
    ) -> FailureEntry | LostEntry | None:
        """The failure of the whole group or of this test, or its last loss if nothing is there."""
        return self.failure_at(group.key, workload.name)

    def failure_at(self, key: str, test: str) -> FailureEntry | LostEntry | None:
        """The same by the key of the group and the name of the test."""
        failed = self.failures.get((key, None)) or self.failures.get((key, test))
        if failed or (key, test) in self._rounds:
            return failed
        return next(iter(self.losses_at(key, test)[::-1]), None)

    def lacks(self, key: str, test: str) -> bool:
        """Whether a test failed, or lacks a round or its memory for a worker that was lost."""
        failed = {(key, None), (key, test)} & self.failures.keys() or (key, test) in self.no_memory
        return bool(failed or self.losses_at(key, test))

    def exit_codes(self) -> list[int]:
        """What each of the failures would end the command with, were it alone."""
        return [
            *(entry.exit_code for entry in self.failures.values()),
            *(entry.exit_code for entry in self.lost.values()),
            *(entry.exit_code for entry in self.no_memory.values()),
        ]

    def tests_of(self, group: SessionGroup, workload: Workload) -> list[SamplesEntry]:
        """Entries of one cell, by round."""
        return self.tests_at(group.key, workload.name)

    def tests_at(self, key: str, test: str) -> list[SamplesEntry]:
        """The same by the key of the group and the name of the test."""
        rounds = sorted(self._rounds.get((key, test), ()))
        return [self.tests[key, test, index] for index in rounds]

    def memory_of(self, group: SessionGroup, workload: Workload) -> list[MemoryTaken]:
        """What the process that took this test's memory said; empty without one."""
        found = self.memory.get((group.key, workload.name))
        return [] if found is None else [found]

    def rounds_done(self, plan: Plan) -> int:
        """Rounds, from the first on, in which every group was measured or had failed before."""
        measured = {round_index for _, _, round_index in self.tests}
        done = 0
        while done in measured and all(self.has_group(group, done) for group in plan.groups):
            done += 1
        return done

    def done_of(self, plan: Plan) -> tuple[int, int]:
        """Entries done and entries planned, for the progress line."""
        planned = plan.cell_count * (plan.settings.rounds + 1)
        return len(self.tests) + len(self.memory), planned
