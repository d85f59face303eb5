"""Does stopping when intervals are narrow keep their 95 %, and what does it cost? Simulated.

    python benchmarks/stopping_rates.py [draws]

Every draw is one comparison of a build with itself, or one row, by the product's own rules. Noise
is the standard deviation of ln between pairs (`bench ab`, within 1 %, 5 to 20 pairs) or between
processes (`bench run --precision 2%`, 5 to 30 rounds). The plain rule stops at the first Student's
interval of 95 % that is narrow. 10,000 draws (the default) take some minutes and have a standard
error of 0.2 points at 5 %. The test-suite runs the same with fewer draws.
"""

import math
import random
import sys
from dataclasses import dataclass

from harness.analysis.compare import Question, Verdict
from harness.analysis.paired import (
    Ending,
    Limits,
    Line,
    PairValue,
    compare_turns,
    looks_until,
    widest_half_width,
)
from harness.results.schema import Cell
from harness.results.summarize import metric, metric_half_width_share
from harness.stats.stopping import FIRST_LOOK, NO_LOOKS, looks_of

NOISES = (0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.08)
PAIRS, WITHIN = 20, 0.01
ROUNDS, MOST_ROUNDS, PRECISION = 5, 30, 0.02
CELL = Cell(
    model="m",
    parameters=1,
    level="int4",
    device="cpu",
    provider="CPU",
    runtime="ort",
    workload="tg32 @ d0",
    prompt=0,
    gen=32,
    depth=0,
    batch=1,
    threads=1,
    weights="seeded",
)


@dataclass(frozen=True, slots=True)
class Rates:
    """What many draws came to.

    Attributes:
        missed: share whose 95 % interval does not cover the truth.
        false: share with a false FASTER or SLOWER.
        values: pairs or rounds, their mean.
        half_width: of the interval, its mean.
    """

    missed: float
    false: float
    values: float
    half_width: float


def main(draws: int) -> None:
    print(f"{draws} draws a line\n")
    print(f"`bench ab`: within {WITHIN:.0%}, {FIRST_LOOK} to {PAIRS} pairs")
    print_table(lambda noise, keeps: pairs_at(noise, keeps, draws))
    print(f"\n`bench ab --pairs 200`: within {WITHIN:.0%}")
    print_table(lambda noise, keeps: pairs_at(noise, keeps, draws // 10, most=200), NOISES[:5])
    print(f"\n`bench run --precision {PRECISION:.0%}`: {ROUNDS} to {MOST_ROUNDS} rounds")
    print_table(lambda noise, keeps: rounds_at(noise, keeps, draws))


def print_table(rates_at, noises=NOISES) -> None:
    print(
        "| noise | missed, plain | false, plain | values | missed | false | values | half-width |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for noise in noises:
        plain, kept = (rates_at(noise, keeps) for keeps in (False, True))
        print(
            f"| {noise:.1%} | {plain.missed:.1%} | {plain.false:.1%} | {plain.values:.1f} "
            f"| {kept.missed:.1%} | {kept.false:.1%} | {kept.values:.1f} | {kept.half_width:.2%} |"
        )


def pairs_at(noise: float, keeps: bool, draws: int, most: int = PAIRS) -> Rates:
    """Comparisons of two equal sides by `bench ab`, which stops as it does."""
    chance = random.Random(f"pairs {noise} {most}")
    return _summed([_comparison(chance, noise, keeps, most) for _ in range(draws)])


def rounds_at(noise: float, keeps: bool, draws: int) -> Rates:
    """Rows of `bench run --precision`, whose true rate is 50; a miss is no verdict."""
    chance = random.Random(f"rounds {noise}")
    return _summed([_row(chance, noise, keeps) for _ in range(draws)])


def _comparison(chance: random.Random, noise: float, keeps: bool, most: int):
    """One comparison: missed, false, pairs, half-width."""
    limits, ratios, sums = Limits(most, WITHIN, None), [], _Sums()
    looks, ending = NO_LOOKS, None
    while ending is None:
        ratios.append(sums.add(chance.gauss(0, noise)))
        if len(ratios) < most and not sums.may_be_within(WITHIN):
            continue
        lines = [_line(ratios)]
        if keeps:
            ending = limits.ending(len(ratios), 0.0, lines)
            looks = looks_until(ending or Ending.PAIRS, len(ratios), most)
        elif widest_half_width(lines) <= WITHIN or len(ratios) == most:
            ending = Ending.PRECISION
    (row,) = compare_turns(lines, Question(0.01), ("a", "b"), (), looks).rows
    low, high = row.interval
    false = row.verdict in (Verdict.WORSE, Verdict.BETTER)
    return not low <= 1 <= high, false, len(ratios), math.log(high / low) / 2


def _row(chance: random.Random, noise: float, keeps: bool):
    """One row: missed, false (none), rounds, half-width."""
    looks = looks_of(ROUNDS, MOST_ROUNDS) if keeps else NO_LOOKS
    values: list[float] = []
    sums, share = _Sums(), math.inf
    while len(values) < MOST_ROUNDS and share > PRECISION:
        values.append(50 * math.exp(sums.add(chance.gauss(0, noise))))
        if len(values) < MOST_ROUNDS and not sums.may_be_within(1.1 * PRECISION):
            continue
        found = metric(values, "tok/s", confidence=looks.confidence(len(values)))
        share = metric_half_width_share(found)
    return not found.low <= 50 <= found.high, False, len(values), share


class _Sums:
    """Running sums, by which looks that cannot stop are left out: Student's t is above 1.96."""

    def __init__(self) -> None:
        self.count, self.total, self.squares = 0, 0.0, 0.0

    def add(self, value: float) -> float:
        self.count, self.total = self.count + 1, self.total + value
        self.squares += value * value
        return value

    def may_be_within(self, half_width: float) -> bool:
        if self.count < FIRST_LOOK:
            return False
        spread = (self.squares - self.total**2 / self.count) / (self.count - 1)
        return 1.95 * math.sqrt(max(0.0, spread) / self.count) <= half_width


def _line(ratios) -> Line:
    return Line(
        "decode_step_tok_s", CELL, CELL, tuple(PairValue(one, 1.0, math.exp(one)) for one in ratios)
    )


def _summed(found) -> Rates:
    return Rates(*(sum(column) / len(found) for column in zip(*found, strict=True)))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
