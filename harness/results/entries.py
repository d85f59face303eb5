"""The entries of a run's journal: what was found, and what it is about.

Each kind is a record of its own; `kind` tells them apart on the disk.
"""

import msgspec

from harness.results.calibration import StoredConstants
from harness.results.enums import Prepack
from harness.results.environment import MachineFacts
from harness.results.losses import FailureEntry, LostEntry, NoMemoryEntry
from harness.results.plan import RunPlan
from harness.results.quality import GroupLoss, Quality
from harness.results.replies import (
    Agreement,
    Compiled,
    MemoryRead,
    MemoryTaken,
    ProcessSamples,
    Profile,
    StepsCheck,
    Sustained,
    WatchInterval,
)
from harness.results.schema import Cell, Record


class RunEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="run"):
    """The entry that opens a journal.

    Attributes:
        run_id: sorts by time and never meets another.
        created_utc: when the run began, ISO 8601.
        run_digest: of everything that decides what is measured; a run resumes nothing else.
        plan: what was asked for.
        environment: the machine.
    """

    run_id: str
    created_utc: str
    run_digest: str = ""
    plan: RunPlan
    environment: MachineFacts


class OutlinedCell(msgspec.Struct, frozen=True, kw_only=True):
    """A cell before anything of it is measured.

    Attributes:
        group: key of its session group.
        workload: full name of its test.
        build: what entries of its built model are filed under.
        record: what a run knows of it before: identity, sizes and estimates.
    """

    group: str
    workload: str
    build: tuple[str, str]
    record: Record


class OutlineEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="outline"):
    """What a run will measure: with it a journal can be read without the models it is about.

    Attributes:
        cells: in the order of the plan.
        command: that would go on with the run; empty: not known.
        method_version: of the samples that follow.
        contents: content hash of every built model, by model and level.
    """

    cells: tuple[OutlinedCell, ...]
    command: str = ""
    method_version: int
    contents: dict[str, str] = {}


class ResumedEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="resumed"):
    """A sitting of a run after its first one.

    Attributes:
        created_utc: when it began, ISO 8601.
    """

    created_utc: str


class SpentEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="spent"):
    """How long a phase of a run has taken in one sitting; a later one says it anew.

    Attributes:
        sitting: its name; no other one of the run has it.
        phase: `build`, `calibration`, `rounds`, `memory` or `quality`.
        seconds: so far.
    """

    sitting: str
    phase: str
    seconds: float


class SamplesEntry(ProcessSamples, frozen=True, kw_only=True, tag_field="kind", tag="test"):
    """What a process of a session group said of one test.

    Attributes:
        group: key of the session group.
        workload: full name of the test.
    """

    group: str
    workload: str


class MemoryEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="memory"):
    """The memory that one test takes, of a process in which nothing is timed."""

    group: str
    workload: str
    reply: MemoryTaken


class BandwidthEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="bandwidth"):
    """How fast one process of a round read memory, multiplied and called.

    Attributes:
        threads: that it did so with.
        round: from 0.
        reply: what it said.
        reading: from 0; a round of many groups has several of one thread count.
    """

    threads: int
    round: int
    reply: MemoryRead
    reading: int = 0


class NoBandwidthEntry(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="no_bandwidth"
):
    """Why reading memory could not be timed."""

    threads: int
    reason: str


class CalibrationEntry(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="calibration"
):
    """The peaks of a device, as harness.estimator.calibration stores them."""

    device: str
    threads: int
    stored: StoredConstants


class NoCalibrationEntry(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="no_calibration"
):
    """Why a device was not calibrated."""

    device: str
    threads: int
    reason: str


class AgreementEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="agreement"):
    """How close a group's device comes to the CPU's outputs."""

    group: str
    found: Agreement


class CompiledEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="compiled"):
    """What a group's device took to compile the model, or why it did not."""

    group: str
    found: Compiled


class StepsCheckEntry(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="steps_check"
):
    """How far an exported decoder's steps are from whole passes."""

    model: str
    level: str
    found: StepsCheck


class ProfileEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="profile"):
    """Where the time of a test goes, or why that is not known."""

    group: str
    workload: str
    found: Profile


class SustainEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="sustain"):
    """The speed of a test over minutes, or why it is not known."""

    group: str
    workload: str
    found: Sustained


class QualityEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="quality"):
    """What a level loses, as harness.runner.quality measures it."""

    model: str
    level: str
    found: Quality


class NoQualityEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="no_quality"):
    """Why it is not known what a level loses."""

    model: str
    level: str
    reason: str


class SensitivityEntry(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="sensitivity"
):
    """What each group of matrices loses at a level."""

    model: str
    level: str
    found: tuple[GroupLoss, ...]


class TextBytes(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of UTF-8 text that one token of a tokenizer stands for, on the bundled texts."""

    english: float
    korean: float


class TokenizerEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="tokenizer"):
    """How much text a token of a model stands for; null: it has no tokenizer."""

    model: str
    found: TextBytes | None


class AbSide(msgspec.Struct, frozen=True, kw_only=True):
    """One of two variants that take turns; names no path.

    Attributes:
        words: what makes it differ.
        model: its name.
        level: of its weights.
        kv_cache: of its keys and values.
        device: it runs on.
        threads: intra-op.
        batch: sequences at once.
        tests: full names.
        content_hash: of the built model.
        other_interpreter: it runs under another Python.
        label: what it is called; empty: nothing was said.
        python_version: of its interpreter.
        packages: of its interpreter that measure, or differ from the other side's -> version.
        prepack: when kernels copy its weights.
        capacity: positions that its cache is allocated for; 0: as many as the tests need.
    """

    words: str
    model: str
    level: str
    kv_cache: str
    device: str
    threads: int
    batch: int
    tests: tuple[str, ...]
    content_hash: str
    other_interpreter: bool
    label: str = ""
    python_version: str = ""
    packages: dict[str, str] = {}
    prepack: str = Prepack.OFF
    capacity: int = 0


class TurnPlan(msgspec.Struct, frozen=True):
    """How pairs are measured.

    Attributes:
        seconds: timed part of one test in one pair, both sides together; at least six turns.
        warm_seconds: longest warm-up of one test of one side.
        timeout_s: after which a silent worker is ended.
        seed: of prompts, caches and orders.
    """

    seconds: float
    warm_seconds: float
    timeout_s: float
    seed: int


class AbEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="ab"):
    """The entry that opens a file of pairs.

    Attributes:
        created_utc: when it began, ISO 8601.
        method_version: documents of two methods are not compared.
        environment: the machine, and the packages of the interpreter that asked.
        turns: how a pair is measured.
        a: the base.
        b: what is compared with it.
        commit: that a build service tests; empty: none says.
        tolerance: share by which a ratio may be off 1 and still be called the same.
        precision: half-width of an interval that is narrow enough.
        most_pairs: at which it ends whatever the width; 0: intervals are those of a fixed number of
            pairs, as in files of before the level was kept.
        cells: of every test of both, of (a, b).
        digest: of everything that decides what is measured; it goes on with nothing else.
        first: pairs that were measured before its own, of which these are the confirmation.
    """

    created_utc: str
    method_version: int
    environment: MachineFacts
    turns: TurnPlan
    a: AbSide
    b: AbSide
    commit: str = ""
    tolerance: float = 0.01
    precision: float = 0.01
    most_pairs: int = 0
    cells: tuple[tuple[Cell, Cell], ...] = ()
    digest: str = ""
    first: int = 0


class TurnValues(msgspec.Struct, frozen=True, kw_only=True):
    """Values of (a, b) of one metric of one test, turn after turn."""

    test: str
    metric: str
    values: tuple[tuple[float, float], ...]


class PairEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="pair"):
    """What one pair of fresh processes gave.

    Attributes:
        pair: its number, from 1.
        starts_ms: metric -> milliseconds of (a, b).
        turns: of every metric of every test.
        watches: test -> the machine during its turns.
        lost: why tries of it before gave nothing.
    """

    pair: int
    starts_ms: dict[str, tuple[float, float]]
    turns: tuple[TurnValues, ...]
    watches: dict[str, WatchInterval] = {}
    lost: tuple[str, ...] = ()


class AbProfileEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="ab_profile"):
    """Where the time of a test goes on both sides."""

    test: str
    a: Profile
    b: Profile


class AbEndEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="ab_end"):
    """Why no further pair was measured: a word of harness.analysis.paired.Ending.

    Attributes:
        ending: the word.
        reason: of one whose workers were lost.
    """

    ending: str
    reason: str = ""


class TuneSetting(msgspec.Struct, frozen=True, kw_only=True):
    """How a session is run: what `bench tune` looks for.

    Attributes:
        threads: intra-op.
        session_options: of the session, by name.
        provider_options: that were given, by name.
        level: of the weights.
    """

    threads: int
    level: str
    session_options: tuple[tuple[str, str], ...] = ()
    provider_options: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """All of it in words: `2 threads, session.dynamic_block_base=4`."""
        count = f"{self.threads} thread{'s' * (self.threads != 1)}"
        pairs = (*self.session_options, *self.provider_options)
        return ", ".join([self.level, count, *(f"{name}={value}" for name, value in pairs)])

    def beyond(self, base: "TuneSetting") -> str:
        """What is other than in `base`, in words; empty: nothing."""
        known = {*base.session_options, *base.provider_options}
        words = [self.level] * (self.level != base.level)
        if self.threads != base.threads:
            words.append(f"{self.threads} thread{'s' * (self.threads != 1)}")
        mine = (*self.session_options, *self.provider_options)
        words += [f"{name}={value}" for name, value in mine if (name, value) not in known]
        names = {name for name, _ in mine}
        lost = [name for name, _ in sorted(known) if name not in names]
        return ", ".join([*words, *(f"without {name}" for name in lost)])


class TuneEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="tune"):
    """The entry that opens a file of `bench tune`.

    Attributes:
        created_utc: when it began, ISO 8601.
        method_version: documents of two methods are not compared.
        environment: the machine.
        digest: of everything that decides what is measured; it goes on with nothing else.
        cell: of the default.
        metric: that is tuned for, a name of the registry.
        default: what it begins with.
        candidates: what is tried first, each beside the default.
        budget_s: seconds.
        turns: how turns are taken; `seconds` is that of one turn.
        levels: other levels may be taken, which compute something else.
    """

    created_utc: str
    method_version: int
    environment: MachineFacts
    digest: str
    cell: Cell
    metric: str
    default: TuneSetting
    candidates: tuple[TuneSetting, ...]
    budget_s: float
    turns: TurnPlan
    levels: tuple[str, ...] = ()


class HeatEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="heat"):
    """Fresh processes that took turns: the base first, then those that run beside it.

    Attributes:
        stage: of the search, from 0; -1: a pair of the confirmation.
        rung: of the stage, from 0; number of the pair.
        settings: of every process.
        values: of the metric, in its unit, turn after turn, in the order of `settings`; empty:
            nothing was measured.
        lost: place in `settings`, and why that one runs no further.
        seconds: it took, starting and warming included.
        watch: the machine during its turns.
    """

    stage: int
    rung: int
    settings: tuple[TuneSetting, ...]
    values: tuple[tuple[float, ...], ...]
    lost: tuple[tuple[int, str], ...] = ()
    seconds: float
    watch: WatchInterval | None = None


class TuneEndEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="tune_end"):
    """What a search and its confirmation came to.

    Attributes:
        winner: what is advised: the default where nothing is shown to be faster.
        ratio: speed of what was confirmed over the default's; None: nothing was.
        low: lower end of its 95 % interval.
        high: upper end.
        pairs: of fresh processes.
        ended: by `precision`, `pairs` or `budget`; `lost`: what was found did not run again.
        busy: others used so much of the processors meanwhile that it decided nothing.
    """

    winner: TuneSetting
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    pairs: int = 0
    ended: str = ""
    busy: bool = False


Entry = (
    RunEntry
    | OutlineEntry
    | ResumedEntry
    | SpentEntry
    | SamplesEntry
    | MemoryEntry
    | FailureEntry
    | LostEntry
    | NoMemoryEntry
    | BandwidthEntry
    | NoBandwidthEntry
    | CalibrationEntry
    | NoCalibrationEntry
    | AgreementEntry
    | CompiledEntry
    | StepsCheckEntry
    | ProfileEntry
    | SustainEntry
    | QualityEntry
    | NoQualityEntry
    | SensitivityEntry
    | TokenizerEntry
    | AbEntry
    | PairEntry
    | AbProfileEntry
    | AbEndEntry
    | TuneEntry
    | HeatEntry
    | TuneEndEntry
)
