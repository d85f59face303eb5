"""The search: one change at a time, raced beside the best so far, and the winner confirmed.

Nothing here measures: it is told what turns gave, so a simulation, a run that goes on, and a stored
file go the same way (`Measure`). Time is that which the turns say they took.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil, exp, log, log1p
from statistics import median

from harness.results.background import background_of
from harness.results.entries import HeatEntry, TuneEndEntry, TuneSetting
from harness.results.metric_row import MetricRow
from harness.stats.differences import Difference, paired_difference
from harness.stats.intervals import CONFIDENCE
from harness.stats.racing import (
    FIRST_TURNS,
    LIKELY,
    MOST_RUNGS,
    gain,
    is_over,
    ranked,
    still_racing,
    winner,
)
from harness.stats.stopping import FIRST_LOOK, Looks

CONFIRMATION = -1  # in place of a stage
# Of the budget: until when the first stage, and the whole search, begin another rung.
FIRST_SHARE, SEARCH_SHARE = 0.5, 0.6
LEAST_GAIN = 0.01  # a setting that gives less is not worth a line in a program
LEAST_PAIRS, MOST_PAIRS = FIRST_LOOK, 20
PAIR_TURNS = 10
# Of the 5 % that a confirmation may be wrong, the part of the first contender and of those who are
# tried where it fails: a leader that a race's few processes flattered must not end the search.
ERROR_SHARES = (0.8, 0.1, 0.1)
NARROW, WIDE = 0.003, 0.05  # half-widths between which a confirmation ends
OTHER_TOKENS = "it computes other tokens than the default"
UNTRIED = "not tried within the budget"

Changes = Callable[[TuneSetting], Sequence[TuneSetting]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Turns that are asked for.

    Attributes:
        stage: see HeatEntry.
        rung: likewise.
        settings: the base first.
        turns: of each, at most.
        seconds: after which no further turn begins, once there are a few.
    """

    stage: int
    rung: int
    settings: tuple[TuneSetting, ...]
    turns: int
    seconds: float


Measure = Callable[[Wanted], HeatEntry]


