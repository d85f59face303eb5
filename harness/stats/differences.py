"""How far two sides are apart, and how sure that is. Pure functions over a few process values.

A ratio is a difference of logarithms: give the logarithms and take exp of the ends.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

from harness.core.errors import MeasurementError
from harness.stats.distributions import t_quantile, t_upper_tail
from harness.stats.intervals import CONFIDENCE

NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference new - base, and the scatter it stands on.

    Attributes:
        center: the difference.
        standard_error: of the centre, in its unit; 0: both sides are known exactly.
        dof: degrees of freedom of the standard error; infinite where the scatter is known.
    """

    center: float
    standard_error: float
    dof: float

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Ends of Student's interval: center -+ t((1 + confidence) / 2, dof) * standard error."""
        half = 0.0
        if self.standard_error > 0:
            half = quantile((1 + confidence) / 2, self.dof) * self.standard_error
        return self.center - half, self.center + half

    def p_above(self, bound: float) -> float:
        """The one-sided p-value of the claim that the difference lies above `bound`.

        The chance of a centre at least this large where the difference is just `bound`.
        """
        if self.standard_error == 0:
            return float(self.center <= bound)
        return upper_tail((self.center - bound) / self.standard_error, self.dof)

    def p_below(self, bound: float) -> float:
        """The one-sided p-value of the claim that the difference lies below `bound`."""
        return self.mirrored().p_above(-bound)

    def p_value(self) -> float:
        """The two-sided p-value of the claim that there is a difference.

        Below 0.05 exactly when the 95 % interval leaves 0 out.
        """
        return min(1.0, 2 * min(self.p_above(0.0), self.p_below(0.0)))

    def p_equivalent(self, margin: float) -> float:
        """The p-value of the claim that the difference is within -margin .. margin.

        Two one-sided tests: the larger of both p-values; below 0.05 exactly when the 90 % interval
        lies inside. Source: Schuirmann 1987, doi:10.1007/BF01068419.
        """
        return max(self.p_above(-margin), self.p_below(margin))

    def widened(self, confidence: float) -> "Difference":
        """The same with so large an error that its 95 % interval is that of `confidence` here.

        For differences whose number of values was decided by their width; see stopping.Looks.
        """
        if confidence == CONFIDENCE or self.standard_error == 0:
            return self
        wide, plain = (quantile((1 + one) / 2, self.dof) for one in (confidence, CONFIDENCE))
        return Difference(self.center, self.standard_error * wide / plain, self.dof)

    def mirrored(self) -> "Difference":
        """The same with the sides exchanged."""
        return Difference(0.0 - self.center, self.standard_error, self.dof)


def welch_difference(base: Sequence[float], new: Sequence[float]) -> Difference:
    """Difference of the means of two independent samples of unlike scatter.

        se**2 = sd_a**2 / n_a + sd_b**2 / n_b
        dof = se**4 / ((sd_a**2 / n_a)**2 / (n_a - 1) + (sd_b**2 / n_b)**2 / (n_b - 1))

    Source: Welch 1947, doi:10.1093/biomet/34.1-2.28.

    Raises:
        MeasurementError: fewer than two values on a side, or one that is not finite.
    """
    _check(base)
    _check(new)
    variances = [stdev(values) ** 2 / len(values) for values in (base, new)]
    return combine(fmean(new) - fmean(base), variances, [len(base) - 1, len(new) - 1])


def paired_difference(base: Sequence[float], new: Sequence[float]) -> Difference:
    """Mean of the differences within pairs, such as the rounds of one interleaved run.

    What both sides of a pair share (a slow minute of the machine) falls out.

    Raises:
        MeasurementError: unlike lengths, fewer than two pairs, or a value that is not finite.
    """
    if len(base) != len(new):
        raise MeasurementError(
            f"{len(base)} and {len(new)} values are no pairs", fix="give both sides of each pair"
        )
    differences = [after - before for before, after in zip(base, new, strict=True)]
    _check(differences)
    error = stdev(differences) / math.sqrt(len(differences))
    return Difference(fmean(differences), error, len(differences) - 1)


def combine(center: float, variances: Sequence[float], dofs: Sequence[float]) -> Difference:
    """A difference whose sides have these variances of their means.

    Args:
        center: the difference.
        variances: squared standard error of each side; 0: it is known exactly.
        dofs: degrees of freedom of each; infinite where the scatter is known.
    """
    total = sum(variances)
    spread = sum(part * part / dof for part, dof in zip(variances, dofs, strict=True))
    dof = total * total / spread if spread > 0 else math.inf
    return Difference(center, math.sqrt(total), dof)


def quantile(share: float, dof: float) -> float:
    """Of Student's t, which for infinitely many degrees of freedom is the normal distribution."""
    return NORMAL.inv_cdf(share) if math.isinf(dof) else t_quantile(share, dof)


def upper_tail(value: float, dof: float) -> float:
    """Share of Student's t, or of the normal distribution, above any value."""
    if value < 0:
        return 1 - upper_tail(-value, dof)
    if math.isinf(dof):
        return math.erfc(value / math.sqrt(2)) / 2
    return t_upper_tail(value, dof)


def _check(values: Sequence[float]) -> None:
    """Refuse values whose mean has no standard error."""
    if len(values) < 2:
        raise MeasurementError(
            f"no scatter from {len(values)} value(s) on a side",
            fix="--rounds 2 or more; 5 is the default",
        )
    if not all(math.isfinite(value) for value in values):
        raise MeasurementError(
            "a value is no finite number",
            fix="look at the raw samples: the clock or counter broke",
        )
