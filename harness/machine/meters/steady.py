"""When a warm-up is over: decided per run from the durations themselves, without numpy.

A fixed number of warm-up calls biases: on ONNX Runtime the tenth call of a fresh session still
took 1.11 times the steady time, the twentieth 1.03 times.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from harness.core.units import NS_PER_S
from harness.machine.meters.samples import Clock

WINDOW_SAMPLES = 20
WINDOW_NS = NS_PER_S // 4
WINDOW_LEAST_SAMPLES = 2
TOLERANCE = 0.02  # of the median: two windows agree within it; a smaller drift is no trend
KENDALL_Z = 2.576  # two-sided 1 %: beyond it the order of the samples is not chance


@dataclass(frozen=True, slots=True)
class WarmUp:
    """How a warm-up went.

    Attributes:
        steady: two adjacent windows agreed without a trend before the time was up.
        duration_ns: whole warm-up.
        durations_ns: every sample, in order.
        window_medians_ns: medians of the last two adjacent windows; fewer when there were fewer.
        last_window_ns: the samples of the last full window; empty when none was full.
    """

    steady: bool
    duration_ns: int
    durations_ns: tuple[int, ...]
    window_medians_ns: tuple[float, ...]
    last_window_ns: tuple[int, ...]


def warm_up(
    sample: Callable[[], int],
    cap_s: float,
    clock: Clock = time.perf_counter_ns,
    earlier_ns: Sequence[int] = (),
    *,
    familiar: bool = False,
) -> WarmUp:
    """Take samples until they are steady or the time is up; at least one is taken.

    Args:
        sample: does the work once and returns its duration in ns.
        cap_s: longest warm-up; the sample in flight when it ends is finished.
        clock: monotonic, in ns.
        earlier_ns: samples of the same shape from earlier in this process: they count as windows,
            so a shape that was warm before needs one more window that agrees, not two, or half
            of one where it was timed since, and has half of the time.
        familiar: the same was warm before at another depth: windows are half as long.
    """
    start_ns = clock()
    cap_s = cap_s / 2 if earlier_ns else cap_s
    parts = 2 if familiar else 1
    durations_ns = list(earlier_ns)
    steady = False
    while not steady:
        durations_ns.append(sample())
        steady = _are_enough(durations_ns[len(earlier_ns) :]) and is_steady(durations_ns, parts)
        if clock() - start_ns >= cap_s * NS_PER_S:
            break
    windows = last_windows(durations_ns, parts)
    return WarmUp(
        steady=steady,
        duration_ns=clock() - start_ns,
        durations_ns=tuple(durations_ns[len(earlier_ns) :]),
        window_medians_ns=tuple(float(median(window)) for window in windows),
        last_window_ns=tuple(windows[-1]) if windows else (),
    )


def _are_enough(durations_ns: Sequence[int]) -> bool:
    """Whether new samples fill half of a window; what was done in between may have cooled it."""
    return len(durations_ns) * 2 >= WINDOW_SAMPLES or sum(durations_ns) * 2 >= WINDOW_NS


def is_steady(durations_ns: Sequence[int], parts: int = 1) -> bool:
    """Whether the last two adjacent windows agree within 2 % and show no trend.

        |ln(median of the last / median of the one before)| <= ln 1.02

    A trend is a drift over both windows (Theil-Sen slope times their length) beyond 2 % of the
    median that chance does not explain (Mann-Kendall, two-sided 1 %): on a noisy machine the
    slope alone would see a trend in most windows of steady samples.

    Args:
        durations_ns: samples in order.
        parts: that a whole window is divided by.
    """
    windows = last_windows(durations_ns, parts)
    if len(windows) < 2:
        return False
    before, last = windows
    if abs(math.log(median(last) / median(before))) > math.log1p(TOLERANCE):
        return False
    return not has_trend([*before, *last])


def last_windows(durations_ns: Sequence[int], parts: int = 1) -> list[Sequence[int]]:
    """The last two adjacent windows, older first; fewer when the samples do not suffice.

    A window is the shortest run of samples, counted back from its end, that holds 20 samples or
    0.25 s of them (in so many parts as are asked for), and at least 2.
    """
    windows: list[Sequence[int]] = []
    end = len(durations_ns)
    while len(windows) < 2:
        start = _window_start(durations_ns, end, parts)
        if start is None:
            break
        windows.insert(0, durations_ns[start:end])
        end = start
    return windows


def _window_start(durations_ns: Sequence[int], end: int, parts: int) -> int | None:
    """Index of the first sample of the window that ends before `end`; None: too few samples."""
    total_ns = 0
    for start in range(end - 1, -1, -1):
        total_ns += durations_ns[start]
        count = end - start
        full = count * parts >= WINDOW_SAMPLES or total_ns * parts >= WINDOW_NS
        if full and count >= WINDOW_LEAST_SAMPLES:
            return start
    return None


def has_trend(durations_ns: Sequence[int]) -> bool:
    """Whether the samples drift, beyond the tolerance and beyond chance (see is_steady).

    Kendall's S is the number of later-larger pairs minus the number of later-smaller ones; with
    n samples in random order its variance is n (n - 1) (2 n + 5) / 18.
    Source: Mann 1945, doi:10.2307/1907187; Sen 1968, doi:10.1080/01621459.1968.10480934.
    """
    count = len(durations_ns)
    slopes = sorted(_slopes(durations_ns))
    drift = abs(median(slopes)) * count / median(durations_ns)
    if drift <= TOLERANCE:
        return False
    kendall_s = sum((slope > 0) - (slope < 0) for slope in slopes)
    deviation = math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    return abs(kendall_s) / deviation > KENDALL_Z


def _slopes(durations_ns: Sequence[int]) -> Iterator[float]:
    """Slope of every pair of samples, in ns per sample."""
    for (i, early_ns), (j, late_ns) in combinations(enumerate(durations_ns), 2):
        yield (late_ns - early_ns) / (j - i)
