"""Does `bench tune` find a gain that was put in, and does it ever end below the default?

    python benchmarks/tune_trials.py simulate [draws]
    python benchmarks/tune_trials.py measure --trials 20 --budget 30
    python benchmarks/tune_trials.py report

Simulated: the search and the confirmation as they are, over values that are drawn: what is common
to a turn (a slow second of the machine), what a process has (its pages, its cores), what a turn
has, and rare turns that a neighbour doubles. One setting is 10 % faster, or none; the others are as
fast as the default or slower.

Measured: bytelm at int4, decode, in real workers; one setting of a few has steps that are not made
longer (slowed_worker.py), every other one has. Every trial is one line of the file, on disk before
the next begins, and a later call goes on with what is missing.
"""

import argparse
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log
from pathlib import Path

from harness.devices.session_options import BLOCK_BASE, MEMORY_PATTERN, SPINNING
from harness.machine.watch.facts import machine_facts, usable_cores
from harness.results.entries import HeatEntry, TuneEndEntry, TuneSetting, TurnPlan
from harness.results.journal import Journal, read_lines
from harness.results.metrics import METRICS
from harness.runner.plan import make_plan
from harness.runner.settings import load_settings
from harness.runner.tuning.heats import Turns, measure_heat, setting_of, with_setting
from harness.runner.tuning.search import Search, Wanted
from harness.store.cache import default_cache, ensure_artifact

FILE = Path("results/validation/tune-trials.jsonl")
MODULE = "slowed_worker"
METRIC = next(row for row in METRICS if row.name == "decode_step_tok_s")
GAIN = 0.10
PLANTED = ((BLOCK_BASE, "8"),)
CANDIDATES = (
    ((SPINNING, "0"),),
    ((BLOCK_BASE, "4"),),
    PLANTED,
    ((MEMORY_PATTERN, "0"),),
)
# Seconds: to open and warm a process, and of one turn with the rest after it.
OPEN_S, TURN_S = 1.0, 0.2


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviations of ln, and how often a turn is doubled by a neighbour."""

    turn: float
    process: float
    common: float = 0.05
    spikes: float = 0.05


NOISES = (Noise(0.01, 0.005), Noise(0.03, 0.01), Noise(0.06, 0.02), Noise(0.06, 0.04))


@dataclass(frozen=True, slots=True)
class Case:
    """True ln of speed over the default's, of single changes; they add up."""

    called: str
    gains: dict[str, float]


SLOW = {"d": -0.02, "e": -0.05, "f": -0.1, "g": -0.2, "h": -0.4}
NULLS = dict.fromkeys("abc", 0.0)
CASES = (
    Case("none is faster", {**NULLS, **SLOW}),
    Case("one is 10 % faster", {**NULLS, **SLOW, "p": log(1 + GAIN)}),
    Case("one is 3 % faster", {**NULLS, **SLOW, "p": log(1.03)}),
    Case("two are, 10 and 5 %", {**NULLS, **SLOW, "p": log(1 + GAIN), "q": log(1.05)}),
    Case(
        "all are 1 to 5 % slower", {name: -0.01 * (1 + n % 5) for n, name in enumerate("abcdefgh")}
    ),
)
DEFAULT = TuneSetting(threads=2, level="int4")


def of_changes(names: frozenset[str]) -> TuneSetting:
    """The default with some of the made-up changes."""
    return TuneSetting(
        threads=2, level="int4", session_options=tuple((name, "1") for name in sorted(names))
    )


def simulate(draws: int) -> None:
    """Print how searches end, by case and noise."""
    print(f"{draws} searches a line of 3 minutes; noise: sd of ln of a turn, of a process\n")
    print("| case | turn | process | planted found | ended > 1 % below | ended faster | mean end |")
    print("|---|---|---|---|---|---|---|")
    for case in CASES:
        for noise in NOISES:
            chance = random.Random(f"{case.called} {noise}")
            ends = [simulated(case, noise, chance) for _ in range(draws)]
            speeds = [speed_of(case, end) for end in ends]
            found = sum(("p", "1") in end.session_options for end in ends) / draws
            planted = f"{found:.1%}" if "p" in case.gains else "–"
            below = sum(speed < log(0.99) for speed in speeds) / draws
            faster = sum(end != DEFAULT for end in ends) / draws
            print(
                f"| {case.called} | {noise.turn:.1%} | {noise.process:.1%} | {planted} |"
                f" {below:.1%} | {faster:.1%} | {exp(sum(speeds) / draws):.3f} |",
                flush=True,
            )


def speed_of(case: Case, setting: TuneSetting) -> float:
    """True ln of a setting's speed over the default's."""
    return sum(case.gains[name] for name, _ in setting.session_options)


