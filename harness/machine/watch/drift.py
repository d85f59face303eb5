"""Whether a speed moved while it was measured: inside the processes, or from round to round. Pure.

A warm-up that ended steady says nothing about what comes after it: a processor that heats up slows
down in the middle of the samples. Neighbouring samples are not independent, so the process is the
unit here too: each gives one number, and only what most of them agree on is called a drift.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, median

from harness.results.replies import Sample
from harness.stats.intervals import t_interval

LEAST_PASSES = 4  # of one process, so that each half has two
LEAST_PROCESSES = 3  # with halves, for an interval over them
LEAST_ROUNDS = 5  # five values in order happen once in 60 orders by chance
CONFIDENCE = 0.99  # one steady cell of a hundred may be doubted, not one of twenty
LEAST_SHARE = 0.03  # smaller drifts hide in what a grade A allows anyway


def find_drift(samples: Sequence[Sample]) -> str | None:
    """Say how the time of a pass moved, in the order in which the processes ran; None: it did not.

    Args:
        samples: one per process.
    """
    passes = [pass_times_ns(sample) for sample in samples]
    return _inside(passes) or _between(passes)


def pass_times_ns(sample: Sample) -> list[float]:
    """Time of each pass of one process, ns: the whole of what the test times."""
    whole = sample.e2e_ns or sample.encode_ns or sample.prefill_ns
    return [float(value) for value in whole or map(sum, sample.itl_ns)]


def _inside(passes: Sequence[Sequence[float]]) -> str | None:
    """Second halves against first halves: Student's interval over the processes' log ratios."""
    ratios = [_log_halves(times) for times in passes if len(times) >= LEAST_PASSES]
    if len(ratios) < LEAST_PROCESSES:
        return None
    interval, middle = t_interval(ratios, CONFIDENCE), fmean(ratios)
    if interval.low <= 0 <= interval.high or abs(middle) <= math.log1p(LEAST_SHARE):
        return None
    return f"second halves of the samples took {math.expm1(middle):+.1%} time"


def _between(passes: Sequence[Sequence[float]]) -> str | None:
    """Process medians that only rise, or only fall, from round to round."""
    medians = [median(times) for times in passes if times]
    if len(medians) < LEAST_ROUNDS:
        return None
    steps = [later - earlier for earlier, later in pairwise(medians)]
    if not (all(step > 0 for step in steps) or all(step < 0 for step in steps)):
        return None
    moved = math.log(medians[-1] / medians[0])
    if abs(moved) <= math.log1p(LEAST_SHARE):
        return None
    return f"every round moved on in one direction, {math.expm1(moved):+.1%} from first to last"


def _log_halves(times: Sequence[float]) -> float:
    """The logarithm of the second half's median over the first's; a middle pass is of neither."""
    half = len(times) // 2
    return math.log(median(times[-half:]) / median(times[:half]))
