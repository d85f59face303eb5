"""Whether a record keeps to a requirement, by the whole interval of what was measured. Pure.

Where the scatter comes from follows from the metric: processes, the known scatter of peaks, chunks
of text, or nothing, where a value is counted. A quantity over minutes is that of one process, of
which the processes of the same test say how far one may be from the next.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import stdev

from harness.results.background import background_of
from harness.results.enums import Outcome, ReasonCode, Status
from harness.results.losses import NO_MEMORY
from harness.results.metric_row import MetricRow, Source
from harness.results.quality import EmbeddingScores, TaskScores
from harness.results.requirement import Requirement
from harness.results.schema import Cell, Metric, Record, kind_of
from harness.results.summarize import QUALITY_PATHS, process_values, quality_path
from harness.results.validity import is_valid
from harness.stats.differences import quantile
from harness.stats.intervals import CONFIDENCE
from harness.stats.limits import (
    ABOVE,
    LEAST_VALUES,
    NEITHER,
    SHARE,
    Family,
    Told,
    common_scatter,
    tell_known,
    tell_values,
)
from harness.stats.stopping import NO_LOOKS, Looks

CHANCE = SHARE  # of any false verdict among lines that are told together
TIMED = (Source.SAMPLES, Source.COUNTERS, Source.TEXT)  # what other programs slow
UNTIMED = (Source.MEMORY, Source.QUALITY)
# Why nothing is told.
NOT_MEASURED = "not measured"
STRADDLES = "the limit lies inside the interval"
BUSY = "beyond the limit, but measured beside other programs"
FEW = f"fewer than {LEAST_VALUES} processes (--rounds {LEAST_VALUES} or more)"
SILENT = "nothing tells how far it scatters"
RANDOM = "random weights: numeric fidelity only, which says nothing about text"
NO_SUSTAIN = "the speed over minutes was not measured (--sustain 5m)"
COUNTED, KNOWN, CHUNKS, PROCESSES = "counted", "known scatter", "chunks", "processes"
QUESTIONS = "questions"
OF_TASKS = frozenset(TaskScores.__struct_fields__)  # metrics of questions with choices among them


@dataclass(frozen=True, slots=True)
class Judged:
    """What is said of one requirement in one record.

    Attributes:
        requirement: which one.
        outcome: see Outcome.
        value: in the metric's unit; None: not measured.
        low: lower end of the interval that decides; None: there is none.
        high: upper end.
        basis: what its scatter is known from.
        why: of INCONCLUSIVE, else empty.
    """

    requirement: Requirement
    outcome: Outcome
    value: float | None = None
    low: float | None = None
    high: float | None = None
    basis: str = ""
    why: str = ""


def lines_of(
    records: Sequence[Record], requirements: Sequence[Requirement]
) -> list[tuple[Record, Requirement]]:
    """Every record beside every requirement that its test is for, in the order of both.

    What a session has once is judged in the first record of the session that has it; what a level
    loses, in the first of each path; what it answers, which is of no path, in the first of all.
    """
    seen: set[tuple[object, ...]] = set()
    found = []
    for record in records:
        for one in requirements:
            if not one.fits(kind_of(record.cell)):
                continue
            session = (record.source, *_session(record.cell))
            key = (one.text, session, _part(record.cell, one.metric))
            if key not in seen:
                seen.add(key)
                found.append((record, one))
    return found


def family_of(lines: Iterable[tuple[Record, Requirement]], looks: tuple[int, ...] = ()) -> Family:
    """The lines that scatter, as they are told together: what is counted is sure."""
    return Family(sum(not is_counted(one.metric) for _, one in lines), looks)


def judge_records(
    records: Sequence[Record], requirements: Sequence[Requirement], looks: Looks = NO_LOOKS
) -> list[tuple[Record, Judged]]:
    """What is said of every line of a run whose rounds were fixed before, told together.

    Args:
        records: of one run.
        requirements: all of them.
        looks: of the run; see `judge`.
    """
    lines = lines_of(records, requirements)
    family = family_of(lines)
    common = scatters(lines)
    return [
        (record, judge(one, record, family, looks, common.get(one.metric.name, 0.0)))
        for record, one in lines
    ]


def scatters(lines: Iterable[tuple[Record, Requirement]]) -> dict[str, float]:
    """How far processes are from each other, by metric, over all lines that have processes."""
    found: dict[str, list[list[float]]] = {}
    for record, one in lines:
        values = _scaled(one.metric, record)
        if values:
            found.setdefault(one.metric.name, []).append(values)
    return {name: common_scatter(values) for name, values in found.items()}


def judge_runs(
    runs: Sequence[Sequence[Record]], requirements: Sequence[Requirement]
) -> list[tuple[Record, Judged]]:
    """The same of several runs of one build: each gives a cell one value.

    Args:
        runs: records of each, two or more runs; a cell that one lacks has a value less.
        requirements: all of them.
    """
    found: dict[tuple[Cell, str], list[Record]] = {}
    for records in runs:
        for record, one in lines_of(records, requirements):
            found.setdefault((record.cell, one.text), []).append(record)
    by_text = {one.text: one for one in requirements}
    family = Family(sum(not is_counted(by_text[text].metric) for _, text in found))
    return [
        (records[-1], _over_runs(by_text[text], records, family))
        for (_, text), records in found.items()
    ]


def _over_runs(one: Requirement, records: Sequence[Record], family: Family) -> Judged:
    """One line of several runs; what is counted, or of one process a run, is the newest's."""
    if one.metric.value is None or one.is_sustained:
        return judge(one, records[-1], family)
    shown = [record.metrics.get(one.metric.name) for record in records if is_valid(record)]
    values = [found.value for found in shown if found is not None and found.value is not None]
    if not values:
        return _nothing(one, NOT_MEASURED)
    watches = [process.watch for record in records for process in record.samples]
    return judge_values(one, values, family, background_of(watches).is_busy)