def simulated(
    case: Case, noise: Noise, chance: random.Random, budget_s: float = 180
) -> TuneSetting:
    """What one search over drawn turns advises."""

    def measure(wanted: Wanted) -> HeatEntry:
        speeds = [
            sum(case.gains[name] for name, _ in one.session_options)
            + chance.gauss(0, noise.process)
            for one in wanted.settings
        ]
        count, opened = len(speeds), len(speeds) * OPEN_S
        turns = max(6, min(wanted.turns, int((wanted.seconds - opened) / (count * TURN_S))))
        values: list[list[float]] = [[] for _ in speeds]
        for _ in range(turns):
            common = chance.gauss(0, noise.common)
            for speed, mine in zip(speeds, values, strict=True):
                spike = log(2) if chance.random() < noise.spikes else 0.0
                mine.append(exp(speed + common + chance.gauss(0, noise.turn) - spike))
        return HeatEntry(
            stage=wanted.stage,
            rung=wanted.rung,
            settings=wanted.settings,
            values=tuple(map(tuple, values)),
            seconds=opened + (turns + 1) * count * TURN_S,
        )

    def changes(now: TuneSetting) -> list[TuneSetting]:
        mine = frozenset(name for name, _ in now.session_options)
        return [of_changes(mine ^ {name}) for name in case.gains]

    return tuned(measure, changes, DEFAULT, budget_s).winner


def tuned(
    measure: Callable[[Wanted], HeatEntry],
    changes: Callable[[TuneSetting], list[TuneSetting]],
    default: TuneSetting,
    budget_s: float,
) -> TuneEndEntry:
    """One search and its confirmation."""
    search = Search(METRIC, budget_s, 16, measure)
    return search.confirmed(default, search.best(default, changes))


def measure(options: argparse.Namespace) -> None:
    """Measure the trials that the file does not hold yet."""
    settings = load_settings("ab", model=("bytelm",), gen=(8,), quant=("int4",))
    (group,) = make_plan(settings, usable_cores()).groups
    artifact = ensure_artifact(group.source, group.level.name, default_cache(), settings.seed)
    default = setting_of(group)
    known = read_lines(options.file) if options.file.exists() else []
    done = {entry["trial"] for entry in known if entry["kind"] == "trial"}
    options.file.parent.mkdir(parents=True, exist_ok=True)

    def changes(now: TuneSetting) -> list[TuneSetting]:
        names = {name for name, _ in now.session_options}
        return [with_options(now, pairs) for pairs in CANDIDATES if names.isdisjoint(dict(pairs))]

    with Journal(options.file) as journal:
        if not known:
            journal.append({"kind": "machine", "facts": machine_facts()})
        for trial in range(options.trials):
            if trial in done:
                continue
            turns = Turns(
                test=group.workloads[0],
                metric=METRIC,
                plan=TurnPlan(0.05, 0.2, settings.timeout, trial),
                groups=lambda one: (with_setting(group, one), artifact),
                module=MODULE,
                env=longer,
            )
            search = Search(
                METRIC, options.budget, 16, lambda one, turns=turns: measure_heat(turns, one)
            )
            end = search.confirmed(default, search.best(default, changes))
            journal.append(
                {
                    "kind": "trial",
                    "trial": trial,
                    "winner": end.winner.beyond(default),
                    "found": {*PLANTED} <= {*end.winner.session_options},
                    "ratio": end.ratio,
                    "low": end.low,
                    "high": end.high,
                    "pairs": end.pairs,
                    "busy": end.busy,
                    "seconds": round(search.spent_s, 1),
                }
            )
            print(
                f"trial {trial}: {end.winner.beyond(default) or 'the default'} {end.ratio}",
                flush=True,
            )


def longer(setting: TuneSetting) -> dict[str, str]:
    """How much longer the steps of a setting are made: only those of the planted one are not."""
    return {"SLOWED_SHARE": "0" if {*PLANTED} <= {*setting.session_options} else str(GAIN)}


def with_options(now: TuneSetting, pairs: tuple[tuple[str, str], ...]) -> TuneSetting:
    """A setting with more options."""
    options = tuple(sorted((*now.session_options, *pairs)))
    return TuneSetting(threads=now.threads, level=now.level, session_options=options)


def report(path: Path) -> None:
    """How the trials ended."""
    trials = [entry for entry in read_lines(path) if entry["kind"] == "trial"]
    found = sum(entry["found"] for entry in trials)
    ratios = sorted(entry["ratio"] for entry in trials if entry["ratio"] is not None)
    lows = [entry["low"] for entry in trials if entry["winner"]]
    print(
        f"{len(trials)} trials; planted 10 % found in {found}; winner's lower end of its interval"
        f" least {min(lows, default=1.0):.3f}; ratios {[round(one, 3) for one in ratios]}"
    )
    for words, count in Counter(entry["winner"] or "the default" for entry in trials).most_common():
        print(f"  {count} x {words}")
    print(f"longest trial {max(entry['seconds'] for entry in trials):.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("simulate", "measure", "report"))
    parser.add_argument("draws", nargs="?", type=int, default=200)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--budget", type=float, default=30.0)
    parser.add_argument("--file", type=Path, default=FILE)
    options = parser.parse_args()
    if options.what == "simulate":
        simulate(options.draws)
        return
    if options.what == "measure":
        measure(options)
    report(options.file)


if __name__ == "__main__":
    main()
