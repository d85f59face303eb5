"""Candidates beside their requirements, and which of those that meet all is chosen. Pure.

A line that a look has decided stays decided; a candidate of which one line is NOT_MET is out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

from harness.results.enums import Outcome
from harness.results.fitted import FittedCandidate, FittedLine
from harness.results.judged import Judged, all_met, any_not_met, judge, lines_of
from harness.results.metrics import rate_of_kind
from harness.results.requirement import Requirement
from harness.results.schema import Record, kind_of
from harness.runner.plan import SessionGroup
from harness.stats.limits import Family

Lines = dict[tuple[str, str], Judged]  # by test and requirement
BY_MEMORY = "memory"
LOSSES = {"kld_nats": 1.0, "embedding_cosine": -1.0}  # what a level loses: times it, less is better


@dataclass(slots=True)
class Candidate:
    """One session group, and what is known of it so far.

    Attributes:
        group: what is run.
        record: place of its first record in the document.
        lines: that were judged.
        rounds: processes that stand behind them.
        confirmation: lines of fresh processes alone.
        is_lost: it failed, so nothing more is measured.
    """

    group: SessionGroup
    record: int
    lines: Lines = field(default_factory=dict)
    rounds: int = 0
    confirmation: Lines = field(default_factory=dict)
    is_lost: bool = False

    @property
    def is_out(self) -> bool:
        """Whether it cannot be chosen any more."""
        return self.is_lost or any_not_met(self.lines.values())

    @property
    def outcome(self) -> Outcome:
        """MET where every line is and none of fresh processes says otherwise."""
        lines = self.lines.values()
        if any_not_met(lines):
            return Outcome.NOT_MET
        is_met = bool(lines) and all_met(lines) and all_met(self.confirmation.values())
        return Outcome.MET if is_met and not self.is_lost else Outcome.INCONCLUSIVE

    def is_undecided(self, sources: frozenset[str]) -> bool:
        """Whether further processes may decide a line whose metric comes from there."""
        return not self.is_out and any(
            one.outcome is Outcome.INCONCLUSIVE and one.requirement.metric.source in sources
            for one in self.lines.values()
        )

    def stored(self) -> FittedCandidate:
        """As the document holds it."""
        return FittedCandidate(
            record=self.record,
            outcome=self.outcome,
            lines=_stored(self.lines),
            rounds=self.rounds,
            confirmation=_stored(self.confirmation),
        )


def judged_again(
    lines: Lines,
    records: Sequence[Record],
    requirements: Sequence[Requirement],
    family: Family,
    common: Mapping[str, float],
) -> Lines:
    """Lines of a candidate with those judged anew that no look has decided.

    Args:
        lines: as they stand.
        records: of the candidate.
        requirements: all of them.
        family: what they are told beside.
        common: scatter of processes over all candidates, by metric.
    """
    found: Lines = {}
    for record, one in lines_of(records, requirements):
        key = record.cell.workload, one.text
        known = lines.get(key)
        is_open = known is None or known.outcome is Outcome.INCONCLUSIVE
        if known is None or is_open:
            scatter = common.get(one.metric.name, 0.0)
            known = judge(one, record, family, scatter=scatter)
        found[key] = known
    return found


@dataclass(frozen=True, slots=True)
class Preference:
    """Which of several that meet all requirements is chosen.

    Attributes:
        reasons: why one is taken, for each number of its key.
        key: of the records of a candidate, the best first.
    """

    reasons: tuple[str, ...]
    key: Callable[[Sequence[Record]], tuple[float, ...]]

    def reason(self, chosen: Sequence[Record], others: Sequence[Sequence[Record]]) -> str:
        """What tells the choice from the next best, where it is known of both."""
        mine, next_best = self.key(chosen), min(map(self.key, others))
        differing = (
            f"with {why}"
            for why, one, other in zip(self.reasons, mine, next_best, strict=True)
            if one != other and isfinite(one) and isfinite(other)
        )
        return next(differing, "that comes first")


def _value(records: Sequence[Record], name: str, missing: float) -> float:
    """The first record's value of a metric that has one."""
    found = (record.metrics.get(name) for record in records)
    return next((one.value for one in found if one is not None and one.value is not None), missing)


def _loss(records: Sequence[Record]) -> tuple[float, float]:
    """What a level loses where that was measured, then fewer bits a weight."""
    known = (
        (factor * _value(records, name, float("nan")), name) for name, factor in LOSSES.items()
    )
    loss = next((value for value, _ in known if value == value), 0.0)
    return loss, -_value(records, "bits_per_weight", 0.0)


def _peak(records: Sequence[Record]) -> float:
    return _value(records, "peak_rss_bytes", float("inf"))


def _slowness(records: Sequence[Record]) -> float:
    return -_value(records, rate_of_kind(kind_of(records[0].cell)).name, 0.0)


def _by_quality(records: Sequence[Record]) -> tuple[float, ...]:
    cell = records[0].cell
    return (-float(cell.parameters), *_loss(records), float(cell.threads), _peak(records))


SMALLEST = "the smallest peak"
# As _by_quality has them; what a level loses is known where a requirement or --quality asks for it.
OF_QUALITY = ("most parameters", "the least loss", "most bits a weight", "fewest threads", SMALLEST)
PREFERENCES: dict[str, Preference] = {
    "quality": Preference(OF_QUALITY, _by_quality),
    "speed": Preference(
        ("the highest rate", *OF_QUALITY),
        lambda records: (_slowness(records), *_by_quality(records)),
    ),
    BY_MEMORY: Preference(
        (SMALLEST, *OF_QUALITY), lambda records: (_peak(records), *_by_quality(records))
    ),
}


def in_order(
    candidates: Sequence[Candidate], records: Mapping[int, Sequence[Record]], prefer: str
) -> list[Candidate]:
    """Those that meet every requirement, the preferred one first.

    Args:
        candidates: all.
        records: of each, by the place of its first one.
        prefer: a key of PREFERENCES.
    """
    met = [one for one in candidates if one.outcome is Outcome.MET]
    return sorted(met, key=lambda one: PREFERENCES[prefer].key(records[one.record]))


def _stored(lines: Lines) -> tuple[FittedLine, ...]:
    return tuple(
        FittedLine(
            requirement=text,
            workload=test,
            outcome=one.outcome,
            value=one.value,
            low=one.low,
            high=one.high,
            basis=one.basis,
            why=one.why,
        )
        for (test, text), one in lines.items()
    )
