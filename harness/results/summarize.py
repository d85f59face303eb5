"""Raw samples of the processes of one cell -> metrics with intervals. Pure; no numpy.

The sample unit is the process: each gives one value (values.py), the centre is the median over
processes, the interval Student's t on their logarithms. Nothing is pooled over processes.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from harness.core.errors import ResultFormatError
from harness.core.units import NS_PER_MS
from harness.results.enums import EnergyKind, Kind
from harness.results.metric_row import Source
from harness.results.metrics import find_metric, judged_by, metric_row, of_records, of_source
from harness.results.quality import EmbeddingScores, Mean, PathQuality, Quality
from harness.results.replies import Compiled, MemoryTaken, ProcessSamples
from harness.results.schema import (
    DECODE,
    ENCODE,
    PREFILL,
    REQUEST,
    TURN,
    Cell,
    Energy,
    Metric,
    Record,
    kind_of,
)
from harness.stats.intervals import (
    CONFIDENCE,
    Interval,
    half_width_share,
    log_t_interval,
    t_interval,
)
from harness.stats.stopping import NO_LOOKS, Looks

TEXT_RATES = {"decode_bytes_s": "english", "decode_bytes_s_korean": "korean"}
# Whose loss a test carries: that of the path it takes.
QUALITY_PATHS = {
    PREFILL: "prefill",
    DECODE: "decode",
    REQUEST: "decode",
    TURN: "decode",
    ENCODE: "encode",
}


def summarize(
    cell: Cell, processes: Sequence[ProcessSamples], looks: Looks = NO_LOOKS
) -> dict[str, Metric]:
    """Every timed metric of one cell.

    Args:
        cell: which test: its lengths, batch and full `workload` name are used.
        processes: one per fresh process, at least one.
        looks: at which numbers of processes their intervals decided whether there is another one.

    Returns:
        Metrics in the order of the registry; one that no process has a value of is absent, except
        that `tpot_ms` and `decode_tok_s` of a request of one token are null.

    Raises:
        ResultFormatError: samples of another test, as a journal may hold that somebody changed.
    """
    metrics, confidence = {}, looks.confidence(len(processes))
    for row in of_records():
        if row.value is None or kind_of(cell) not in row.kinds:
            continue
        try:
            found = [row.value(cell, process) for process in processes]
            known = [value for value in found if value is not None]
            if known or row.null_where_missing:
                metrics[row.name] = metric(known, row.unit, row.signed, confidence)
        except (ValueError, ArithmeticError) as error:
            raise ResultFormatError(
                f"samples of {cell.workload} do not give its {row.name}: {error}",
                fix="measure it again",
            ) from error
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
    weights_bytes: int,
    bits_per_weight: float,
    kv_bytes_per_token: int,
    state_bytes: int = 0,
    cache_bytes: int = 0,
    prepacked_bytes: int = 0,
    read_parameters: int | None = None,
) -> dict[str, Metric]:
    """What is counted, not measured; `processes` is 0, so they stand in a failed record too.

    Caches, states, and copies of weights that were saved, are left out where there are none.
    """
    found = {
        "weights_bytes": weights_bytes,
        "bits_per_weight": bits_per_weight,
        "kv_bytes_per_token": kv_bytes_per_token,
        **({"cache_bytes": cache_bytes} if cache_bytes else {}),
        **({"state_bytes": state_bytes} if state_bytes else {}),
        **({"prepacked_bytes": prepacked_bytes} if prepacked_bytes else {}),
        **({"read_parameters": read_parameters} if read_parameters else {}),
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
    kind = kind_of(cell)
    tasks = quality.tasks if kind in metric_row("task_flips").kinds else None
    known = (quality_path(quality, kind), tasks)
    return {
        row.name: _quality_metric(found, row.unit)
        for row in of_source(Source.QUALITY)
        for scores in known
        if (found := getattr(scores, row.name, None)) is not None
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


def metric(
    numbers: Sequence[float], unit: str, signed: bool = False, confidence: float = CONFIDENCE
) -> Metric:
    """Centre and interval of one value per process; no interval from a single one.

    Args:
        numbers: one per process; above 0 unless `signed`.
        unit: of the numbers.
        signed: they may be 0 or negative: the plain t-interval instead of that of logarithms.
        confidence: of the interval; above 95 % where widths decided how many numbers there are.
    """
    if not numbers:
        return Metric(value=None, unit=unit, processes=0)
    if len(numbers) == 1:
        return Metric(value=float(numbers[0]), unit=unit, processes=1)
    interval = (t_interval if signed else log_t_interval)(numbers, confidence)
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


def energy_of(processes: Sequence[ProcessSamples]) -> Energy | None:
    """Sum up what the processes of a cell say; None: none of them was asked."""
    asked = [process.energy for process in processes if process.energy is not None]
    if not asked:
        return None
    known = [energy for energy in asked if energy.joules is not None]
    if not known:
        return Energy(kind=EnergyKind.UNAVAILABLE, reason=asked[-1].reason)
    sources = {(energy.host, energy.device) for energy in known}
    if len(sources) > 1:
        reason = "other counters answered in other processes"
        return Energy(kind=EnergyKind.UNAVAILABLE, reason=reason)
    host, device = sources.pop()
    return Energy(
        kind=EnergyKind.MEASURED,
        host=host,
        device=device,
        processes=len(known),
        zones=_zones_of(processes),
        proofs=known[-1].proofs,
    )


def _zones_of(processes: Sequence[ProcessSamples]) -> dict[str, dict[str, float]]:
    """J of a pass by counter and zone: medians over the processes that tell of the zone."""
    found: dict[str, dict[str, list[float]]] = {}
    for process in processes:
        for counter, zones in (process.energy.zones if process.energy else {}).items():
            for zone, joules in zones.items():
                each = found.setdefault(counter, {}).setdefault(zone, [])
                each.append(joules / process.sample.passes)
    return {
        counter: {zone: float(median(values)) for zone, values in zones.items()}
        for counter, zones in found.items()
    }


def without_doubtful(metrics: dict[str, Metric], energy: Energy | None) -> dict[str, Metric]:
    """The metrics without energy where it is not one measured quantity."""
    if energy is not None and energy.kind is EnergyKind.MEASURED:
        return metrics
    doubtful = {row.name for row in of_source(Source.COUNTERS)}
    return {name: metric for name, metric in metrics.items() if name not in doubtful}


def host_counter(record: Record) -> str | None:
    """What counted the energy of the processor or machine; two hosts are two quantities."""
    return None if record.energy is None else record.energy.host


def timed_metrics(record: Record) -> list[str]:
    """Names of the record's metrics that its samples may hold, in its own order."""
    return [name for name in record.metrics if (row := find_metric(name)) and row.value]


def process_values(record: Record, name: str) -> dict[int, float]:
    """Every process's value of a timed metric in its unit, by round.

    Empty for a metric that is no matter of time, and for a record that kept no samples.

    Raises:
        ResultFormatError: samples that hold no such value: 0 or less, infinite, or of another form.
    """
    row = find_metric(name)
    if row is None or row.value is None:
        return {}
    values = {}
    for stored in record.samples:
        try:
            value = row.value(record.cell, stored)
            if value is None:
                continue
            if not math.isfinite(value) or (value <= 0 and not row.signed):
                raise ValueError(f"a process's value is {value}")
            values[stored.round] = value
        except (ArithmeticError, KeyError, TypeError, ValueError, IndexError) as error:
            cell = record.cell
            raise ResultFormatError(
                f"the samples of {name} of {cell.model} {cell.level} {cell.workload} are damaged: "
                f"{error}",
                fix="measure again, or take the file from where it was first written",
            ) from error
    return values