def is_counted(metric: MetricRow) -> bool:
    """Whether its values are counted, not measured."""
    return metric.source is Source.FILES


def judge(
    requirement: Requirement,
    record: Record,
    family: Family,
    looks: Looks = NO_LOOKS,
    scatter: float = 0.0,
) -> Judged:
    """Say whether a record keeps to a requirement.

    A value beyond the limit that was measured beside other programs decides nothing: they slow it.
    One within does.

    Args:
        requirement: its metric is one that the record's kind of test has.
        record: measured, or not.
        family: what it is told beside.
        looks: of the run: after which rounds the width of an interval ended it.
        scatter: of processes of all lines with the metric; see `scatters`.
    """
    refusal = _refusal(requirement.metric, record)
    if refusal:
        return _nothing(requirement, refusal)
    shown = record.metrics.get(requirement.metric.name)
    if shown is None or shown.value is None:
        return _nothing(requirement, _why_missing(requirement.metric, record))
    if requirement.is_sustained:
        return _judged_sustained(requirement, record, family)
    if shown.processes == 0:
        exact = shown.value
        outcome = Outcome.MET if requirement.is_met_by(exact) else Outcome.NOT_MET
        return Judged(requirement, outcome, exact, exact, exact, COUNTED)
    if requirement.metric.source is Source.QUALITY and _is_random(record):
        return _nothing(requirement, RANDOM, shown.value)
    told, basis, why = _told(
        requirement, record, shown, stopped_family(family, looks, shown.processes), scatter
    )
    return _judged(requirement, record, shown.value, told, basis, why)


