"""The results document: typed records, versions, and one-step upgrades.

The outline (names of fields, statuses, trust grades) is the contract that every report,
comparison and third party reads. Missing values are null, never 0.
"""

from typing import Any

import msgspec

from harness.results.enums import (
    SINGLE_PASS,
    CacheType,
    EnergyKind,
    Grade,
    Kind,
    Prepack,
    Status,
    one_of,
)
from harness.results.environment import Environment
from harness.results.explanation import Explanation
from harness.results.plan import RunPlan
from harness.results.quality import Quality
from harness.results.replies import (
    Hardware,
    MemoryTaken,
    Placement,
    ProcessSamples,
    Profile,
    StepsCheck,
    Sustained,
)

SCHEMA = "bench.results"
# Format history. A reader upgrades one step at a time; a writer writes only the newest.
#   3  a document may be of several runs on several machines: `sources`, and `source` of a record
#   2  test `run` is called `graph`, reason SHIFT is called DRIFT, reason FOREIGN_CPU and the
#      counters foreign_cpu_* are called BACKGROUND_CPU and background_cpu_*
#   1  first format
SCHEMA_VERSION = 3
# Raised whenever a measured or estimated value changes its meaning; see CHANGELOG, "Numbers".
METHOD_VERSION = 2
Json = dict[str, Any]
_keep = msgspec.structs.force_setattr
SERVER = "server"  # the device of what a server runs
PREFILL, DECODE, REQUEST, TURN, ENCODE, IMAGE, SOUND, GRAPH = Kind
_OWN_CACHES = {
    "fp16": CacheType.FP16,
    "a16w8": CacheType.UINT8,
    "a8w8": CacheType.UINT8,
}


def own_cache(level: str) -> CacheType:
    """Return the cache level that weights at `level` come with: mostly its float type."""
    return _OWN_CACHES.get(level, CacheType.FP32)


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """The identity of one record: one test in one session group.

    Attributes:
        model: name of the model; for a local folder its last component and content hash.
        parameters: logical parameters, a tied head counted once; 0: a graph without any, or a
            server that counts none.
        level: quantization level, such as `int4`.
        device: what the user asked for, such as `cpu`; `server`: where a server runs it, which it
            does not say.
        provider: the ONNX Runtime provider that did the work; `llama.cpp` where that did; `http`
            where a server did.
        runtime: `ort`; `genai`: onnxruntime-genai, whose own loop ran the model; `llama.cpp`; of a
            server its kind and whether it is this machine: `ollama@loopback`, never its host.
        workload: full test name, such as `tg128 @ d0` or `enc128x8`.
        prompt: prefill tokens, or tokens of each text that an encoder reads.
        gen: decoded tokens.
        depth: tokens in the cache before the test.
        chunk: tokens of the prompt that were read at once; 0: all of them.
        capacity: positions that the cache was allocated for; 0: as many as the tests need.
        batch: sequences of a decoder's session; 1 for an encoder, whose batch is the test's.
        threads: intra-op threads; 0: those of a server, which does not say.
        weights: `seeded` or `trained`; `served`: those that a server has loaded.
        kv_cache: cache level: how keys and values are stored; documents from before there was a
            choice say nothing and mean the float type of the level.
        prepack: `off`: kernels make their copies of weights at each load; `parallel`: on all
            threads; `on`: they were saved once and are mapped.
        sequences: texts of one pass of an encoder's test; 1 for a decoder.
        active_parameters: those that one token uses, of a mixture of experts; None: all of them.
        level_label: how the level is printed, such as `int8 (W8A8 dynamic)`; empty: by its name.
    """

    model: str
    parameters: int
    level: str
    device: str
    provider: str
    runtime: str
    workload: str
    prompt: int
    gen: int
    depth: int
    batch: int
    threads: int
    weights: str
    sequences: int = 1
    active_parameters: int | None = None
    level_label: str = ""
    kv_cache: str = ""
    prepack: str = Prepack.OFF
    chunk: int = 0
    capacity: int = 0

    def __post_init__(self) -> None:
        """Put in the cache that a level has where nothing else is asked for."""
        if not self.kv_cache:
            _keep(self, "kv_cache", own_cache(self.level))

    @property
    def has_own_cache(self) -> bool:
        """Whether keys and values are stored as the level's own float type: llama.cpp's float16."""
        if self.kv_cache == "served":  # a server's: it says nothing of another
            return True
        if self.runtime == "llama.cpp":
            return self.kv_cache == CacheType.FP16
        return self.kv_cache == own_cache(self.level)


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One measured quantity: centre over process medians and its 95 % interval.

    Attributes:
        value: median over processes; null when it was not measured.
        low: lower end of the 95 % t-interval on log process medians; null under 2 processes.
        high: upper end.
        unit: the unit of all three.
        processes: how many processes support it.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    unit: str
    processes: int


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a grade is not A.

    Attributes:
        code: of the reason, such as `STEAL`; `bench explain STEAL` says what it means. A newer
            harness may have more of them.
        detail: a sentence with the number.
    """

    code: str
    detail: str


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """How far a record can be believed.

    Attributes:
        grade: A, B, C or INVALID.
        reasons: what keeps it from A, the gravest first; empty at A.
    """

    grade: Grade
    reasons: tuple[Reason, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a grade that no reader would know how to rank."""
        _keep(self, "grade", one_of(Grade, self.grade, "trust grade"))