@dataclass(slots=True)
class Search:
    """One search, while it goes on.

    Attributes:
        metric: that is tuned for.
        budget_s: seconds for all of it.
        most_together: processes that may be open at once, the base among them.
        measure: gives turns.
        takes_busy: what was confirmed beside other programs counts too.
        heats: what was measured.
    """

    metric: MetricRow
    budget_s: float
    most_together: int
    measure: Measure
    takes_busy: bool = False
    heats: list[HeatEntry] = field(default_factory=list)

    @property
    def spent_s(self) -> float:
        """Seconds that all turns took."""
        return sum(heat.seconds for heat in self.heats)

    def best(self, default: TuneSetting, changes: Changes) -> TuneSetting:
        """Race every single change of the best so far, until none is shown to be faster."""
        bases, slower = [default], set[str]()
        while True:
            stage, now = len(bases) - 1, bases[-1]
            candidates = [
                one for one in changes(now) if one not in bases and one.beyond(now) not in slower
            ]
            share = SEARCH_SHARE if stage else FIRST_SHARE
            if stage:
                candidates = candidates[: self._fitting(stage - 1, share * self.budget_s)]
            if not candidates:
                return now
            found, left = self._stage(stage, now, candidates, share * self.budget_s)
            if found == now:
                return now
            slower |= {one.beyond(now) for one in candidates if one not in left}
            if found.threads != now.threads:  # which decides what all else does
                slower = set()
            bases.append(found)

    def confirmed(self, default: TuneSetting, chosen: TuneSetting) -> TuneEndEntry:
        """Measure pairs of fresh processes of the default and of what was chosen.

        Their number is decided by the width of the interval alone, which is widened for that; the
        width that is enough is a third of what the search saw. Faster is what lies above 1 by its
        whole 95 % interval: else the next best of the search is tried while there is time, and in
        the end the default is kept. So it is where others used the processors: what is fastest
        beside them is another thing, such as threads that do not spin.

        Returns:
            The end of the contender that is confirmed; where none is, of the first.
        """
        if chosen == default:
            return TuneEndEntry(winner=default)
        first = self._confirmed(default, chosen, 0)
        if first.winner != default or first.busy:
            return first
        contenders = runners_up(self.heats, self.metric, default, chosen)
        for attempt, one in enumerate(contenders[: len(ERROR_SHARES) - 1], start=1):
            if self.spent_s >= self.budget_s:
                break
            end = self._confirmed(default, one, attempt)
            if end.winner != default:
                return end
        return first

    def _confirmed(self, default: TuneSetting, chosen: TuneSetting, attempt: int) -> TuneEndEntry:
        """Pairs of one contender, the `attempt`-th."""
        looks = Looks(LEAST_PAIRS, MOST_PAIRS)
        seen = search_gain(self.heats, self.metric, default, chosen)
        enough = min(max(seen / 3, NARROW), WIDE)
        began_s = self.spent_s
        heats: list[HeatEntry] = []
        ratios: list[float] = []
        while True:
            ended = self._ended(ratios, looks, enough, self.spent_s - began_s)
            if ended:
                break
            left_s = max(0.0, self.budget_s - self.spent_s) / max(1, LEAST_PAIRS - len(ratios))
            pair = (default, chosen)
            wanted = Wanted(CONFIRMATION, len(ratios), pair, PAIR_TURNS, left_s)
            heat = self.measure(wanted)
            self.heats.append(heat)
            if heat.lost or not all(heat.values):
                return TuneEndEntry(winner=default, ended="lost")
            heats.append(heat)
            ratios.append(pair_ratio(heat, self.metric))
        found = told(ratios, looks, attempt)
        low, high = (exp(end) for end in found.interval())
        busy = background_of(heat.watch for heat in heats).is_busy and not self.takes_busy
        return TuneEndEntry(
            winner=chosen if low > 1 and not busy else default,
            busy=busy,
            ratio=exp(found.center),
            low=low,
            high=high,
            pairs=len(ratios),
            ended=ended,
        )

    def _stage(
        self, stage: int, base: TuneSetting, candidates: Sequence[TuneSetting], until_s: float
    ) -> tuple[TuneSetting, frozenset[TuneSetting]]:
        """One race; its winner or the base, and who was left at its end."""
        kept, turns = tuple(candidates), FIRST_TURNS
        for rung in range(MOST_RUNGS):
            if rung and self.spent_s + self._guess_s(len(kept), turns, stage) > until_s:
                break
            lost = self._rung(Wanted(stage, rung, (base, *kept), turns, until_s - self.spent_s))
            kept = tuple(one for one in kept if one not in lost)
            values = race_values(self.heats, self.metric, stage)
            by_name = {one.name: one for one in kept}
            left = still_racing(values, list(by_name), base.name)
            # Who could not be opened in time is the first of the next rung.
            kept = tuple(by_name[name] for name in sorted(left, key=lambda one: one in values))
            turns *= 2
            if is_over(values, [one.name for one in kept], base.name):
                break
        values = race_values(self.heats, self.metric, stage)
        names = {one.name: one for one in (base, *kept)}
        level = CONFIDENCE if stage else LIKELY
        found = winner(values, [one.name for one in kept], base.name, log1p(LEAST_GAIN), level)
        return names[found], frozenset(kept)

    def _rung(self, wanted: Wanted) -> set[TuneSetting]:
        """Turns of all, as many at once as may be open; returns who runs no further."""
        base, *others = wanted.settings
        room = max(1, self.most_together - 1)
        size = ceil(len(others) / ceil(len(others) / room))
        parts = [others[place : place + size] for place in range(0, len(others), size)]
        lost: set[TuneSetting] = set()
        end_s = self.spent_s + wanted.seconds
        for number, part in enumerate(parts):
            seconds = max(0.0, end_s - self.spent_s) / (len(parts) - number)
            heat = self.measure(
                Wanted(wanted.stage, wanted.rung, (base, *part), wanted.turns, seconds)
            )
            self.heats.append(heat)
            lost |= {heat.settings[place] for place, why in heat.lost if why != UNTRIED}
        return lost

    def _guess_s(self, count: int, turns: int, stage: int) -> float:
        """What another rung will take, by the one before: as much per process and turn."""
        rung = max(heat.rung for heat in self.heats if heat.stage == stage)
        before = [heat for heat in self.heats if (heat.stage, heat.rung) == (stage, rung)]
        taken = sum(len(values) for heat in before for values in heat.values)
        return sum(heat.seconds for heat in before) * (count + 1) * turns / max(1, taken)

    def _fitting(self, before: int, until_s: float) -> int:
        """How many candidates have time for their first turns, by the stage before."""
        one_s = self._guess_s(0, FIRST_TURNS, before)
        return max(0, int((until_s - self.spent_s) / one_s) - 1)

    def _ended(self, ratios: Sequence[float], looks: Looks, enough: float, spent_s: float) -> str:
        """Why there are enough pairs; empty: another one is measured."""
        count = len(ratios)
        if count < LEAST_PAIRS:
            return ""
        low, high = _difference(ratios).interval(looks.confidence(count))
        if (high - low) / 2 <= enough:
            return "precision"
        if high <= 0:
            return "slower"
        if count >= MOST_PAIRS:
            return "pairs"
        return "budget" if self.spent_s + spent_s / count > self.budget_s else ""


