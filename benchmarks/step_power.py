"""How often is a step of a history found, and how often is there none where one is told?

    python benchmarks/step_power.py measure
    python benchmarks/step_power.py report
    python benchmarks/step_power.py tune

Histories are simulated with steps whose places and sizes are known, of 20 to 200 points, with noise
of 1 to 5 % between runs (standard deviation of ln) of seven kinds; the last kind draws its noise
from real processes, in their order (results/validation/aa.jsonl). Each is given to the product's
detectors and to their vote. A step found within two points, in the right direction, is a hit, once;
any other is false. `tune` prints the same for other constants on other seeds: those that are
reported were not looked at while constants were chosen.
"""

import argparse
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from harness.history.steps import APART, PRICE, Detector, vote
from harness.results.journal import Journal, read_lines
from harness.stats.shifts import RULE, Rule

FILE = Path("results/validation/steps.jsonl")
REAL = Path(__file__).resolve().parent.parent / "results" / "validation" / "aa.jsonl"
LENGTHS = (20, 40, 80, 140, 200)
NOISES = (0.01, 0.02, 0.03, 0.05)
SIZES = (0.0, 0.0, 0.02, 0.03, 0.05, 0.10, 0.20)
KINDS = ("plain", "outliers", "autocorrelated", "drift", "bimodal", "two steps", "real")
REPORTED, TUNED = "reported again", "tuned"  # seeds; the first were drawn once, at the end
EDGE = 5  # points before the first step and behind the last one
FAR = 10  # points: a step that is found so near is misplaced, not made up
VOTERS = ("vote", "suspected too", *map(str, Detector))
Json = dict[str, Any]
Found = Sequence[tuple[int, float]]  # place, difference


@dataclass(frozen=True, slots=True)
class Drawn:
    """One simulated history.

    Attributes:
        kind: of noise.
        length: points.
        noise: standard deviation of ln from run to run.
        size: of its steps, a share; 0: it has none.
        steps: place and ln of the ratio of each.
        values: logarithms.
    """

    kind: str
    length: int
    noise: float
    size: float
    steps: tuple[tuple[int, float], ...]
    values: tuple[float, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("measure", "report", "tune"))
    parser.add_argument("--file", type=Path, default=FILE)
    options = parser.parse_args()
    if options.what == "tune":
        return tune()
    if options.what == "measure":
        measure(options.file)
    return report(options.file)


def measure(path: Path) -> None:
    """Give every history to the detectors; a line each."""
    path.unlink(missing_ok=True)
    with Journal(path) as journal:
        for drawn in histories(REPORTED):
            journal.append({"kind": "history", **answer(drawn)})


def answer(drawn: Drawn, rule: Rule = RULE, price: float = PRICE) -> Json:
    """What the detectors and their vote say of a history; differences to six digits."""
    said = vote(drawn.values, [0.0] * drawn.length, rule, price)
    return {
        "noise_kind": drawn.kind,
        "length": drawn.length,
        "noise": drawn.noise,
        "size": drawn.size,
        "steps": _short(drawn.steps),
        "found": [
            [one.place, round(one.difference.center, 6), sorted(map(str, one.votes))]
            for one in said
        ],
    }


def histories(seed: str) -> Iterator[Drawn]:
    """Every kind, length, noise and size once, each from a seed of its own."""
    for kind, length, noise, (turn, size) in product(KINDS, LENGTHS, NOISES, enumerate(SIZES)):
        yield draw(
            kind, length, noise, size, random.Random(f"{seed} {kind} {length} {noise} {turn}")
        )


def draw(kind: str, length: int, noise: float, size: float, chance: random.Random) -> Drawn:
    """One history; its steps lie at drawn places and go up or down."""
    count = 0 if size == 0 else 2 if kind == "two steps" and length >= 40 else 1
    places = _places(length, count, chance)
    steps = tuple((place, math.log1p(size) * chance.choice((-1, 1))) for place in places)
    values = noise_values(kind, length, noise, chance)
    for place, change in steps:
        values[place:] = [value + change for value in values[place:]]
    return Drawn(kind, length, noise, size, steps, tuple(values))


def _places(length: int, count: int, chance: random.Random) -> list[int]:
    """Places of steps, EDGE points from the ends and twice that from each other."""
    while True:
        places = sorted(chance.randrange(EDGE, length - EDGE + 1) for _ in range(count))
        if all(b - a >= 2 * EDGE for a, b in pairwise(places)):
            return places


