"""Stopping when an interval is narrow enough, with its level kept. Pure."""

from dataclasses import dataclass

from harness.stats.intervals import CONFIDENCE

FIRST_LOOK = 5  # values: from fewer, a scatter that came out small by luck stops too much
# Levels of Student's interval that make what is printed cover the truth in at least 95 % of
# comparisons, from FIRST_LOOK to any number of values; benchmarks/stopping_rates.py simulates both.
STOPPED = 0.98
LAST = 0.96


@dataclass(frozen=True, slots=True)
class Looks:
    """At which numbers of values the width of an interval decides whether there is another one.

    Whoever looks after each value and stops at the first narrow interval stops where the scatter
    came out small by luck: of intervals called 95 %, up to 7.9 % miss. The mean is not to blame:
    of normal values it is independent of every scatter that was looked at, so the chance to miss
    at stop number N is that of a normal mean beyond the printed half-width h(N),

        P = sum over n of P(N = n) * E[2 * (1 - Phi(h(n) * sqrt(n) / sigma)) | N = n]

    and only the half-width needs to grow. A look that stops is taken at the level STOPPED, the last
    one, which decides nothing, at LAST: constant nominal levels, as Pocock spends them over looks.
    The largest P over all sigma is 4.6 %. Spending 5 % over 16 looks without that independence
    (Bonferroni), or a confidence sequence (Howard et al. 2021, doi:10.1214/20-AOS1991), which
    also allow to stop by the mean, cost more than twice the values; these cost 1.17 times.

    Assumes: values (or their logarithms) near to normal, and a stop by the width alone.
    Source: Chow & Robbins 1965, doi:10.1214/aoms/1177700156 (stopping by width);
    Pocock 1977, doi:10.1093/biomet/64.2.191 (constant nominal levels).

    Attributes:
        first: fewest values at which a width decides.
        most: values at which it ends whatever the width; not above `first`: no width decides.
    """

    first: int
    most: int

    def confidence(self, count: int) -> float:
        """The level of Student's interval of so many values that covers 95 % as a whole."""
        if self.most <= self.first or count < self.first:
            return CONFIDENCE
        return STOPPED if count < self.most else LAST


NO_LOOKS = Looks(0, 0)  # the number of values was fixed before


def looks_of(rounds: int, most: int) -> Looks:
    """Of values that are taken in any case, and of those that a width may ask for."""
    return Looks(max(rounds, FIRST_LOOK), most)
