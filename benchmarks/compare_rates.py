"""How often `bench compare` is wrong, and what it finds: simulated, beside what is computed.

    python benchmarks/compare_rates.py [draws]

Every draw is two sides of log-normal process values, judged by the product's own rule at a
tolerance of 3 %. 10,000 draws (the default) take some minutes and have a standard error of 0.2
points at 5 %. The test-suite runs the same with fewer draws.
"""

import math
import random
import sys
from itertools import product

from harness.analysis.compare import Verdict, judge
from harness.stats.differences import Difference, paired_difference, welch_difference
from harness.stats.power import POWER, detectable, power_of_processes, surely_detectable

MARGIN = math.log(1.03)
NOISES = (0.01, 0.02, 0.03, 0.05)
PROCESSES = (3, 5, 10)
EFFECTS = (0.05, 0.10)


def main(draws: int) -> None:
    print(f"{draws} draws a line, tolerance 3 %, noise = sd of ln between processes\n")
    print_false_alarms(draws)
    print_power(draws)
    print("\nSAME at a real difference of just the tolerance (wrong), % of comparisons")
    for noise in NOISES:
        print(f"noise {noise:.0%}: {simulate(MARGIN, noise, 5, draws)[Verdict.SAME]:.1%}")
    print("\n`MDE` not below what is really detectable (95 % asked for)")
    for count in PROCESSES:
        pairs = coverage_of_pairs(0.03, count, draws)
        processes = coverage_of_processes(0.03, count, draws // 10)
        print(f"{count} pairs: {pairs:.1%}; {count} processes a side: {processes:.1%}")


def print_false_alarms(draws: int) -> None:
    print("A build beside itself: FASTER or SLOWER, and SAME, % of comparisons")
    print("| noise | processes | false alarms | paired | SAME |\n|---|---|---|---|---|")
    for noise, count in product(NOISES, PROCESSES):
        verdicts = simulate(0.0, noise, count, draws)
        paired = simulate(0.0, noise, count, draws, pairs=True)
        same = verdicts[Verdict.SAME]
        print(f"| {noise:.0%} | {count} | {claims(verdicts)} | {claims(paired)} | {same:.1%} |")


def print_power(draws: int) -> None:
    print("\nA real difference: found as such, simulated and computed, and found upside down")
    print("| slower by | noise | processes | found | computed | FASTER |")
    print("|---|---|---|---|---|---|")
    for effect, noise, count in product(EFFECTS, NOISES, PROCESSES):
        real = math.log1p(effect)
        verdicts = simulate(real, noise, count, draws)
        computed = power_of_processes(real, noise, count, least=MARGIN)
        print(
            f"| {effect:.0%} | {noise:.0%} | {count} | {verdicts[Verdict.WORSE]:.1%} "
            f"| {computed:.1%} | {verdicts[Verdict.BETTER]:.2%} |"
        )


def simulate(
    effect: float, noise: float, count: int, draws: int, pairs: bool = False
) -> dict[Verdict, float]:
    """Share of every verdict."""
    chance = random.Random(f"{effect} {noise} {count} {pairs}")
    found = dict.fromkeys(Verdict, 0)
    compare = paired_difference if pairs else welch_difference
    for _ in range(draws):
        base = [chance.gauss(0, noise) for _ in range(count)]
        new = [chance.gauss(effect, noise) for _ in range(count)]
        found[judge(compare(base, new), MARGIN)] += 1
    return {verdict: hits / draws for verdict, hits in found.items()}


def claims(verdicts: dict[Verdict, float]) -> str:
    """Share of FASTER and SLOWER together."""
    return f"{verdicts[Verdict.WORSE] + verdicts[Verdict.BETTER]:.1%}"


def coverage_of_pairs(noise: float, count: int, draws: int) -> float:
    """How often the printed least difference, which scales with the error, covers the real one."""
    chance = random.Random(f"coverage {count}")
    real = detectable(noise / math.sqrt(count), count - 1)
    unit = surely_detectable(Difference(0.0, 1.0, count - 1))
    hits = 0
    for _ in range(draws):
        drawn = [chance.gauss(0, noise) for _ in range(count)]
        hits += unit * paired_difference([0.0] * count, drawn).standard_error >= real
    return hits / draws


def coverage_of_processes(noise: float, count: int, draws: int) -> float:
    """The same of two independent sides, whose degrees of freedom are sampled too."""
    chance = random.Random(f"processes {count}")
    low, real = 0.0, 1.0
    while real - low > 1e-6:
        middle = (low + real) / 2
        low, real = (
            (middle, real) if power_of_processes(middle, noise, count) < POWER else (low, middle)
        )
    hits = 0
    for _ in range(draws):
        sides = [[chance.gauss(0, noise) for _ in range(count)] for _ in range(2)]
        hits += surely_detectable(welch_difference(*sides)) >= real
    return hits / draws


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
