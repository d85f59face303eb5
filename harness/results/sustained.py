"""A speed over minutes: what is left of the peak, and when it began to fall. Pure."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

Json = Mapping[str, Any]
PEAK_WINDOWS = 3  # neighbours whose median is a peak: one lucky window is none
LAST_SHARE = 0.25  # of the windows: what the speed has come to
THROTTLED_BELOW = 0.95  # of the peak, from some window to the end


def sustained(windows: Sequence[Json]) -> dict[str, float | None]:
    """Sum up the windows of one test that ran without a rest.

    Args:
        windows: in order: `start_s` from the first one's beginning, `rate` in the test's unit.

    Returns:
        `peak`: the largest median of 3 neighbouring windows; `sustained`: the median of the last
        quarter; `share`: sustained over peak; `throttled_after_s`: start of the first window from
        which no later one comes back to 95 % of the peak, null where the last ones do.
    """
    rates = [window["rate"] for window in windows]
    size = min(PEAK_WINDOWS, len(rates))
    peak = max(median(rates[i : i + size]) for i in range(len(rates) - size + 1))
    last = median(rates[-max(1, round(len(rates) * LAST_SHARE)) :])
    return {
        "peak": peak,
        "sustained": last,
        "share": last / peak,
        "throttled_after_s": _fall_s(windows, THROTTLED_BELOW * peak),
    }


def _fall_s(windows: Sequence[Json], limit: float) -> float | None:
    """Start of the run of windows below `limit` that lasts to the end; one alone is noise."""
    below = 0
    for window in reversed(windows):
        if window["rate"] >= limit:
            break
        below += 1
    return float(windows[-below]["start_s"]) if below >= min(PEAK_WINDOWS, len(windows)) else None