def judge_values(
    requirement: Requirement,
    values: Sequence[float],
    family: Family,
    is_busy: bool = False,
    few: str = FEW,
) -> Judged:
    """The same of one value of each process, or of each run, in the metric's unit.

    Args:
        requirement: which one.
        values: one or more.
        family: what it is told beside.
        is_busy: measured beside other programs.
        few: what is said of fewer than LEAST_VALUES.
    """
    metric = requirement.metric
    scaled = [_on_scale(metric, value) for value in values]
    told = tell_values(scaled, _on_scale(metric, requirement.limit), family)
    why = few if len(values) < LEAST_VALUES else ""
    basis = f"{len(values)} {PROCESSES}"
    return _as_judged(requirement, _off_scale(metric, told.center), told, basis, why, is_busy)


def all_met(judged: Iterable[Judged]) -> bool:
    """Whether every requirement is MET."""
    return all(one.outcome is Outcome.MET for one in judged)


def any_not_met(judged: Iterable[Judged]) -> bool:
    """Whether any is NOT_MET."""
    return any(one.outcome is Outcome.NOT_MET for one in judged)


def _refusal(metric: MetricRow, record: Record) -> str:
    """Why nothing of a record counts; empty: it does. Memory needs no timed process beside it."""
    if is_counted(metric):
        return ""
    if record.status is Status.OK:
        return "" if is_valid(record) else "INVALID (bench explain trust)"
    is_untimed = record.status is Status.SKIPPED and metric.source in UNTIMED
    return "" if is_untimed else f"{record.status}: {record.reason}"


def _why_missing(metric: MetricRow, record: Record) -> str:
    """Why a value is not there, as far as the grade says it."""
    reasons = () if record.trust is None else record.trust.reasons
    if metric.source is Source.MEMORY:
        for reason in reasons:
            if reason.code == ReasonCode.LOST_WORKER and reason.detail.startswith(NO_MEMORY):
                return f"{NOT_MEASURED}: {reason.detail}"
    return NOT_MEASURED


def _judged(
    requirement: Requirement,
    record: Record,
    value: float,
    told: Told | None,
    basis: str,
    why: str,
) -> Judged:
    """A told line of a record, in the metric's unit."""
    if told is None:
        return _nothing(requirement, why, value)
    watches = [process.watch for process in record.samples]
    is_busy = requirement.metric.source in TIMED and background_of(watches).is_busy
    return _as_judged(requirement, value, told, basis, why, is_busy)


def _as_judged(
    requirement: Requirement, value: float, told: Told, basis: str, why: str, is_busy: bool
) -> Judged:
    """A told line in the metric's unit; without a reason of its own the interval says why."""
    metric = requirement.metric
    outcome = Outcome.INCONCLUSIVE
    if told.side != NEITHER:
        is_good = (told.side == ABOVE) == metric.more_is_better
        outcome = Outcome.MET if is_good else Outcome.NOT_MET
    if outcome is Outcome.NOT_MET and is_busy:
        outcome, why = Outcome.INCONCLUSIVE, BUSY
    if outcome is Outcome.INCONCLUSIVE:
        why = why or STRADDLES
    low, high = (_end(metric, end) for end in (told.low, told.high))
    return Judged(requirement, outcome, value, low, high, basis, why)


def _told(
    requirement: Requirement, record: Record, shown: Metric, family: Family, scatter: float
) -> tuple[Told | None, str, str]:
    """What tells of a value with a scatter, from what that is known, and why nothing tells."""
    metric = requirement.metric
    limit = _on_scale(metric, requirement.limit)
    if values := _scaled(metric, record):
        why = FEW if len(values) < LEAST_VALUES else ""
        return tell_values(values, limit, family, scatter), f"{len(values)} {PROCESSES}", why
    assert shown.value is not None
    if metric.known_scatter_ln is not None:
        center = _on_scale(metric, shown.value)
        return tell_known(center, metric.known_scatter_ln, math.inf, limit, family), KNOWN, ""
    count, basis = _count(record, metric, shown)
    if shown.low is None or shown.high is None or count < 2:
        return None, "", SILENT
    center, low, high = (_on_scale(metric, end) for end in (shown.value, shown.low, shown.high))
    # One end may have been cut at what the quantity can be, so the farther one counts.
    error = max(high - center, center - low) / quantile((1 + CONFIDENCE) / 2, count - 1)
    if error == 0:  # of the reference itself: exactly what it is
        within = requirement.is_met_by(shown.value)
        side = ABOVE if within == metric.more_is_better else -ABOVE
        return Told(side, center, center, center), f"{count} {basis}", ""
    return tell_known(center, error, count - 1, limit, family), f"{count} {basis}", ""


