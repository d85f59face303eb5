"""Which version brought a change: neighbours compared round by round, and the vote over all. Pure.

Two versions were measured in the same rounds, so they are compared by the differences within them,
with the verdicts of `bench compare` and its correction over all lines. Beside it all rounds of all
versions, in the order of the versions and without what is common to a round, are one series, whose
steps the two detectors of `harness.history.steps` look for; a step at a border of versions is a
vote for the newer one.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise
from statistics import fmean

from harness.analysis.compare import judge
from harness.analysis.compare_match import (
    Key,
    Match,
    comparable,
    describe,
    line_key,
    match_documents,
)
from harness.analysis.compare_sides import Measured, find_compared
from harness.core.errors import ResultFormatError
from harness.history.environments import Target
from harness.history.steps import APART, Detector, vote
from harness.results.enums import Verdict
from harness.results.metric_row import MetricRow
from harness.results.schema import Cell, Document
from harness.stats.correction import holm
from harness.stats.differences import Difference, paired_difference
from harness.stats.power import ALPHA
from harness.stats.shifts import RULE

TOLERANCE = 0.03
LEAST_ROUNDS = RULE.least  # of every version, for a vote on steps
Rounds = Mapping[int, float]  # round -> value on the metric's scale


class Brought(StrEnum):
    """What may be said of a version and a change."""

    CONFIRMED = "CONFIRMED"  # by the comparison, corrected, and by both detectors
    SUSPECTED = "SUSPECTED"  # by a part of them
    NOT = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One metric of one cell from one version to the next that was measured.

    Attributes:
        cell: of the older version.
        metric: which one.
        unit: of both values.
        before: the older version.
        after: the newer one.
        base: geometric mean of the older one over the rounds of both.
        new: likewise of the newer one.
        rounds: that both have.
        difference: within rounds, above 0 where the newer one is worse; None: one round only.
        verdict: of the comparison, alone.
        p_adjusted: corrected for all lines of the backfill (Holm).
        votes: detectors that see a step at this border.
    """

    cell: Cell
    metric: MetricRow
    unit: str
    before: Target
    after: Target
    base: float
    new: float
    rounds: int
    difference: Difference | None
    verdict: Verdict = Verdict.INCONCLUSIVE
    p_adjusted: float | None = None
    votes: tuple[Detector, ...] = ()

    @property
    def ratio(self) -> float:
        """New / base."""
        return self.new / self.base

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the ratio."""
        if self.difference is None:
            return None
        found = self.difference.mirrored() if self.metric.more_is_better else self.difference
        low, high = found.interval()
        return math.exp(low), math.exp(high)

    @property
    def word(self) -> str:
        """The verdict in the metric's own words."""
        better, worse = self.metric.words
        return {Verdict.BETTER: better, Verdict.WORSE: worse}.get(self.verdict, str(self.verdict))

    @property
    def holds(self) -> bool:
        """Whether it is better or worse beside all other lines too."""
        changed = self.verdict in (Verdict.BETTER, Verdict.WORSE)
        return changed and self.p_adjusted is not None and self.p_adjusted < ALPHA

    @property
    def brought(self) -> Brought:
        """Whether the newer version brought a change."""
        voted = len(self.votes) == len(Detector)
        if self.holds and voted:
            return Brought.CONFIRMED
        return Brought.SUSPECTED if self.holds or voted else Brought.NOT

    @property
    def is_counted_equal(self) -> bool:
        """Whether both are the same to the last digit, as counted sizes are."""
        found = self.difference
        return found is not None and found.standard_error == found.center == 0

    @property
    def described(self) -> str:
        """The cell in a few words."""
        return describe(self.cell)


@dataclass(slots=True)
class _Line:
    """One metric of one cell over all versions."""

    metric: MetricRow
    values: dict[Target, Rounds] = field(default_factory=dict)


def find_changes(
    documents: Sequence[tuple[Target, Mapping[int, Document]]], tolerance: float = TOLERANCE
) -> tuple[Change, ...]:
    """What changed from each version to the next, cell by cell and metric by metric.

    Args:
        documents: versions that were measured, the oldest first, each with its document by round.
        tolerance: share within which a ratio is the same.

    Raises:
        DeviceError: `ruptures` is not installed.
    """
    lines: dict[Key, _Line] = {}
    found: list[tuple[Key, Change]] = []
    for (before, older), (after, newer) in pairwise(documents):
        rounds = {one.run_id: at for side in (older, newer) for at, one in side.items()}
        matches, _ = match_documents([*older.values()], [*newer.values()])
        for key, match, metric in _asked(matches):
            sides = [_rounds(metric, side, rounds) for side in (match.base, match.new)]
            if not all(sides):
                continue
            line = lines.setdefault(key, _Line(metric))
            line.values |= {before: sides[0], after: sides[1]}
            change = _change(metric, match, (before, after), sides[0], sides[1])
            if change is not None:
                found.append((key, change))
    judged = _judged([change for _, change in found], tolerance)
    order = [target for target, _ in documents]
    votes = {key: _votes(line, order) for key, line in lines.items()}
    order_of = {key: place for place, key in enumerate(lines)}
    told = [
        (order_of[key], replace(change, votes=votes[key].get(change.after, ())))
        for (key, _), change in zip(found, judged, strict=True)
    ]
    return tuple(change for _, change in sorted(told, key=lambda one: one[0]))


