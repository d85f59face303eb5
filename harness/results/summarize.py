"""Raw samples of the processes of one cell -> metrics with intervals. Pure; no numpy.

The sample unit is the process: each gives one value (values.py), the centre is the median over
processes, the interval Student's t on their logarithms. Nothing is pooled over processes.
"""

from collections.abc import Callable, Mapping, Sequence

from harness.core.units import NS_PER_MS
from harness.results.enums import Kind
from harness.results.metric_row import Source
from harness.results.metrics import judged_by, metric_row, of_records, of_source
from harness.results.quality import EmbeddingScores, Mean, PathQuality, Quality
from harness.results.replies import Compiled, MemoryTaken, ProcessSamples
from harness.results.samples import DECODE, ENCODE, PREFILL, REQUEST, kind_of
from harness.results.schema import Cell, Metric
from harness.stats.intervals import Interval, half_width_share, log_t_interval, t_interval

TEXT_RATES = {"decode_bytes_s": "english", "decode_bytes_s_korean": "korean"}
# Whose loss a test carries: that of the path it takes.
QUALITY_PATHS = {PREFILL: "prefill", DECODE: "decode", REQUEST: "decode", ENCODE: "encode"}


def summarize(cell: Cell, processes: Sequence[ProcessSamples]) -> dict[str, Metric]:
    """Every timed metric of one cell.

    Args:
        cell: which test: its lengths, batch and full `workload` name are used.
        processes: one per fresh process, at least one.

    Returns:
        Metrics in the order of the registry; one that no process has a value of is absent, except
        that `tpot_ms` and `decode_tok_s` of a request of one token are null.
    """
    metrics = {}
    for row in of_records():
        if row.value is None or kind_of(cell) not in row.kinds:
            continue
        found = [row.value(cell, process) for process in processes]
        known = [value for value in found if value is not None]
        if known or row.null_where_missing:
            metrics[row.name] = metric(known, row.unit, row.signed)
    return metrics


def summarize_memory(replies: Sequence[MemoryTaken]) -> dict[str, Metric]:
    """Memory metrics from the replies of the processes that took memory, one or more."""
    metrics = {}
    for row in of_source(Source.MEMORY):
        assert row.held is not None
        found = [row.held(reply) for reply in replies]
        known = [value for value in found if value is not None]
        if known:
            metrics[row.name] = metric(known, row.unit, row.signed)
    return metrics


def compile_metric(found: Compiled | None) -> dict[str, Metric]:
    """The cold load of the one process that compiled; nothing where nothing was compiled.

    Args:
        found: what compiling took; None: the device keeps no compiled graphs.
    """
    if found is None or found.compile_ns is None:
        return {}
    (row,) = of_source(Source.COMPILING)
    return {row.name: metric([found.compile_ns / NS_PER_MS], row.unit)}


def exact_metrics(
    weights_bytes: int, bits_per_weight: float, kv_bytes_per_token: int
) -> dict[str, Metric]:
    """What is counted, not measured; `processes` is 0, so they stand in a failed record too."""
    found = {
        "weights_bytes": weights_bytes,
        "bits_per_weight": bits_per_weight,
        "kv_bytes_per_token": kv_bytes_per_token,
    }
    return {
        name: Metric(value=float(number), unit=metric_row(name).unit, processes=0)
        for name, number in found.items()
    }


def quality_metrics(cell: Cell, quality: Quality) -> dict[str, Metric]:
    """What the level loses on the path of this test: each pass of a decode is one token.

    One process measured it; the intervals are over chunks of the text.

    Args:
        cell: which kind of test.
        quality: as a record holds it; without paths nothing is known.
    """
    path = quality_path(quality, kind_of(cell))
    return {
        row.name: _quality_metric(found, row.unit)
        for row in of_source(Source.QUALITY)
        if (found := getattr(path, row.name, None)) is not None
    }


def quality_path(quality: Quality | None, kind: Kind) -> PathQuality | EmbeddingScores | None:
    """The scores on the path that tests of a kind take; None: they are not known."""
    name = QUALITY_PATHS.get(kind)
    return None if quality is None or name is None else getattr(quality, name)


def text_rates(rate: Metric, bytes_per_token: Mapping[str, float]) -> dict[str, Metric]:
    """A decode rate in bytes of text, by which models of different tokenizers can be ranked.

    Args:
        rate: decode_tok_s.
        bytes_per_token: of the model's own tokenizer, on `english` and `korean` text.
    """
    return {
        name: Metric(
            value=_times(rate.value, bytes_per_token[text]),
            low=_times(rate.low, bytes_per_token[text]),
            high=_times(rate.high, bytes_per_token[text]),
            unit=metric_row(name).unit,
            processes=rate.processes,
        )
        for name, text in TEXT_RATES.items()
    }


def _times(value: float | None, factor: float) -> float | None:
    """A product; nothing of nothing."""
    return None if value is None else value * factor


def _quality_metric(found: float | Mean, unit: str) -> Metric:
    """A plain value, or one with the ends of its interval."""
    if isinstance(found, Mean):
        return Metric(value=found.value, low=found.low, high=found.high, unit=unit, processes=1)
    return Metric(value=found, unit=unit, processes=1)


def share_metric(time: Metric, share: Callable[[float], float]) -> Metric:
    """The share of a peak that a time stands for; the longer the time, the smaller the share.

    Args:
        time: in ms or ms/token.
        share: of a time in seconds.
    """
    ends = (time.value, time.high, time.low)
    value, low, high = (None if ms is None else share(ms / 1e3) for ms in ends)
    return Metric(value=value, low=low, high=high, unit="share", processes=time.processes)


def metric(numbers: Sequence[float], unit: str, signed: bool = False) -> Metric:
    """Centre and interval of one value per process; no interval from a single one.

    Args:
        numbers: one per process; above 0 unless `signed`.
        unit: of the numbers.
        signed: they may be 0 or negative: the plain t-interval instead of that of logarithms.
    """
    if not numbers:
        return Metric(value=None, unit=unit, processes=0)
    if len(numbers) == 1:
        return Metric(value=float(numbers[0]), unit=unit, processes=1)
    interval = (t_interval if signed else log_t_interval)(numbers)
    return Metric(
        value=interval.center,
        low=interval.low,
        high=interval.high,
        unit=unit,
        processes=len(numbers),
    )


def metric_half_width_share(measured: Metric) -> float | None:
    """Half of the metric's interval as a share of its value; None without an interval."""
    if measured.value is None or measured.low is None or measured.high is None:
        return None
    return half_width_share(Interval(measured.value, measured.low, measured.high))


def judged_half_width_share(cell: Cell, metrics: Mapping[str, Metric]) -> float | None:
    """The widest half-width among the metrics that a record's trust is judged by; None: unknown."""
    judged = (metrics.get(row.name) for row in judged_by(kind_of(cell)))
    shares = [metric_half_width_share(found) for found in judged if found and found.processes]
    known = [share for share in shares if share is not None]
    return max(known) if known and len(known) == len(shares) else None
