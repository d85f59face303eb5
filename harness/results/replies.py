"""What worker processes reply, as it travels through the pipe, lies in a journal, and is kept.

A reply is encoded once, after everything timed is over, and decoded once. A list or word that does
not apply is left out; a field that an older writer did not know has its usual value.
"""

import msgspec

from harness.results.enums import PlacementVerdict, one_of


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Which provider ran the graph.

    Attributes:
        verdict: how much the wanted provider took.
        nodes: nodes per provider, before the late fusions of the CPU provider.
        compute_nodes: matrix, attention and convolution nodes per provider.
        switches: changes of provider along the graph; null: not known.
        fell_off: operators of which nodes went to another provider -> how many.
    """

    verdict: PlacementVerdict
    nodes: dict[str, int] = {}
    compute_nodes: dict[str, int] = {}
    switches: int | None = None
    fell_off: dict[str, int] = {}

    def __post_init__(self) -> None:
        """Refuse a verdict that nobody gives."""
        verdict = one_of(PlacementVerdict, self.verdict, "placement verdict")
        msgspec.structs.force_setattr(self, "verdict", verdict)

    @property
    def proven(self) -> bool:
        """Whether the wanted provider did the arithmetic."""
        return self.verdict.proven


class Hardware(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What stands behind one session; null where nothing tells.

    Attributes:
        key: of the device row, with the index of a device that is not the first.
        kind: class that the row serves.
        provider: ONNX Runtime's execution provider.
        wheel: distribution that carries the provider.
        version: of that distribution, or of the library where there is no distribution.
        hardware: class of the device itself, which differs from `kind` where it is simulated.
        vendor: of the device.
        vendor_id: PCI number, hexadecimal.
        device_id: PCI number, hexadecimal.
        memory: name of the device's memory.
        options: every provider option of the session; of llama.cpp what it was built for.
        session_options: options of the session that the user gave, over those of every session.
        simulated: the function is proven, the speed means nothing.
        discrete: a card of its own, or built into the processor (false).
        memory_bytes: the size of its own memory; only `bench devices` asks.
        least_cosine: least cosine of its logits with the CPU's; null: nobody asked.
        fused_cosine: of a static model, or of a GGUF file made here, the same with the fused one's
            at fp32; null: nobody asked.
        plain_cosine: of a GGUF file made here, the same of its weights at f32; null: of anything
            else.
    """

    key: str
    kind: str
    provider: str
    wheel: str
    version: str | None
    hardware: str | None
    vendor: str | None
    vendor_id: str | None
    device_id: str | None
    memory: str | None
    options: dict[str, str]
    simulated: bool
    discrete: bool | None = None
    memory_bytes: int | None = None
    least_cosine: float | None = None
    fused_cosine: float | None = None
    session_options: dict[str, str] = {}
    plain_cosine: float | None = None

    @property
    def device_class(self) -> str:
        """Class of the device that did the work."""
        return self.hardware or self.kind


class LibraryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The library of another runtime: its version, and what it was built to use of a processor."""

    version: str
    instructions: tuple[str, ...]


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A model that was opened, all of its sessions together.

    Attributes:
        load_ns: creation of the sessions; null: a server had loaded the model before.
        first_ns: the first run after it; null: nothing was run.
        placement: of its nodes.
        hardware: the device.
        provider: of ONNX Runtime.
        compiled: what was opened had been compiled before.
        spinning: its threads wait for work by spinning.
        affinity: logical processors that the process may use.
        first: full name of the test that the first run belonged to, such as `pg128+32 @ d0`.
    """

    load_ns: int | None
    first_ns: int | None = None
    placement: Placement | None = None
    hardware: Hardware | None = None
    provider: str = ""
    compiled: bool = False
    spinning: bool | None = None
    affinity: int | None = None
    first: str | None = None