def _asked(matches: Sequence[Match]) -> Iterator[tuple[Key, Match, MetricRow]]:
    """Yield every metric of every match that is compared by ratios, each line once."""
    seen = set()
    for match in matches:
        for metric in find_compared(()):
            key = line_key(metric, match)
            if metric.is_ratio and comparable(metric, match, False) and key not in seen:
                seen.add(key)
                yield key, match, metric


def _rounds(metric: MetricRow, side: Sequence[Measured], rounds: Mapping[str, int]) -> Rounds:
    """A side's value in each round, on the metric's scale; rounds without one are left out."""
    found = {}
    for measured in side:
        metric_found = measured.record.metrics.get(metric.name)
        if metric_found is None or metric_found.value is None:
            continue
        try:
            value = metric.on_scale(metric_found.value)
        except ResultFormatError:
            continue
        found[rounds[measured.run_id]] = value
    return found


def _change(
    metric: MetricRow, match: Match, targets: tuple[Target, Target], older: Rounds, newer: Rounds
) -> Change | None:
    """One line, not judged yet; None where the versions share no round."""
    both = sorted(older.keys() & newer.keys())
    if not both:
        return None
    base, new = ([side[index] for index in both] for side in (older, newer))
    shown = match.base[-1].record.metrics[metric.name]
    difference = paired_difference(base, new) if len(both) > 1 else None
    if shown.processes == 0:  # counted, so that one round knows it exactly
        difference = Difference(fmean(new) - fmean(base), 0.0, math.inf)
    if difference is not None and metric.more_is_better:
        difference = difference.mirrored()
    values = math.exp(fmean(base)), math.exp(fmean(new))
    return Change(match.cell, metric, shown.unit, *targets, *values, len(both), difference)


def _judged(changes: Sequence[Change], tolerance: float) -> list[Change]:
    """Every line with its verdict and its p-value among all lines that could be mistaken."""
    risky = [one for one in changes if one.difference and one.difference.standard_error]
    alone = [one.difference.p_value() for one in risky if one.difference is not None]
    adjusted = {id(one): p for one, p in zip(risky, holm(alone), strict=True)}
    judged = []
    for one in changes:
        if one.difference is None:
            judged.append(one)
            continue
        p_value = adjusted.get(id(one), one.difference.p_value())
        verdict = judge(one.difference, math.log1p(tolerance))
        judged.append(replace(one, verdict=verdict, p_adjusted=p_value))
    return judged


def _votes(line: _Line, order: Sequence[Target]) -> dict[Target, tuple[Detector, ...]]:
    """Who sees a step where each version begins, in the series of all rounds of all versions."""
    there = [target for target in order if target in line.values]
    common = sorted(set.intersection(*(set(line.values[target]) for target in there)))
    if len(common) < LEAST_ROUNDS:
        return {}
    series = _without_shared(line, there, common)
    found: dict[Target, set[Detector]] = {}
    for one in vote(series, [0.0] * len(series)):
        border = round(one.place / len(common))
        if 0 < border < len(there) and abs(one.place - border * len(common)) <= APART:
            found.setdefault(there[border], set()).update(one.votes)
    return {target: tuple(sorted(votes)) for target, votes in found.items()}


def _without_shared(line: _Line, there: Sequence[Target], common: Sequence[int]) -> list[float]:
    """All rounds of all versions, one version after another, without what a round has for all.

    What is taken from each round is the mean of its n versions, which takes 1 / n of the scatter
    of each with it: what is left around a version's mean is widened by sqrt(n / (n - 1)).
    """
    shared = {at: fmean(line.values[target][at] for target in there) for at in common}
    widened = math.sqrt(len(there) / (len(there) - 1))
    series = []
    for target in there:
        own = [line.values[target][at] - shared[at] for at in common]
        level = fmean(own)
        series += [level + (value - level) * widened for value in own]
    return series