def _judged_sustained(requirement: Requirement, record: Record, family: Family) -> Judged:
    """The rate over minutes, of one process: the others tell how far it may be from the next.

    ln rate -+ t(tail, n - 1) * sd(ln rates of the n processes of the test)
    """
    found = record.sustain
    if found is None or found.sustained is None:
        why = NO_SUSTAIN if found is None else f"{NOT_MEASURED}: {found.reason}"
        return _nothing(requirement, why)
    values = _scaled(requirement.metric, record)
    if len(values) < LEAST_VALUES:
        return _nothing(requirement, FEW, found.sustained)
    center, limit = math.log(found.sustained), math.log(requirement.limit)
    told = tell_known(center, stdev(values), len(values) - 1, limit, family)
    basis = f"1 process, scatter of {len(values)}"
    return _judged(requirement, record, found.sustained, told, basis, "")


def _nothing(requirement: Requirement, why: str, value: float | None = None) -> Judged:
    return Judged(requirement, Outcome.INCONCLUSIVE, value, why=why)


def _count(record: Record, metric: MetricRow, shown: Metric) -> tuple[int, str]:
    """How many values stand behind a metric's interval, and what they are."""
    if metric.source is not Source.QUALITY:
        return shown.processes, PROCESSES
    tasks = None if record.quality is None else record.quality.tasks
    if tasks is not None and metric.name in OF_TASKS:
        return tasks.items, QUESTIONS
    path = quality_path(record.quality, kind_of(record.cell))
    if path is None:
        return 0, CHUNKS
    return (path.texts if isinstance(path, EmbeddingScores) else path.chunks), CHUNKS


def _is_random(record: Record) -> bool:
    return record.quality is not None and bool(record.quality.label)


def stopped_family(family: Family, looks: Looks, count: int) -> Family:
    """The family with less of its share where a width decided how many values there are."""
    spent = (1 - looks.confidence(count)) / (1 - CONFIDENCE)
    return Family(family.lines, family.looks, family.share * spent)


def _session(cell: Cell) -> tuple[object, ...]:
    """What records of one session share."""
    own = ("workload", "prompt", "gen", "depth", "chunk", "sequences")
    return tuple(getattr(cell, name) for name in Cell.__struct_fields__ if name not in own)


def _part(cell: Cell, metric: MetricRow) -> object:
    """What of a session a metric is judged once in."""
    if metric.name in OF_TASKS:
        return QUESTIONS
    if metric.source is Source.QUALITY:
        return QUALITY_PATHS.get(kind_of(cell))
    return None if metric.of_session else cell.workload


def _scaled(metric: MetricRow, record: Record) -> list[float]:
    """The value of every process on the scale of the statistics; empty: it has none."""
    if metric.value is None:
        return []
    return [_on_scale(metric, value) for value in process_values(record, metric.name).values()]


def _on_scale(metric: MetricRow, value: float) -> float:
    """Its logarithm; itself where it is compared as a difference, or may be 0."""
    return value if metric.signed else metric.on_scale(value)


def _off_scale(metric: MetricRow, value: float) -> float:
    return value if metric.signed else metric.off_scale(value)


def _end(metric: MetricRow, end: float) -> float | None:
    """An end in the metric's unit, of a share one that it can have; None: there is none."""
    found = _off_scale(metric, end)
    if metric.unit == "share":  # a few questions leave out nothing, not even what cannot be
        found = min(max(found, 0.0), 1.0)
    return found if math.isfinite(found) else None
