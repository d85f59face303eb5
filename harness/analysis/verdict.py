"""What may be said of a difference: worse, better, the same, or inconclusive. Pure."""

from harness.results.enums import Verdict
from harness.stats.differences import Difference
from harness.stats.power import ALPHA


def judge(worse: Difference, margin: float) -> Verdict:
    """Say only what the data supports.

    WORSE or BETTER: the 95 % interval lies wholly on one side of 0 (p below 0.05) and the
    difference itself is beyond the margin. SAME: the 90 % interval lies inside -margin .. margin,
    which is two one-sided tests. Exchanging the sides mirrors the answer.

    Args:
        worse: the difference new - base, above 0 where new is worse.
        margin: the tolerance on the scale of the difference, above 0.
    """
    if worse.p_value() < ALPHA and abs(worse.center) > margin:
        return Verdict.WORSE if worse.center > 0 else Verdict.BETTER
    if worse.p_equivalent(margin) < ALPHA:
        return Verdict.SAME
    return Verdict.INCONCLUSIVE