class Warmed(msgspec.Struct, frozen=True, kw_only=True):
    """A warm-up at every shape of a test.

    Attributes:
        steady: it ended because the samples agreed, not because its time was over.
        seconds: it took.
        calls: runs in it.
        window_medians_ns: of each shape (the prompt before the step) the medians of the last two
            windows.
    """

    steady: bool
    seconds: float = 0.0
    calls: int = 0
    window_medians_ns: tuple[float, ...] = ()


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The timed passes of one test, raw: an entry per pass, of those parts that the test has.

    Attributes:
        prefill_ns: the pass over the prompt (pp, pg, turn).
        ttft_ns: prefill and the choice of the first token (pg, turn).
        itl_ns: the decode steps of each pass, in order (tg, pg, turn).
        e2e_ns: the whole request (pg, turn).
        reread_ns: the first token where all before the prompt is read again (turn).
        encode_ns: one pass of a model that keeps nothing between passes (enc, img, graph).
        cpu_ns: processor time of the process over all passes.
        major_faults: pages that had to come from a disk; null where the system does not count.
        involuntary_switches: times another process was put in this one's place; null likewise.
        finite: every output was finite.
        digest: of the last pass's tokens or vectors; empty of a server's, whose prompts are never
            alike.
        cached_tokens: the most of any prompt that a server says it kept and did not read again;
            null: it does not say, or no server was asked.
    """

    prefill_ns: tuple[int, ...] = ()
    ttft_ns: tuple[int, ...] = ()
    itl_ns: tuple[tuple[int, ...], ...] = ()
    e2e_ns: tuple[int, ...] = ()
    reread_ns: tuple[int, ...] = ()
    encode_ns: tuple[int, ...] = ()
    cpu_ns: int
    major_faults: int | None
    involuntary_switches: int | None
    finite: bool
    digest: str
    cached_tokens: int | None = None

    @property
    def passes(self) -> int:
        """How many passes were timed: every kind of test keeps one entry a pass of one of these."""
        return max(len(self.prefill_ns), len(self.itl_ns), len(self.encode_ns))


# The most processors that others' time is a share of: from there on it is judged in processors, 2 %
# are 0.2 of one and 5 % half of one.
JUDGED_PROCESSORS = 10


class WatchInterval(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine did between two looks at its counters; null: nothing tells.

    Attributes:
        wall_ns: time between them.
        processors: logical processors this process may use.
        background_cpu_ns: processor time that neither this process nor its worker used. May be a
            little negative: the system counts in ticks of some ms.
        steal_ns: time in which a hypervisor let others use our processors.
        throttled_periods: periods in which a container's quota stopped us.
        thermal_events: times the processor slowed down for heat or power.
        swapped_in_bytes: memory the whole system fetched back from swap.
        swapped_out_bytes: memory it moved there.
        suspended_ns: time the machine slept.
        other_bench: another `bench` measured here meanwhile; this one was told not to wait for it.
        unknown: counter -> `absent` or `denied`.
    """

    wall_ns: int
    processors: int
    background_cpu_ns: int | None = None
    steal_ns: int | None = None
    throttled_periods: int | None = None
    thermal_events: int | None = None
    swapped_in_bytes: int | None = None
    swapped_out_bytes: int | None = None
    suspended_ns: int | None = None
    other_bench: bool = False
    unknown: dict[str, str] = {}

    @property
    def background_cpu_share(self) -> float | None:
        """Processor time of others as a share of what our processors could have done.

        Of more than JUDGED_PROCESSORS as a share of so many: one busy thread takes its turns from
        one of ours, which all others wait for, however many they are.
        """
        return self._share(self.background_cpu_ns)

    @property
    def steal_share(self) -> float | None:
        """Stolen time as a share of the same."""
        return self._share(self.steal_ns)

    def _share(self, part_ns: int | None) -> float | None:
        """A time as a share of wall time times processors; never below 0."""
        if part_ns is None or self.wall_ns <= 0 or self.processors <= 0:
            return None
        return max(0.0, part_ns / (self.wall_ns * min(self.processors, JUDGED_PROCESSORS)))


