"""How far a record can be believed: a grade, and a reason with a number for everything below A.

| grade | needs |
|---|---|
| A | at least 5 processes, half-width <= 3 %, background CPU <= 2 %, steady |
| B | half-width <= 8 %, background CPU <= 5 %; a drift, disk reads, a battery, a following clock |
| C | anything weaker |
| INVALID | throttled, swapped, file changed, wrong or non-finite output, clock fault |

Pure. Time stolen by a hypervisor is judged by the limits of background CPU: to the measured process
it is the same thing. Both are shares of ten processors at most: one busy thread on 64 is 10 %, not
1.6 %, because all threads of a product wait for the one whose turns it takes. A load that nothing
could measure is not proven to be small: C.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.core.units import MIB
from harness.results.background import BACKGROUND_CPU_SHARE
from harness.results.enums import Grade, ReasonCode
from harness.results.replies import JUDGED_PROCESSORS, WatchInterval

RANKED = tuple(Grade)
LEAST_PROCESSES = 5
HALF_WIDTH_SHARE = {Grade.A: 0.03, Grade.B: 0.08}
CLOCK_SHARE = {Grade.A: 0.005, Grade.B: 0.02}  # a tick of the clock beside the shortest timed part
# Ways of choosing a frequency that follow the load or save power; by Linux, Windows and macOS.
FOLLOWING_GOVERNORS = frozenset(
    {"powersave", "ondemand", "conservative", "schedutil", "userspace", "power saver", "low power"}
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a record is judged by.

    Attributes:
        processes: fresh processes that support it.
        half_width_share: of the 95 % interval of the judged metrics; None: no interval.
        steady_processes: processes whose warm-up ended steady.
        finite: every output was finite, and told tokens or texts apart.
        outputs: distinct outputs for the same input; 1 when all processes agree.
        file_changed: a model file is not what it was when the run began.
        clock_fault: what a clock did that no clock should, or None.
        watch: the machine during all timed parts; None: it was not watched.
        drift: how the speed moved while it was measured, or None.
        major_faults: pages that timed parts had to wait for a disk for.
        clock_share: a tick of the clock over the shortest timed part; None: unknown.
        governor: how the processor's frequency is chosen, as the system calls it; None: unknown.
        on_battery: the machine ran from its battery.
    """

    processes: int
    half_width_share: float | None
    steady_processes: int
    finite: bool = True
    outputs: int = 1
    file_changed: bool = False
    clock_fault: str | None = None
    watch: WatchInterval | None = None
    drift: str | None = None
    major_faults: int = 0
    clock_share: float | None = None
    governor: str | None = None
    on_battery: bool = False


@dataclass(frozen=True, slots=True)
class TrustGrade:
    """A grade and what stands between it and an A.

    Attributes:
        grade: the worst that a rule allows.
        reasons: (code, sentence with the number), the gravest first; empty for A.
    """

    grade: Grade
    reasons: tuple[tuple[ReasonCode, str], ...] = ()


Finding = tuple[Grade, str]  # best grade that is still possible, sentence
Rule = Callable[[Evidence], Finding | None]


def grade(evidence: Evidence) -> TrustGrade:
    """Grade one record: the worst of what the rules find."""
    found = sorted(_findings(evidence), key=lambda item: -RANKED.index(item[0]))
    if not found:
        return TrustGrade(Grade.A)
    return TrustGrade(found[0][0], tuple((code, detail) for _, code, detail in found))


def _findings(evidence: Evidence) -> Iterator[tuple[Grade, ReasonCode, str]]:
    """(grade, code, sentence) of every rule that has something to say."""
    for code, rule in RULES.items():
        finding = rule(evidence)
        if finding is not None:
            yield finding[0], code, finding[1]


def _few_processes(evidence: Evidence) -> Finding | None:
    """Fewer processes than an A needs."""
    if evidence.processes >= LEAST_PROCESSES:
        return None
    return Grade.B, f"{evidence.processes} processes, A needs {LEAST_PROCESSES}"


def _wide_interval(evidence: Evidence) -> Finding | None:
    """A half-width beyond the limits, or none at all."""
    if evidence.half_width_share is None:
        return Grade.C, "no interval: it needs 2 processes"
    return _above(evidence.half_width_share, HALF_WIDTH_SHARE, "half-width of the 95 % interval")


def _background_cpu(evidence: Evidence) -> Finding | None:
    """Other programs on our processors."""
    return _taken(evidence, "background_cpu_share", "CPU used by others")


def _other_bench(evidence: Evidence) -> Finding | None:
    """Another measurement: it loads the machine by turns, in ways that no counter tells."""
    if evidence.watch is None or not evidence.watch.other_bench:
        return None
    return Grade.C, "another bench measured on this machine at the same time"


def _steal(evidence: Evidence) -> Finding | None:
    """Other guests on our processors."""
    return _taken(evidence, "steal_share", "CPU taken by the host")


def _taken(evidence: Evidence, name: str, what: str) -> Finding | None:
    """Judge one of the shares of a watch; of many processors it is one of as many as count."""
    share = getattr(evidence.watch, name, None)
    if share is None:
        return None
    if evidence.watch and evidence.watch.processors > JUDGED_PROCESSORS:
        what = f"{what}, of {JUDGED_PROCESSORS} processors,"
    return _above(share, BACKGROUND_CPU_SHARE, what)


