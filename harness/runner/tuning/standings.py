"""A file of `bench tune` put together: every candidate, and what became of it. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp

from harness.core.errors import ResultFormatError
from harness.results.entries import Entry, HeatEntry, TuneEndEntry, TuneEntry, TuneSetting
from harness.results.metric_row import MetricRow
from harness.results.metrics import METRICS
from harness.runner.tuning.search import (
    CONFIRMATION,
    LEAST_PAIRS,
    MOST_PAIRS,
    leading,
    pair_ratio,
    race_values,
    told,
)
from harness.stats.racing import ahead, gain, still_racing
from harness.stats.stopping import Looks

TAKEN, SLOWER, UNSHOWN = "ahead: taken on", "slower", "not shown to be faster"


@dataclass(frozen=True, slots=True)
class Standing:
    """One candidate of one stage.

    Attributes:
        stage: from 1.
        setting: that was tried.
        base: that it ran beside.
        turns: that both took.
        ratio: of speeds, over the base's; None: no turn.
        low: lower end of its 95 % interval.
        high: upper end.
        outcome: in words.
    """

    stage: int
    setting: TuneSetting
    base: TuneSetting
    turns: int
    ratio: float | None
    low: float | None
    high: float | None
    outcome: str


@dataclass(frozen=True, slots=True)
class Tuned:
    """A file of `bench tune`.

    Attributes:
        header: what was asked for.
        heats: that were measured.
        end: what it came to; None: it was killed.
    """

    header: TuneEntry
    heats: tuple[HeatEntry, ...]
    end: TuneEndEntry | None

    @property
    def metric(self) -> MetricRow:
        """That was tuned for."""
        return next(row for row in METRICS if row.name == self.header.metric)

    @property
    def winner(self) -> TuneSetting:
        """What is advised."""
        return self.header.default if self.end is None else self.end.winner

    @property
    def pairs(self) -> list[HeatEntry]:
        """Of the confirmation that decided, or, of a search that was killed, that went on."""
        contenders = self.contenders
        if self.end is None:
            told = contenders[-1:]
        else:
            told = [one for one in contenders if one == self.end.winner] or contenders[:1]
        return [heat for heat in self._confirming if heat.settings[1] in told]

    @property
    def contenders(self) -> list[TuneSetting]:
        """What was held against the default in fresh pairs, in the order of trying."""
        return list(dict.fromkeys(heat.settings[1] for heat in self._confirming))

    @property
    def _confirming(self) -> list[HeatEntry]:
        return [heat for heat in self.heats if heat.stage == CONFIRMATION and all(heat.values)]

    @property
    def ratios(self) -> list[float]:
        """Speed over the default's of every pair."""
        return [exp(pair_ratio(heat, self.metric)) for heat in self.pairs]

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of the pairs so far, 95 %, of a search that was killed; None: too few."""
        logs = [pair_ratio(heat, self.metric) for heat in self.pairs]
        if len(logs) < LEAST_PAIRS:
            return None
        attempt = self.contenders.index(self.pairs[0].settings[1])
        low, high = told(logs, Looks(LEAST_PAIRS, MOST_PAIRS), attempt).interval()
        return exp(low), exp(high)


def read_tuned(entries: Sequence[Entry]) -> Tuned:
    """Put a file's entries together: those since it was begun, or begun anew for damaged lines.

    Raises:
        ResultFormatError: it holds no turns.
    """
    begins = [place for place, one in enumerate(entries) if isinstance(one, TuneEntry)]
    entries = entries[begins[-1] :] if begins else ()
    header = next((one for one in entries if isinstance(one, TuneEntry)), None)
    heats = tuple(one for one in entries if isinstance(one, HeatEntry))
    if header is None:
        raise ResultFormatError("the file is none of `bench tune`", fix="bench tune writes one")
    end = next((one for one in entries if isinstance(one, TuneEndEntry)), None)
    return Tuned(header, heats, end)


def standings(tuned: Tuned) -> list[Standing]:
    """Every candidate, stage by stage, the fastest first."""
    searched = [heat for heat in tuned.heats if heat.stage != CONFIRMATION]
    stages = sorted({heat.stage for heat in searched})
    return [one for stage in stages for one in _stage(tuned, searched, stage)]


def _stage(tuned: Tuned, heats: Sequence[HeatEntry], stage: int) -> Iterator[Standing]:
    """Yield the candidates of one stage."""
    mine = [heat for heat in heats if heat.stage == stage]
    base = mine[0].settings[0]
    values = race_values(mine, tuned.metric, stage)
    settings = {one.name: one for heat in mine for one in heat.settings}
    lost = {heat.settings[place].name: why for heat in mine for place, why in heat.lost}
    later = [heat.settings[0] for heat in heats if heat.stage == stage + 1]
    tried = [heat.settings[1] for heat in tuned.heats if heat.stage == CONFIRMATION]
    taken = (later or tried)[:1]
    last = {one.name for heat in mine if heat.rung == mine[-1].rung for one in heat.settings}
    order = [
        *leading(mine, tuned.metric, stage),
        *(name for name in settings if name not in values),
    ]
    names = [name for name in order if name != base.name]
    for name in names:
        taken_turns = values.get(name, {})
        found = ahead(taken_turns, values[base.name])
        center = gain(taken_turns, values[base.name])
        fell = name not in last or name not in still_racing(values, [*last & {*names}], base.name)
        fell = fell and bool(taken_turns)
        outcome = SLOWER if fell else UNSHOWN
        if settings[name] in taken:
            outcome = TAKEN
        yield Standing(
            stage=stage + 1,
            setting=settings[name],
            base=base,
            turns=len(taken_turns.keys() & values[base.name].keys()),
            ratio=None if center is None else exp(center),
            low=None if found is None else exp(found.low),
            high=None if found is None else exp(found.high),
            outcome=lost.get(name, outcome) if not taken_turns else outcome,
        )