class EnergyUsed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What counters counted over a timed part.

    Attributes:
        joules: their sum; null: see `reason`.
        parts: by counter.
        zones: by counter and zone, of counters that tell several apart.
        proofs: what each counter said of load before it was believed, in words.
        host: the counter of package or machine.
        device: that of a card.
        reason: why there is none.
    """

    joules: float | None
    parts: dict[str, float] = {}
    zones: dict[str, dict[str, float]] = {}
    proofs: dict[str, str] = {}
    host: str | None = None
    device: str | None = None
    reason: str | None = None


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """How warm the machine was when a process began (--start-below).

    Attributes:
        sensor: the hottest that tells of what is measured.
        celsius: that it said.
        waited_s: until then.
        reached: it was below what was asked for; else the wait ended without.
    """

    sensor: str
    celsius: float
    waited_s: float
    reached: bool


class ProcessSamples(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One process's answers about one test: the raw material of every metric.

    Attributes:
        round: which round the process belonged to, from 0.
        order: position of the test inside the process, from 0.
        open: what opening the model gave.
        warm: the warm-up; null: there was none.
        sample: the timed passes.
        watch: the machine during them; null: nobody watched.
        energy: of them; null: nobody asked.
        start: how warm the machine was before the process; null: nobody asked, or no sensor tells.
    """

    round: int
    order: int
    open: Opened
    warm: Warmed | None = None
    sample: Sample
    watch: WatchInterval | None = None
    energy: EnergyUsed | None = None
    start: Start | None = None


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Memory of a process at one moment; null where the system does not tell.

    Attributes:
        rss_bytes: resident.
        anonymous_bytes: the part of it that no file stands behind.
        file_bytes: the part of it that maps files.
    """

    rss_bytes: int
    anonymous_bytes: int | None
    file_bytes: int | None


class DeviceHeld(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Memory that a device's driver held for a process.

    Attributes:
        peak_bytes: the largest of several readings; null: see `reason`.
        counter: who counted.
        held_bytes: by the name of each moment.
        reason: why there is none.
    """

    peak_bytes: int | None
    counter: str | None = None
    held_bytes: dict[str, int] = {}
    reason: str | None = None


class MemoryTaken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Memory of a process that opened one model, touched its context, and timed nothing.

    Of a server it is that of its processes after all that was asked of them, since they began: null
    but for `steady` and the peak.

    Attributes:
        baseline: libraries imported, nothing opened.
        loaded: sessions created.
        steady: every position of the context written, each shape of the test run once.
        peak_bytes: high-water mark of the whole process; null: see `reason`.
        load_delta_bytes: resident at `loaded` minus at `baseline`.
        steady_delta_bytes: resident at `steady` minus at `baseline`.
        peak_delta_bytes: the peak minus resident at `baseline`.
        device: memory of the device; null: an older harness did not ask.
        anonymous_peak_bytes: the most memory without a file behind it that any look found, every
            2 ms; null: the system does not tell, or an older harness did not look.
        reason: why the memory of a server is not known; null: it is, or none was asked.
    """

    baseline: Held | None
    loaded: Held | None
    steady: Held | None
    peak_bytes: int | None
    load_delta_bytes: int = 0
    steady_delta_bytes: int = 0
    peak_delta_bytes: int = 0
    device: DeviceHeld | None = None
    anonymous_peak_bytes: int | None = None
    reason: str | None = None


class NextMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Memory of another test in a process that has taken that of one.

    Attributes:
        taken: null: the process held as much before, so that this test needs one of its own.
    """

    taken: MemoryTaken | None


class Agreement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How close a device's outputs come to others.

    Attributes:
        least_cosine: with the CPU's, over a prompt and every step, or over an encoder's texts;
            null of the CPU itself.
        fused_cosine: of a static model, or of a GGUF file made here, with those of the fused one at
            fp32; null of a fused one.
        plain_cosine: of a GGUF file made here, the same of its weights at f32.
    """

    least_cosine: float | None = None
    fused_cosine: float | None = None
    plain_cosine: float | None = None


class Compiled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a device took to compile a model, or why it did not.

    Attributes:
        compile_ns: creation of the sessions, compiled graphs written; null: see `reason`.
        placement: of the model's own nodes, which a compiled graph no longer shows.
        reason: why nothing was compiled.
    """

    compile_ns: int | None
    placement: Placement | None = None
    reason: str | None = None


class StepsCheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far the steps of an exported decoder are from passes over the whole text.

    Attributes:
        difference: the largest one of two logits, as a share of the largest logit; null: there
            was nothing to compare.
        bound: the largest that is allowed.
        agrees: whether it is within it.
        reason: why it could not be checked.
    """

    difference: float | None = None
    bound: float | None = None
    agrees: bool | None = None
    reason: str | None = None


class ProviderShare(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the time went to a provider.

    Attributes:
        provider: of ONNX Runtime.
        share: of the time of all nodes.
    """

    provider: str
    share: float