def _above(share: float, limits: dict[Grade, float], what: str) -> Finding | None:
    """The best grade whose limit `share` keeps, with the limit it broke; None: it keeps A's."""
    if share <= limits[Grade.A]:
        return None
    reached, asked = (Grade.B, Grade.A) if share <= limits[Grade.B] else (Grade.C, Grade.B)
    return reached, f"{what} {share:.1%}, {asked} needs {limits[asked]:.0%}"


def _unknown_load(evidence: Evidence) -> Finding | None:
    """Neither of the two was counted."""
    if evidence.watch is not None and evidence.watch.background_cpu_share is not None:
        return None
    return Grade.C, "nothing tells how busy others kept the processors"


def _not_steady(evidence: Evidence) -> Finding | None:
    """A warm-up that ended at its time limit."""
    if evidence.steady_processes >= evidence.processes:
        return None
    unsteady = evidence.processes - evidence.steady_processes
    return (
        Grade.B,
        f"{unsteady} of {evidence.processes} processes were not steady after the warm-up",
    )


def _throttled(evidence: Evidence) -> Finding | None:
    """Stopped by a quota, or slowed down for heat."""
    periods = (evidence.watch and evidence.watch.throttled_periods) or 0
    events = (evidence.watch and evidence.watch.thermal_events) or 0
    if periods > 0:
        return Grade.INVALID, f"the container's quota stopped it in {periods} periods"
    return (Grade.INVALID, f"slowed down for heat or power {events} times") if events > 0 else None


def _swapped(evidence: Evidence) -> Finding | None:
    """Any swap traffic during the timed parts."""
    if evidence.watch is None:
        return None
    swapped_in = evidence.watch.swapped_in_bytes or 0
    swapped_out = evidence.watch.swapped_out_bytes or 0
    if swapped_in + swapped_out <= 0:
        return None
    return Grade.INVALID, f"swap: {swapped_in / MIB:.2f} MiB in, {swapped_out / MIB:.2f} MiB out"


def _non_finite(evidence: Evidence) -> Finding | None:
    """NaN or infinity in an output, or nothing but one value."""
    told = "an output holds NaN or infinity, or is one value throughout"
    return None if evidence.finite else (Grade.INVALID, told)


def _file_changed(evidence: Evidence) -> Finding | None:
    """Another model file than the one the run began with."""
    return (Grade.INVALID, "a model file changed during the run") if evidence.file_changed else None


def _output_changed(evidence: Evidence) -> Finding | None:
    """Different outputs for the same input."""
    if evidence.outputs <= 1:
        return None
    return Grade.INVALID, f"{evidence.outputs} different outputs for the same input"


def _drift(evidence: Evidence) -> Finding | None:
    """A speed that moved after the warm-up."""
    return (Grade.B, evidence.drift) if evidence.drift else None


def _major_faults(evidence: Evidence) -> Finding | None:
    """Pages that were not in memory when they were timed."""
    if evidence.major_faults <= 0:
        return None
    return Grade.B, f"{evidence.major_faults} pages were read from a disk in timed parts"


def _coarse_clock(evidence: Evidence) -> Finding | None:
    """A clock whose tick is no small part of what it times."""
    share = evidence.clock_share
    what = "a tick of the clock, of the shortest timed part,"
    return None if share is None else _above(share, CLOCK_SHARE, what)


def _governor(evidence: Evidence) -> Finding | None:
    """A frequency that follows the load."""
    if evidence.governor not in FOLLOWING_GOVERNORS:
        return None
    return Grade.B, f"the processor's frequency follows the load ({evidence.governor})"


def _on_battery(evidence: Evidence) -> Finding | None:
    """A machine that saves power."""
    return (Grade.B, "the machine ran from its battery") if evidence.on_battery else None


def _clock(evidence: Evidence) -> Finding | None:
    """A clock that cannot be right."""
    return (Grade.INVALID, evidence.clock_fault) if evidence.clock_fault else None


# code -> rule; codes are machine-readable and stay, sentences may change
RULES: dict[ReasonCode, Rule] = {
    ReasonCode.FILE_CHANGED: _file_changed,
    ReasonCode.NON_FINITE: _non_finite,
    ReasonCode.OUTPUT_CHANGED: _output_changed,
    ReasonCode.CLOCK: _clock,
    ReasonCode.THROTTLED: _throttled,
    ReasonCode.SWAPPED: _swapped,
    ReasonCode.UNKNOWN_LOAD: _unknown_load,
    ReasonCode.BACKGROUND_CPU: _background_cpu,
    ReasonCode.STEAL: _steal,
    ReasonCode.OTHER_BENCH: _other_bench,
    ReasonCode.WIDE_INTERVAL: _wide_interval,
    ReasonCode.NOT_STEADY: _not_steady,
    ReasonCode.DRIFT: _drift,
    ReasonCode.MAJOR_FAULTS: _major_faults,
    ReasonCode.COARSE_CLOCK: _coarse_clock,
    ReasonCode.GOVERNOR: _governor,
    ReasonCode.ON_BATTERY: _on_battery,
    ReasonCode.FEW_PROCESSES: _few_processes,
}
