"""Shares of successes, and two of them on the same items: intervals and an exact test."""

import math
from statistics import NormalDist

from harness.core.errors import MeasurementError
from harness.stats.intervals import CONFIDENCE, Interval


def wilson_interval(successes: int, trials: int, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval of a share.

        z = quantile(1 - α/2),  n = trials,  p = successes / n
        (p + z²/2n ± z · sqrt(p (1 - p) / n + z²/4n²)) / (1 + z²/n)

    It stays within 0 to 1 and is of use at both ends, where p ± z · sqrt(p (1 - p) / n) is not.
    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.

    Args:
        successes: from 0 to trials.
        trials: 1 or more.
        confidence: of the interval.

    Raises:
        MeasurementError: no such share.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise MeasurementError(
            f"{successes} of {trials} is no share", fix="from none to all of one trial or more"
        )
    share, z = successes / trials, NormalDist().inv_cdf((1 + confidence) / 2)
    over = z * z / trials
    middle = share + over / 2
    half = z * math.sqrt(share * (1 - share) / trials + over / (4 * trials))
    low, high = ((middle + side * half) / (1 + over) for side in (-1, 1))
    return Interval(share, max(0.0, min(low, share)), min(1.0, max(high, share)))


def mcnemar_p(lost: int, won: int) -> float:
    """The exact two-sided p-value of McNemar's test.

    Of the items on which two models differ, each way is as likely if they are equally good:

        p = min(1, 2 · P(X <= min(lost, won))),  X ~ Binomial(lost + won, 1/2)

    Source: McNemar 1947, doi:10.1007/BF02295996; its exact form is the sign test.

    Args:
        lost: items that only the first one has right.
        won: items that only the second one has right.
    """
    differing = lost + won
    tail = sum(math.comb(differing, k) for k in range(min(lost, won) + 1))
    return min(1.0, float(2 * tail / 2**differing))
