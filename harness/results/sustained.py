"""A speed over minutes: what is left of the peak, and when it began to fall. Pure."""

from collections.abc import Sequence
from statistics import median

from harness.results.replies import Sustained, SustainWindow

PEAK_WINDOWS = 3  # neighbours whose median is a peak: one lucky window is none
LAST_SHARE = 0.25  # of the windows: what the speed has come to
THROTTLED_BELOW = 0.95  # of the peak, from some window to the end


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
    last = median(rates[-max(1, round(len(rates) * LAST_SHARE)) :])
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
