"""What is left of a speed kept up for minutes: peak, end, interval, and what slowed it. Pure.

One process runs without a rest, so its end is one value. How far another process would be from it
is told by the short ones of the same row; see sustained_metrics.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median, stdev
from typing import TypeVar

from harness.results.background import UNKNOWN, Background
from harness.results.metric_row import Source
from harness.results.metrics import of_source
from harness.results.replies import Sustained, SustainWindow
from harness.results.schema import Metric, Record
from harness.stats.distributions import t_quantile
from harness.stats.intervals import CONFIDENCE

PEAK_WINDOWS = 3  # neighbours whose median is a peak: one lucky window is none
LAST_SHARE = 0.25  # of the windows, but so many at least: what the speed has come to
THROTTLED_BELOW = 0.95  # of the peak, from some window to the end
BATCHES = 5  # of the last windows, which are not independent of their neighbours
PREFIX = "sustained_"  # before the name of the rate
T = TypeVar("T")


def sustained(
    windows: Sequence[SustainWindow], metric: str, unit: str, window_s: float
) -> Sustained:
    """Sum up the windows of one test that ran without a rest.

    Args:
        windows: in order.
        metric: the rate of the windows.
        unit: of it.
        window_s: length of a window.
    """
    rates = [window.rate for window in windows]
    size = min(PEAK_WINDOWS, len(rates))
    peak = max(median(rates[i : i + size]) for i in range(len(rates) - size + 1))
    last = median(_last(rates))
    return Sustained(
        metric=metric,
        unit=unit,
        window_s=window_s,
        peak=peak,
        sustained=last,
        share=last / peak,
        throttled_after_s=_fall_s(windows, THROTTLED_BELOW * peak),
        windows=tuple(windows),
    )


def _fall_s(windows: Sequence[SustainWindow], limit: float) -> float | None:
    """Start of the run of windows below `limit` that lasts to the end; one alone is noise."""
    below = 0
    for window in reversed(windows):
        if window.rate >= limit:
            break
        below += 1
    return windows[-below].start_s if below >= min(PEAK_WINDOWS, len(windows)) else None


def sustained_metrics(found: Sustained | None, metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """The rate at the end as a metric, with the interval of one process.

        exp(ln(v) -+ t(0.975, n - 1) * sqrt(s^2 + w^2))

    s is the scatter of one process: that of the n short processes of the same row, out of the
    interval of their rate. w is the standard error of the last windows, by means of batches.
    Assumes: a process that runs for minutes scatters by no more than one that is sampled for a
    fraction of a second.

    Args:
        found: what the process gave that did not rest; None: none was asked for.
        metrics: of the record; the rate of its short processes among them.

    Returns:
        Nothing without a rate at the end; no interval under 2 short processes, whose number
        stands as `processes`.
    """
    if found is None or found.sustained is None or found.metric is None:
        return {}
    names = {row.name: row for row in of_source(Source.SUSTAIN)}
    row, short = names.get(f"{PREFIX}{found.metric}"), metrics.get(found.metric)
    if row is None:
        return {}
    half = None if short is None else _half_width_ln(short, _last(found.windows))
    return {
        row.name: Metric(
            value=found.sustained,
            low=None if half is None else found.sustained / math.exp(half),
            high=None if half is None else found.sustained * math.exp(half),
            unit=row.unit,
            processes=1 if half is None or short is None else short.processes,
        )
    }


def sustained_background(record: Record) -> Background:
    """What others used of the processors while a test ran without a rest; windows count alike."""
    windows = record.sustain.windows if record.sustain else ()
    if not windows:
        return UNKNOWN
    cpu = [one.background_cpu_share for one in windows]
    steal = [one.steal_share for one in windows]
    return Background(_mean(cpu), _mean(steal))


def slowed(found: Sustained | None) -> str | None:
    """What made a speed fall that was kept up, in a sentence; None: nothing did, or none was."""
    if found is None or found.share is None:
        return None
    events = sum(one.thermal_events or 0 for one in found.windows)
    periods = sum(one.throttled_periods or 0 for one in found.windows)
    causes = [
        *([f"slowed down for heat or power {events} times"] if events else []),
        *([f"the container's quota stopped it in {periods} periods"] if periods else []),
    ]
    if not causes and found.throttled_after_s is None:
        return None
    told = f"without a rest {found.share:.0%} of the peak are left"
    if found.throttled_after_s is not None:
        told += f", from {found.throttled_after_s:.0f} s on"
    return "; ".join([told, *causes])


def _half_width_ln(short: Metric, windows: Sequence[SustainWindow]) -> float | None:
    """Half of the interval of one process, in logarithms; None: no scatter is known."""
    if short.low is None or short.high is None or short.low <= 0 or short.processes < 2:
        return None
    quantile = t_quantile(1 - (1 - CONFIDENCE) / 2, short.processes - 1)
    error = math.log(short.high / short.low) / 2 / quantile
    scatter = error * math.sqrt(short.processes)
    return quantile * math.hypot(scatter, _batch_error([math.log(one.rate) for one in windows]))


def _batch_error(values: Sequence[float]) -> float:
    """Standard error of the mean of a series, by means of neighbours; 0: too few to tell."""
    size = len(values) // BATCHES
    if not size:
        return 0.0
    means = [fmean(values[place * size : (place + 1) * size]) for place in range(BATCHES)]
    return stdev(means) / math.sqrt(BATCHES)


def _last(windows: Sequence[T]) -> Sequence[T]:
    """The last quarter, as many at least as a peak is taken from."""
    return windows[-max(PEAK_WINDOWS, round(len(windows) * LAST_SHARE)) :]


def _mean(shares: Sequence[float | None]) -> float | None:
    """Of all windows; None where one lacks it."""
    known = [share for share in shares if share is not None]
    return fmean(known) if len(known) == len(shares) else None