def told(ratios: Sequence[float], looks: Looks, attempt: int = 0) -> Difference:
    """Ln of speed over the default's, of all pairs.

    As wide as stopping by the width asks for, and as one of several contenders (Bonferroni, with
    unequal parts).
    """
    wrong = (1 - looks.confidence(len(ratios))) * ERROR_SHARES[attempt]
    return _difference(ratios).widened(1 - wrong)


def runners_up(
    heats: Sequence[HeatEntry], metric: MetricRow, default: TuneSetting, chosen: TuneSetting
) -> list[TuneSetting]:
    """Other settings that the search saw ahead of the default by LEAST_GAIN, the fastest first."""
    seen = {
        one: search_gain(heats, metric, default, one)
        for heat in heats
        if heat.stage != CONFIRMATION
        for one in heat.settings
        if one not in (default, chosen)
    }
    ahead = [one for one in seen if seen[one] >= log1p(LEAST_GAIN)]
    return sorted(ahead, key=lambda one: -seen[one])


def search_gain(
    heats: Sequence[HeatEntry], metric: MetricRow, default: TuneSetting, chosen: TuneSetting
) -> float:
    """Ln of speed that the search saw in a setting, over the default's, stage by stage."""
    total, now = 0.0, chosen
    stages = sorted({heat.stage for heat in heats if heat.stage != CONFIRMATION}, reverse=True)
    for stage in stages:
        base = next(heat.settings[0] for heat in heats if heat.stage == stage)
        values = race_values(heats, metric, stage)
        if now == base or now.name not in values:
            continue
        total += gain(values[now.name], values[base.name]) or 0.0
        now = base
    return total


def race_values(
    heats: Sequence[HeatEntry], metric: MetricRow, stage: int
) -> dict[str, dict[tuple[int, int], float]]:
    """Of every setting of a stage ln of its rate by turn; more is better."""
    found: dict[str, dict[tuple[int, int], float]] = {}
    for number, heat in enumerate(heats):
        if heat.stage != stage:
            continue
        for setting, values in zip(heat.settings, heat.values, strict=True):
            if values:
                mine = found.setdefault(setting.name, {})
                mine |= {(number, turn): rate(value, metric) for turn, value in enumerate(values)}
    return found


def pair_ratio(heat: HeatEntry, metric: MetricRow) -> float:
    """Ln of speed over the default's of one pair: the median over its turns."""
    turns = zip(*heat.values, strict=False)
    return median(rate(new, metric) - rate(base, metric) for base, new in turns)


def rate(value: float, metric: MetricRow) -> float:
    """Ln of a value, turned so that more is better."""
    return log(value) if metric.more_is_better else -log(value)


def leading(heats: Sequence[HeatEntry], metric: MetricRow, stage: int) -> list[str]:
    """Names of a stage's settings, the fastest first."""
    values = race_values(heats, metric, stage)
    base = next(heat.settings[0].name for heat in heats if heat.stage == stage)
    return ranked(values, [name for name in values if name != base], base)


def _difference(ratios: Sequence[float]) -> Difference:
    return paired_difference([0.0] * len(ratios), ratios)