def noise_values(kind: str, length: int, noise: float, chance: random.Random) -> list[float]:
    """Noise of a standard deviation, of a kind, without a step."""
    white = [chance.gauss(0, noise) for _ in range(length)]
    if kind == "outliers":  # one run in twenty is 15 to 40 % slower
        return [v + chance.uniform(0.15, 0.4) * (chance.random() < 0.05) for v in white]
    if kind == "autocorrelated":  # half of each run's luck is that of the one before
        values = [white[0]]
        for value in white[1:]:
            values.append(0.5 * values[-1] + math.sqrt(0.75) * value)
        return values
    if kind == "drift":  # up or down by three standard deviations over the whole history
        way = 3 * noise * chance.choice((-1, 1)) / length
        return [value + way * place for place, value in enumerate(white)]
    if kind == "bimodal":  # two kinds of process, with little else between runs
        return [0.9 * noise * chance.choice((-1, 1)) + 0.44 * value for value in white]
    if kind == "real":
        return _real(length, noise, chance)
    return white


def _real(length: int, noise: float, chance: random.Random) -> list[float]:
    """Medians of three neighbouring real processes each, in blocks of ten as they followed.

    Of one metric and thread count, scaled to the noise asked for; blocks begin anywhere.
    """
    logs = chance.choice(real_logs())
    medians = [sorted(logs[place : place + 3])[1] for place in range(0, len(logs) - 2, 3)]
    middle, spread = fmean(medians), stdev(medians)
    values: list[float] = []
    while len(values) < length:
        start = chance.randrange(len(medians) - 10)
        values += [(value - middle) * noise / spread for value in medians[start : start + 10]]
    return values[:length]


def real_logs() -> list[list[float]]:
    """Ln of every real process's value in recorded order, one list per metric and thread count."""
    found: dict[tuple[int, str], list[float]] = {}
    for entry in read_lines(REAL):
        if entry["kind"] == "process":
            for name, value in entry["values"].items():
                found.setdefault((entry["threads"], name), []).append(math.log(value))
    return [found[key] for key in sorted(found)]


@dataclass(frozen=True, slots=True)
class Score:
    """What one voter made of some histories.

    Attributes:
        steps: there are.
        hits: that were found.
        told: found, right or wrong.
        quiet: histories without a step.
        alarmed: of those, in which one is told.
        histories: all.
    """

    steps: int = 0
    hits: int = 0
    told: int = 0
    quiet: int = 0
    alarmed: int = 0
    histories: int = 0

    def plus(self, steps: Found, found: Found) -> "Score":
        """With one history more."""
        return Score(
            self.steps + len(steps),
            self.hits + count_hits(steps, found),
            self.told + len(found),
            self.quiet + (not steps),
            self.alarmed + (not steps and bool(found)),
            self.histories + 1,
        )

    @property
    def false(self) -> int:
        """Told where there is none."""
        return self.told - self.hits

    def line(self) -> str:
        """Cells of a table: recall, precision, false ones per history, quiet histories alarmed."""
        recall = f"{self.hits / self.steps:.1%}" if self.steps else "–"
        precision = f"{self.hits / self.told:.1%}" if self.told else "–"
        alarmed = f"{self.alarmed} of {self.quiet}" if self.quiet else "–"
        return f"{recall} | {precision} | {self.false / self.histories:.3f} | {alarmed}"


def count_hits(steps: Found, found: Found, apart: int = APART) -> int:
    """Steps that are found within so many points and in their direction, each by one at most."""
    left = list(found)
    hits = 0
    for place, change in steps:
        near = [one for one in left if abs(one[0] - place) <= apart and one[1] * change > 0]
        if near:
            left.remove(min(near, key=lambda one: abs(one[0] - place)))
            hits += 1
    return hits


def told_by(voter: str, entry: Json) -> Found:
    """What a voter tells of a history."""
    every = [(place, change, votes) for place, change, votes in entry["found"]]
    if voter == "vote":
        every = [one for one in every if len(one[2]) == len(Detector)]
    elif voter != "suspected too":
        every = [one for one in every if voter in one[2]]
    return [(place, change) for place, change, _ in every]


