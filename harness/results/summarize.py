"""Raw samples of the processes of one cell -> metrics with intervals. Pure; no numpy.

The sample unit is the process: each gives one value (values.py), the centre is the median over
processes, the interval Student's t on their logarithms. Nothing is pooled over processes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.units import NS_PER_MS
from harness.results import values
from harness.results.samples import (
    DECODE,
    ENCODE,
    IMAGE,
    PREFILL,
    REQUEST,
    RUN,
    ProcessSamples,
    kind_of,
)
from harness.results.schema import Cell, Metric
from harness.stats.intervals import Interval, half_width_share, log_t_interval, t_interval

EVERY_KIND = (PREFILL, DECODE, REQUEST, ENCODE, IMAGE, RUN)


@dataclass(frozen=True, slots=True)
class MetricRule:
    """One metric: its unit, the tests that carry it, and a process's value of it.

    Attributes:
        name: as in the glossary.
        unit: of the values and the interval.
        kinds: the kinds of test that have it.
        value: a process's value, or None.
        signed: it may be 0 or negative, so its interval is taken without logarithms.
    """

    name: str
    unit: str
    kinds: tuple[str, ...]
    value: Callable[[Cell, ProcessSamples], float | None]
    signed: bool = False


RULES = (
    MetricRule("load_ms", "ms", EVERY_KIND, values.load_ms),
    MetricRule("first_ms", "ms", EVERY_KIND, values.first_ms),
    MetricRule("cold_ttft_ms", "ms", (REQUEST,), values.cold_ttft_ms),
    MetricRule("prefill_ms", "ms", (PREFILL, REQUEST), values.prefill_ms),
    MetricRule("prefill_tok_s", "tok/s", (PREFILL, REQUEST), values.prefill_tok_s),
    MetricRule("ttft_ms", "ms", (REQUEST,), values.ttft_ms),
    MetricRule("tpot_ms", "ms/token", (DECODE, REQUEST), values.tpot_ms),
    MetricRule("decode_tok_s", "tok/s", (DECODE, REQUEST), values.decode_tok_s),
    MetricRule("e2e_ms", "ms", (REQUEST,), values.e2e_ms),
    MetricRule("encode_ms", "ms", (ENCODE,), values.encode_ms),
    MetricRule("encode_seq_s", "sequences/s", (ENCODE,), values.encode_seq_s),
    MetricRule("image_ms", "ms", (IMAGE,), values.encode_ms),
    MetricRule("images_s", "images/s", (IMAGE,), values.images_s),
    MetricRule("run_ms", "ms", (RUN,), values.encode_ms),
    MetricRule("runs_s", "runs/s", (RUN,), values.runs_s),
    MetricRule(
        "itl_slope_us_per_ktoken",
        "us/ktoken",
        (DECODE, REQUEST),
        values.itl_slope_us_per_ktoken,
        signed=True,
    ),
    MetricRule("energy_j", "J", EVERY_KIND, values.energy_j),
    MetricRule("j_per_token", "J/token", (PREFILL, DECODE, REQUEST), values.j_per_token),
    MetricRule("j_per_sequence", "J/sequence", (ENCODE,), values.j_per_sequence),
)
# Kept as null, because the test asks for them: a request of one token has no decode rate.
NULL_WHERE_MISSING = ("tpot_ms", "decode_tok_s")

# What a record's trust is judged by: the numbers that the table shows of each kind of test.
JUDGED = {
    PREFILL: ("prefill_tok_s",),
    DECODE: ("decode_tok_s",),
    REQUEST: ("ttft_ms", "decode_tok_s"),
    ENCODE: ("encode_seq_s",),
    IMAGE: ("images_s",),
    RUN: ("runs_s",),
}

# metric -> where a memory reply holds it: (mark, field) minus the same field of `baseline`.
DELTAS = {
    "load_delta_bytes": ("loaded", "rss_bytes"),
    "load_delta_anonymous_bytes": ("loaded", "anonymous_bytes"),
    "load_delta_file_bytes": ("loaded", "file_bytes"),
    "steady_delta_bytes": ("steady", "rss_bytes"),
    "steady_delta_anonymous_bytes": ("steady", "anonymous_bytes"),
    "steady_delta_file_bytes": ("steady", "file_bytes"),
}
# What a measured time becomes beside a measured ceiling.
SHARES = ("mbu", "mbu_file", "mfu")
# What a level loses against its fp32 twin; of the path that the kind of test takes.
QUALITY_UNITS = {
    "kld_nats": "nats",
    "kld_p99_nats": "nats",
    "top1_agreement": "share",
    "nll_delta": "nats/token",
    "perplexity": "ratio",
    "bits_per_byte": "bit",
    "embedding_cosine": "cosine",
    "embedding_cosine_min": "cosine",
    "nearest_agreement": "share",
    "ranking_tau": "tau",
}
TEXT_RATES = {"decode_bytes_s": "english", "decode_bytes_s_korean": "korean"}
QUALITY_PATHS = {PREFILL: "prefill", DECODE: "decode", REQUEST: "decode", ENCODE: "encode"}
EXACT_UNITS = {"weights_bytes": "bytes", "bits_per_weight": "bit", "kv_bytes_per_token": "bytes"}


def summarize(cell: Cell, processes: Sequence[ProcessSamples]) -> dict[str, Metric]:
    """Every timed metric of one cell.

    Args:
        cell: which test: its lengths, batch and full `workload` name are used.
        processes: one per fresh process, at least one.

    Returns:
        Metrics in the order of RULES; one that no process has a value of is absent, except that
        `tpot_ms` and `decode_tok_s` of a request of one token are null.
    """
    metrics = {}
    for rule in RULES:
        if kind_of(cell) not in rule.kinds:
            continue
        found = [rule.value(cell, process) for process in processes]
        known = [value for value in found if value is not None]
        if known or rule.name in NULL_WHERE_MISSING:
            metrics[rule.name] = metric(known, rule.unit, rule.signed)
    return metrics


def summarize_memory(replies: Sequence[Mapping[str, Any]]) -> dict[str, Metric]:
    """Memory metrics from the replies of the processes that took memory, one or more.

    Each reply holds `baseline`, `loaded`, `steady` ({rss_bytes, anonymous_bytes, file_bytes}, the
    last two null where the system does not tell) and `peak_bytes`; `device` with its own
    `peak_bytes`, null where nothing counts them, is not in older ones.
    """
    peaks = [reply["peak_bytes"] for reply in replies]
    bases = [reply["baseline"]["rss_bytes"] for reply in replies]
    found = {"peak_rss_bytes": peaks}
    found["peak_delta_bytes"] = [peak - base for peak, base in zip(peaks, bases, strict=True)]
    for name, (mark, field) in DELTAS.items():
        pairs = [(reply[mark][field], reply["baseline"][field]) for reply in replies]
        found[name] = [now - before for now, before in pairs if None not in (now, before)]
    held = [(reply.get("device") or {}).get("peak_bytes") for reply in replies]
    found["device_bytes_peak"] = [peak for peak in held if peak is not None]
    return {
        name: metric(numbers, "bytes", signed=name != "peak_rss_bytes")
        for name, numbers in found.items()
        if numbers
    }


def compile_metric(found: Mapping[str, Any] | None) -> dict[str, Metric]:
    """The cold load of the one process that compiled; nothing where nothing was compiled.

    Args:
        found: `compile_ns`, or null and a reason; None: the device keeps no compiled graphs.
    """
    if found is None or found.get("compile_ns") is None:
        return {}
    return {"compile_ms": metric([found["compile_ns"] / NS_PER_MS], "ms")}


def exact_metrics(
    weights_bytes: int, bits_per_weight: float, kv_bytes_per_token: int
) -> dict[str, Metric]:
    """What is counted, not measured; `processes` is 0, so they stand in a failed record too."""
    numbers = (weights_bytes, bits_per_weight, kv_bytes_per_token)
    return {
        name: Metric(value=float(number), unit=unit, processes=0)
        for (name, unit), number in zip(EXACT_UNITS.items(), numbers, strict=True)
    }


def quality_metrics(cell: Cell, quality: Mapping[str, Any]) -> dict[str, Metric]:
    """What the level loses on the path of this test: each pass of a decode is one token.

    One process measured it; the intervals are over chunks of the text.

    Args:
        cell: which kind of test.
        quality: as a record holds it; without paths nothing is known.
    """
    path = quality.get(QUALITY_PATHS.get(kind_of(cell), "")) or {}
    return {
        name: _quality_metric(path[name], unit)
        for name, unit in QUALITY_UNITS.items()
        if path.get(name) is not None
    }


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
            unit="bytes/s",
            processes=rate.processes,
        )
        for name, text in TEXT_RATES.items()
    }


def _times(value: float | None, factor: float) -> float | None:
    """A product; nothing of nothing."""
    return None if value is None else value * factor


def _quality_metric(found: float | Mapping[str, float], unit: str) -> Metric:
    """A plain value, or one with the ends of its interval."""
    ends = found if isinstance(found, Mapping) else {"value": found}
    return Metric(**ends, unit=unit, processes=1)


def share_metric(time: Metric, share: Callable[[float], float]) -> Metric:
    """The share of a ceiling that a time stands for; the longer the time, the smaller the share.

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
    judged = (metrics.get(name) for name in JUDGED[kind_of(cell)])
    shares = [metric_half_width_share(found) for found in judged if found and found.processes]
    known = [share for share in shares if share is not None]
    return max(known) if known and len(known) == len(shares) else None


def metric_names() -> dict[str, str]:
    """Every metric that can stand in a record, with its unit; the glossary has each of them."""
    memory = ("peak_rss_bytes", "peak_delta_bytes", *DELTAS, "device_bytes_peak")
    return {
        **{rule.name: rule.unit for rule in RULES},
        "compile_ms": "ms",
        **dict.fromkeys(memory, "bytes"),
        **EXACT_UNITS,
        **dict.fromkeys(SHARES, "share"),
        **QUALITY_UNITS,
        **dict.fromkeys(TEXT_RATES, "bytes/s"),
    }