class Energy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of the energy of a cell.

    Attributes:
        kind: measured, or unavailable.
        host: the counter of the processor packages or of the machine.
        device: the counter of a card.
        processes: how many of them were counted.
        zones: J of a pass by counter and zone, where a counter tells several apart; medians over
            processes.
        proofs: how each counter followed load before it was believed, in words.
        reason: why it is unavailable.
    """

    kind: EnergyKind
    host: str | None = None
    device: str | None = None
    processes: int | None = None
    zones: dict[str, dict[str, float]] = {}
    proofs: dict[str, str] = {}
    reason: str | None = None


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """How some of a model's parameters are stored.

    Attributes:
        level: of quantization.
        parameters: how many.
        bytes: they take.
    """

    level: str
    parameters: int
    bytes: int


class Recognition(msgspec.Struct, frozen=True, kw_only=True):
    """What was recognised of a model that others exported.

    Attributes:
        kind: of model.
        exporter: who wrote it.
        content_hash: of all of its files.
        files: its graphs.
        cache: kind of its cache.
        storages: how its parameters are stored.
        steps_check: how far its steps are from whole passes; null: there was nothing to check.
        inputs: values that the user gave inputs.
        invented: values of whole numbers and truths that nobody gave.
        notes: what a reader of its numbers should know, in sentences.
    """

    kind: str
    exporter: str
    content_hash: str
    files: tuple[str, ...]
    cache: str
    storages: tuple[Storage, ...]
    steps_check: StepsCheck | None = None
    inputs: dict[str, float] | None = None
    invented: dict[str, int] | None = None
    notes: tuple[str, ...] | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of one cell.

    Attributes:
        cell: its identity.
        status: how measuring it ended.
        reason: what a person can act on when status is not `ok`; else null.
        metrics: by the names of the glossary.
        estimates: metric name -> estimator name -> value, in the metric's unit.
        placement: null when no session was opened.
        trust: null when the cell was not measured to its end.
        simulated: the device is emulated: function proven, speed meaningless.
        hardware: the device, as harness.devices.hardware.Hardware describes it: provider, wheel
            and version, vendor, numbers, options; null when no session was opened.
        profile: shares of the time per provider and operator, as harness.devices.placement draws
            them up, or why there are none; null: not asked for.
        explanation: how the best estimate came about: its basis, every pass term by term, the
            parts of memory; null without an estimate.
        quality: what the level loses against the fp32 reference on both paths, or why it is not
            known; null: not asked for.
        shapes: that a static decoder was built for, `prefill_tokens` and `capacity_tokens`: a step
            reads the whole cache; null: shapes are free.
        energy: `kind` is `measured`, with the counters of `host` and `device` and the processes; or
            `unavailable`, with the `reason`; null: no process was asked.
        sustain: the speed over minutes without a rest, as harness.runner.loop.sustain draws it up,
            or why it is not known; null: not asked for.
        recognition: of a model that others exported: kind, files, cache, storage, and how far its
            steps are from whole passes; null of one that is built here.
        samples: one object per process, raw: round, order, every duration in ns.
        memory: one object per process that took memory and timed nothing, raw, in bytes.
        source: which of the document's `sources` it is of, from 0; null in a document of one run.
    """

    cell: Cell
    status: Status
    reason: str | None = None
    metrics: dict[str, Metric] = {}
    estimates: dict[str, dict[str, float | None]] = {}
    placement: Placement | None = None
    trust: Trust | None = None
    simulated: bool = False
    hardware: Hardware | None = None
    profile: Profile | None = None
    explanation: Explanation | None = None
    quality: Quality | None = None
    shapes: dict[str, int] | None = None
    recognition: Recognition | None = None
    energy: Energy | None = None
    sustain: Sustained | None = None
    samples: tuple[ProcessSamples, ...] = ()
    memory: tuple[MemoryTaken, ...] = ()
    source: int | None = None

    def __post_init__(self) -> None:
        """Refuse an unknown status, and a failure that does not say what to do about it."""
        _keep(self, "status", one_of(Status, self.status, "status"))
        if self.status != Status.OK and not self.reason:
            raise ValueError(f"a record that is {self.status} needs a reason")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One run of several in a document.

    Attributes:
        run_id: see Document.
        created_utc: likewise.
        environment: the machine of the run, and its peaks; of a cell that no machine has measured,
            nothing.
        plan: what was asked for; `cell` says which cell of a plan, and of which machine.
    """

    run_id: str
    created_utc: str
    environment: Environment
    plan: RunPlan


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One run: its environment, its plan, and one record per cell; or several, merged.

    Attributes:
        schema: SCHEMA.
        schema_version: SCHEMA_VERSION of the harness that wrote it.
        method_version: METHOD_VERSION likewise; documents of two methods are not compared.
        run_id: sorts by time and never meets another.
        created_utc: when the run began, ISO 8601.
        environment: the machine and the peaks that were measured on it.
        plan: what was asked for; a path is its last component.
        records: in the order of the plan; of several runs, in the order of `sources`.
        sources: the runs of a merged document, whose `environment` and `plan` are what all of them
            share; empty: it is one run.
    """

    schema: str = SCHEMA
    schema_version: int = SCHEMA_VERSION
    method_version: int = METHOD_VERSION
    run_id: str
    created_utc: str
    environment: Environment
    plan: RunPlan
    records: tuple[Record, ...]
    sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a record that is of none of the runs."""
        known = range(len(self.sources))
        for number, record in enumerate(self.records):
            if record.source is not None if not self.sources else record.source not in known:
                raise ValueError(
                    f"records[{number}].source is {record.source}, and {len(known)} runs are there"
                )


def kind_of(cell: Cell) -> Kind:
    """`turn`, `enc`, `img`, `aud` or `graph`, by the name of the test; else by its numbers."""
    for kind in (TURN, *SINGLE_PASS):  # their names tell; their lengths do not
        if cell.workload.startswith(kind):
            return kind
    if cell.prompt and cell.gen:
        return REQUEST
    return PREFILL if cell.prompt else DECODE