def count_misplaced(entries: Sequence[Json]) -> int:
    """Steps of the vote further than APART from a real one, and in its direction within FAR."""
    total = 0
    for entry in entries:
        steps = [(place, change) for place, change in entry["steps"]]
        found = told_by("vote", entry)
        total += count_hits(steps, found, FAR) - count_hits(steps, found)
    return total


def score(entries: Sequence[Json], voter: str) -> Score:
    """What a voter made of some histories."""
    total = Score()
    for entry in entries:
        total = total.plus([(p, c) for p, c in entry["steps"]], told_by(voter, entry))
    return total


def report(path: Path) -> None:
    """Draw the tables of a journal."""
    entries = [entry for entry in read_lines(path) if entry["kind"] == "history"]
    steps = sum(len(entry["steps"]) for entry in entries)
    print(f"{len(entries)} simulated histories with {steps} steps; found: within {APART} points\n")
    head = "recall | precision | false per history | histories without a step: alarmed"
    print(f"| told by | {head} |\n|:--|--:|--:|--:|--:|")
    scores = {voter: score(entries, voter) for voter in VOTERS}
    false = scores["vote"].false
    for voter, total in scores.items():
        print(f"| {voter} | {total.line()} |")
    print()
    for one in map(str, Detector):
        recall = scores["vote"].hits / scores[one].hits
        share = false / max(1, scores[one].false)
        print(
            f"the vote beside {one} alone: {recall:.2f} of its hits, {share:.2f} of its false ones"
        )
    print(
        f"\nof the {false} false ones of the vote {count_misplaced(entries)} are steps misplaced"
        f" by {APART + 1} to {FAR} points"
    )
    print(f"\nby kind of noise, the vote\n\n| kind | {head} |\n|---|---|---|---|---|")
    for kind in KINDS:
        mine = [entry for entry in entries if entry["noise_kind"] == kind]
        print(f"| {kind} | {score(mine, 'vote').line()} |")
    print("\nrecall of the vote by size of the step and noise\n")
    print("| noise | " + " | ".join(f"{size:.0%}" for size in SIZES[2:]) + " |")
    print("|---" * (len(SIZES) - 1) + "|")
    for noise in NOISES:
        mine = [entry for entry in entries if entry["noise"] == noise]
        cells = [_recall([one for one in mine if one["size"] == size]) for size in SIZES[2:]]
        print(f"| {noise:.0%} | " + " | ".join(cells) + " |")
    print("\nrecall of the vote by length\n")
    print("| " + " | ".join(map(str, LENGTHS)) + " |\n" + "|---" * len(LENGTHS) + "|")
    cells = [_recall([one for one in entries if one["length"] == n]) for n in LENGTHS]
    print("| " + " | ".join(cells) + " |")


def _recall(entries: Sequence[Json]) -> str:
    """Hits of steps, as a table has them."""
    total = score(entries, "vote")
    return f"{total.hits} of {total.steps}"


def tune() -> None:
    """Print what other constants tell, on seeds that are not reported."""
    drawn = list(histories(TUNED))
    print("| told by | price | windows | straight | alpha | recall | precision | false | alarmed |")
    print("|---" * 9 + "|")
    for price in (2.0, 3.0, 4.0, 6.0):
        _tuned(drawn, Detector.SEGMENTS, RULE, price)
    grid = product(((10,), (10, 30), (8, 20, 50), (20, 60)), (0.0, 1.0, 2.0, 3.0), (0.05, 0.1))
    for windows, straight, alpha in grid:
        rule = replace(RULE, windows=windows, straight=straight, alpha=alpha)
        for told in (Detector.INTERVALS, "vote"):
            _tuned(drawn, told, rule, PRICE)


def _tuned(drawn: Sequence[Drawn], voter: str, rule: Rule, price: float) -> None:
    """A line of the table of constants."""
    total = Score()
    for one in drawn:
        total = total.plus(one.steps, told_by(voter, answer(one, rule, price)))
    constants = f"{price} | {rule.windows} | {rule.straight} | {rule.alpha}"
    print(f"| {voter} | {constants} | {total.line()} |", flush=True)


def _short(steps: Found) -> list[list[float]]:
    """Places and differences to six digits."""
    return [[place, round(change, 6)] for place, change in steps]


if __name__ == "__main__":
    main()