class OperatorShare(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the time went to an operator.

    Attributes:
        provider: it ran on.
        operator: of ONNX, or of the runtime.
        share: of the time of all nodes.
        calls: how often it ran.
    """

    provider: str
    operator: str
    share: float
    calls: int


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the time of one test goes, of a session of its own that the profile slows down.

    Attributes:
        runs: that were counted.
        providers: most first.
        operators: the largest ones, most first.
        reason: why there is no profile.
    """

    runs: int = 0
    providers: tuple[ProviderShare, ...] = ()
    operators: tuple[OperatorShare, ...] = ()
    reason: str | None = None


class SustainWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a test that runs without a rest.

    Attributes:
        start_s: from the beginning of the first one.
        rate: in the test's unit.
        background_cpu_share: processor time of others; null: nothing tells.
        thermal_events: times the processor slowed down; null likewise.
        steal_share: time that a hypervisor gave to others; null likewise, and in older files.
        throttled_periods: in which a container's quota stopped the process; null likewise.
    """

    start_s: float
    rate: float
    background_cpu_share: float | None = None
    thermal_events: int | None = None
    steal_share: float | None = None
    throttled_periods: int | None = None


class Sustained(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The speed of one test over minutes without a rest.

    Attributes:
        metric: its rate.
        unit: of `peak`, `sustained` and the windows.
        window_s: length of a window.
        peak: the largest median of three neighbouring windows.
        sustained: the median of the last quarter.
        share: sustained over peak.
        throttled_after_s: start of the first window from which no later one comes back to 95 % of
            the peak; null: the last ones do.
        windows: in order.
        start: how warm the machine was before the first one; null: nobody asked, or no sensor.
        reason: why there is none.
    """

    metric: str | None = None
    unit: str | None = None
    window_s: float | None = None
    peak: float | None = None
    sustained: float | None = None
    share: float | None = None
    throttled_after_s: float | None = None
    windows: tuple[SustainWindow, ...] = ()
    start: Start | None = None
    reason: str | None = None


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """A test that is warm, looked at to validate the measurement: raw.

    Attributes:
        timed_digest: of the tokens that a timed pass chooses.
        plain_digest: of those of a plain run.
        tokens: that a pass chose.
        expected_tokens: that rates are computed from.
        steps: of a pass.
        expected_steps: that rates are computed from.
        same_ns: whole passes over the usual input, turn by turn.
        new_ns: whole passes over new ones.
        timed_ns: their sum.
        wall_ns: around them all, by another clock.
        cpu_ns: processor time of the process meanwhile.
    """

    timed_digest: str
    plain_digest: str
    tokens: int
    expected_tokens: int
    steps: int
    expected_steps: int
    same_ns: tuple[int, ...]
    new_ns: tuple[int, ...]
    timed_ns: int
    wall_ns: int
    cpu_ns: int


class MemoryRead(msgspec.Struct, frozen=True, kw_only=True):
    """Reads of a vector far larger than any cache.

    Attributes:
        threads: one slice of the vector each.
        bytes: of a pass.
        pass_ns: wall time of each pass, in order.
        matrix_flop: of one pass of a product of matrices that stay in a cache; 0: none was run.
        matrix_ns: wall time of each such pass.
        calls: operators of one run of a graph of next to nothing; 0: none was run.
        call_ns: wall time of each such run.
    """

    threads: int
    bytes: int
    pass_ns: tuple[int, ...]
    matrix_flop: float = 0.0
    matrix_ns: tuple[int, ...] = ()
    calls: int = 0
    call_ns: tuple[int, ...] = ()


class Done(msgspec.Struct, frozen=True):
    """A command that has nothing to say."""


def parts_of(sample: Sample) -> tuple[tuple[int, ...], ...]:
    """The parts of a pass that have one duration each, over all passes."""
    return (sample.prefill_ns, sample.ttft_ns, sample.e2e_ns, sample.encode_ns)
