"""How far an estimate may be from what is measured: what a model surely is not, before it is run.

The largest errors of the cells that the estimates were held against (results/validation/errors.md:
58 % of a decode rate, 25 % of a prefill, 3.5 % of a peak, none of stored bytes), rounded up. They
are of the estimators that know this machine's peaks, or that need none.
"""

from collections.abc import Mapping
from math import exp

from harness.estimator.query import Range
from harness.estimator.record import CALIBRATED, STRUCTURE

TIME_LN = 0.7  # twice as fast, or half
# Metric -> the largest |ln(measured / estimated)| to be reckoned with.
LARGEST_LN: dict[str, float] = {
    **dict.fromkeys(
        ("decode_tok_s", "tpot_ms", "prefill_tok_s", "prefill_ms", "ttft_ms", "e2e_ms"), TIME_LN
    ),
    **dict.fromkeys(("encode_ms", "encode_seq_s", "reread_ttft_ms"), TIME_LN),
    "peak_rss_bytes": 0.1,
    "weights_bytes": 0.001,
}
# Metrics that follow from the structure alone.
OF_STRUCTURE = ("peak_rss_bytes", "weights_bytes")


def estimated_range(metric: str, estimates: Mapping[str, float | None]) -> Range | None:
    """Between what a measured value surely lies, by the best estimate.

    Args:
        metric: its name.
        estimates: of it, by estimator.

    Returns:
        None where no estimate is that good.
    """
    names = (CALIBRATED, STRUCTURE) if metric in OF_STRUCTURE else (CALIBRATED,)
    known = (estimates.get(name) for name in names)
    value = next((one for one in known if one is not None), None)
    if value is None or metric not in LARGEST_LN:
        return None
    factor = exp(LARGEST_LN[metric])
    return Range(value / factor, value * factor)
