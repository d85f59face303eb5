"""The estimates of one record: all estimators side by side, and how the best one came about.

Metrics have the names that the record holds. With constants measured on this machine a cell's are
the `calibrated` estimates; with those of a data sheet, or with nothing but a read bandwidth, the
`structure` ones. Of an exported model whose architecture is not known, only its true parameters
predict: without the shapes of its matrices nothing is said of structure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from msgspec import structs

from harness.builder.graph.geometry import longest_context
from harness.builder.quantize.levels import CacheLevel, Form, QuantLevel
from harness.estimator.answer import RULE_OF_THUMB_SHARE, decode_tok_s, prefill_tok_s, weights_bytes
from harness.estimator.calibration.constants import is_attention, kernel_name
from harness.estimator.flat import estimated_terms
from harness.estimator.memory import (
    ORT_CPU,
    MemoryBreakdown,
    Runtime,
    peak_memory,
    stored_model_bytes,
)
from harness.estimator.static import StaticLengths, static_prefill, static_step
from harness.estimator.timing import Breakdown, decode_step, in_turn, prefill
from harness.estimator.work import EXPERTS
from harness.models.specs.structure import ModelStructure
from harness.results.calibration import Constants, RatePoint
from harness.results.enums import SINGLE_PASS, Kind, Prepack
from harness.results.explanation import EstimatedPass, Explanation, MemoryPart, WholeCache
from harness.results.metrics import metric_of_pass, rate_of_kind, time_of_kind

_WEIGHTS = ("body", EXPERTS, "head")  # terms that read matrices
# Fixed cost of one operator call where none was measured: 79 us per layer of eleven nodes.
# Source: fit over three models at four levels, onnxruntime 1.31.1, one x86 thread.
TYPICAL_OPERATOR_S = 79e-6 / 11


@dataclass(frozen=True, slots=True)
class CellLengths:
    """The lengths of one cell.

    A test without prefill has prompt 0, one without decoding gen 0.

    Attributes:
        prompt_tokens: read at once.
        gen_tokens: decoded one at a time; in a request the first one comes with the prefill.
        depth_tokens: in the cache when the test begins.
        batch: sequences.
        cache: how keys and values are stored; None: as the float type of the level.
        static: the shapes of a static decoder; None: it is a fused one.
        chunk_tokens: of the prompt that are read at once; 0: all of them.
        prepack: when kernels copy weights: at load, on all threads, or once and saved.
        written_out: whole matrices of scores that live at once where attention is not one
            GroupQueryAttention, as in many exports; 0: it is.
        capacity_tokens: positions that the cache is allocated for; 0: as many as are needed.
        rereads: the test also reads everything up to its first token without a cache.
        threads: of the session, which may make copies side by side.
    """

    prompt_tokens: int
    gen_tokens: int
    depth_tokens: int = 0
    batch: int = 1
    cache: CacheLevel | None = None
    static: StaticLengths | None = None
    chunk_tokens: int = 0
    prepack: str = Prepack.OFF
    written_out: int = 0
    capacity_tokens: int = 0
    rereads: bool = False
    threads: int = 1

    @property
    def passes(self) -> tuple[tuple[int, int], ...]:
        """Tokens that are read at once, and the depth they begin at, of every run over a prompt."""
        chunk = self.chunk_tokens or self.prompt_tokens
        return tuple(
            (min(chunk, self.prompt_tokens - start), self.depth_tokens + start)
            for start in range(0, self.prompt_tokens, max(chunk, 1))
        )

    @property
    def read_again(self) -> "CellLengths":
        """The same, its prompt all that is before it too: nothing is in the cache."""
        return replace(self, prompt_tokens=self.depth_tokens + self.prompt_tokens, depth_tokens=0)


@dataclass(frozen=True, slots=True)
class CellEstimate:
    """What one cell should measure.

    Attributes:
        values: metric name -> value in the metric's unit; a metric that the cell does not have,
            or whose peak is not known, is absent.
        times: `prefill` and `decode step` (the middle one), or `encode`, term by term.
        memory: the peak, part by part.
        basis: of the constants.
    """

    values: Mapping[str, float]
    times: Mapping[str, Breakdown]
    memory: MemoryBreakdown
    basis: str


def cell_estimate(
    model: ModelStructure,
    level: QuantLevel,
    constants: Constants,
    lengths: CellLengths,
    runtime: Runtime = ORT_CPU,
) -> CellEstimate:
    """Estimate every metric of one cell.

    prefill_ms, prefill_tok_s, ttft_ms   from the prefill
    encode_ms, encode_seq_s              from the pass of an encoder
    tpot_ms, decode_tok_s                from the middle step, which is the mean one as long as
                                         attention grows straight with depth
    e2e_ms                               prefill + (gen − 1) steps
    reread_ttft_ms                       prefill of depth and prompt together, of a turn
    peak_rss_bytes, weights_bytes        from structure alone
    """
    times: dict[str, Breakdown] = {}
    batch, depth, prompt = lengths.batch, lengths.depth_tokens, lengths.prompt_tokens
    if prompt:
        first = _prompt(model, level, constants, lengths, runtime)
        times[first.name] = first
    if steps(lengths):
        middle = depth + prompt + (steps(lengths) - 1) // 2
        times["decode step"] = decode_step(
            model,
            level,
            constants,
            depth_tokens=middle,
            batch=batch,
            runtime=runtime,
            cache=lengths.cache,
        )
    memory = cell_memory(model, level, lengths, runtime)
    values = {
        **_time_values(times, lengths, constants.measured),
        **_reread_value(model, level, constants, lengths, runtime),
        "peak_rss_bytes": memory.peak_bytes,
        "weights_bytes": float(stored_model_bytes(model, level)),
    }
    basis = next((found.basis for found in times.values()), constants.basis)
    return CellEstimate(values, times, memory, basis)


def _prompt(
    model: ModelStructure,
    level: QuantLevel,
    constants: Constants,
    lengths: CellLengths,
    runtime: Runtime,
) -> Breakdown:
    """The reading of a prompt, in one run or in several."""
    return in_turn(
        [
            prefill(
                model,
                level,
                constants,
                prompt_tokens=tokens,
                depth_tokens=start,
                batch=lengths.batch,
                runtime=runtime,
                cache=lengths.cache,
            )
            for tokens, start in lengths.passes
        ]
    )


def _reread_value(
    model: ModelStructure,
    level: QuantLevel,
    constants: Constants,
    lengths: CellLengths,
    runtime: Runtime,
) -> dict[str, float]:
    """The first token of a turn where everything before it is read again."""
    if not lengths.rereads:
        return {}
    whole = _prompt(model, level, constants, lengths.read_again, runtime)
    return {"reread_ttft_ms": whole.seconds * 1e3} if whole.compute_known else {}


def cell_memory(
    model: ModelStructure, level: QuantLevel, lengths: CellLengths, runtime: Runtime = ORT_CPU
) -> MemoryBreakdown:
    """Estimate the peak of one cell, part by part: that of its widest pass."""
    widest = max((tokens for tokens, _ in lengths.passes), default=1)
    return peak_memory(
        model,
        level,
        prompt_tokens=widest,
        depth_tokens=lengths.depth_tokens + max(lengths.prompt_tokens, 1) - widest,
        gen_tokens=lengths.gen_tokens,
        capacity_tokens=lengths.capacity_tokens,
        batch=lengths.batch,
        runtime=replace(runtime, packing=lengths.prepack, packing_threads=lengths.threads),
        cache=lengths.cache,
        written_out=lengths.written_out,
    )


def whole_cache(
    model: ModelStructure, level: QuantLevel, lengths: CellLengths
) -> WholeCache | None:
    """What a cell would take with its model's whole context allocated.

    None: all of it is, or there is no such cache: of an encoder, of one that grows or is written
    out, of a static graph, whose cache is a part of it.
    """
    needed = lengths.depth_tokens + lengths.prompt_tokens + lengths.gen_tokens
    allocated = max(lengths.capacity_tokens, needed)
    is_bound = model.decodes and model.encoder_tokens is None and lengths.static is None
    if not is_bound or lengths.written_out or model.spec is None:
        return None
    context = longest_context(model.spec)
    if context <= allocated:
        return None
    now = cell_memory(model, level, lengths).peak_bytes
    then = cell_memory(model, level, replace(lengths, capacity_tokens=context)).peak_bytes
    return WholeCache(
        context_tokens=context,
        allocated_tokens=allocated,
        peak_bytes=then,
        more_bytes=then - now,
    )


def static_estimate(
    model: ModelStructure, level: QuantLevel, constants: Constants, lengths: CellLengths
) -> CellEstimate:
    """Estimate a cell of a static decoder; what a provider holds of one was never measured."""
    assert lengths.static is not None
    times: dict[str, Breakdown] = {}
    shared = model, level, constants, lengths.static
    if lengths.prompt_tokens:
        times["prefill"] = static_prefill(*shared, lengths.prompt_tokens)
    if steps(lengths):
        times["decode step"] = static_step(*shared)
    values = {
        **_time_values(times, lengths, constants.measured),
        "weights_bytes": float(stored_model_bytes(model, level)),
    }
    return CellEstimate(values, times, MemoryBreakdown((), "not known"), constants.basis)


def bandwidth_only(read_bytes_per_s: float, operator_s: float = TYPICAL_OPERATOR_S) -> Constants:
    """Return constants of a machine of which only the read bandwidth is known.

    Decoding is bounded by memory and calls; nothing bounds a prefill, which stays unknown.
    """
    basis = (
        f"read bandwidth {read_bytes_per_s / 1e9:.3g} GB/s, {operator_s * 1e6:.1f} us a call"
        " (typical), no compute peak"
    )
    return Constants(basis, (RatePoint(read_bytes_per_s),), operator_s=operator_s)


def steps(lengths: CellLengths) -> int:
    """Decode steps that are timed: a request's first token comes with its prefill."""
    return max(lengths.gen_tokens - (1 if lengths.prompt_tokens else 0), 0)


def mbu(
    step: Breakdown, seconds: float, constants: Constants, file_bytes: float | None = None
) -> float:
    """Memory bandwidth utilisation of a measured decode step, a share.

        (weights as held + cache read) / seconds / bandwidth at that working set

    Args:
        step: estimated, for the bytes.
        seconds: measured.
        constants: of this machine.
        file_bytes: of the weights on disk, to be taken instead of those held (`mbu_file`).

    Source: Databricks, "LLM Inference Performance Engineering", 2023 (the quotient).
    """
    cache_bytes = sum(t.work.read_bytes for t in step.terms if is_attention(t.work.kernel))
    held_bytes = sum(t.work.read_bytes for t in step.terms if t.work.name in _WEIGHTS)
    weights_bytes = held_bytes if file_bytes is None else file_bytes
    bandwidth = constants.bytes_per_s(held_bytes + cache_bytes)
    return (weights_bytes + cache_bytes) / seconds / bandwidth


def mfu(whole: Breakdown, seconds: float, peak_flop_per_s: float) -> float:
    """Matrix utilisation of a measured pass, a share: flop that count / seconds / peak.

    Source: PaLM, Chowdhery et al. 2022, arXiv:2204.02311, appendix B.
    """
    return whole.flop / seconds / peak_flop_per_s


def _time_values(
    times: Mapping[str, Breakdown], lengths: CellLengths, measured: bool
) -> dict[str, float]:
    """Return the metrics that are times or rates.

    Decoding may be bounded by memory alone where no compute peak is known at all; among measured
    kernels one without a rate leaves the whole unknown.
    """
    values: dict[str, float] = {}
    first, step = times.get("prefill"), times.get("decode step")
    whole = times.get("encode")
    if whole is not None and whole.compute_known:
        values["encode_ms"] = whole.seconds * 1e3
        values["encode_seq_s"] = lengths.batch / whole.seconds
    if first is not None and first.compute_known:
        values["prefill_ms"] = values["ttft_ms"] = first.seconds * 1e3
        values["prefill_tok_s"] = lengths.batch * lengths.prompt_tokens / first.seconds
    if step is not None and (step.compute_known or not measured):
        values["tpot_ms"] = step.seconds * 1e3
        values["decode_tok_s"] = lengths.batch / step.seconds
    if lengths.gen_tokens and lengths.prompt_tokens and "ttft_ms" in values:
        later_ms = values.get("tpot_ms", 0.0) * steps(lengths)
        values["e2e_ms"] = values["ttft_ms"] + later_ms
    return values


# Estimators by name, the simplest first; the last one that has a value is the best.
PARAMS, RULE_OF_THUMB, STRUCTURE, CALIBRATED = ESTIMATORS = (
    "params",
    "rule_of_thumb",
    "structure",
    "calibrated",
)

Values = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class HardwarePeaks:
    """What a machine can do, as far as one run knows it.

    Attributes:
        read_bytes_per_s: memory read by this run beside its rows; None: it could not be.
        measured: constants of a calibration; None: there is none.
    """

    read_bytes_per_s: float | None = None
    measured: Constants | None = None

    @property
    def bandwidth_bytes_per_s(self) -> float | None:
        """Read rate beyond any cache: this run's own, else the calibration's."""
        if self.read_bytes_per_s is not None or self.measured is None:
            return self.read_bytes_per_s
        return self.measured.bytes_per_s(float("inf"))

    @property
    def peak_flop_per_s(self) -> float | None:
        """The fastest float product that was measured; None without one."""
        kernels = self.measured.rates if self.measured is not None else {}
        rates = [
            point.rate_per_s
            for name, points in kernels.items()
            if name.startswith(Form.FLOAT)
            for point in points
        ]
        return max(rates, default=None)


@dataclass(frozen=True, slots=True)
class RecordEstimates:
    """All estimates of one cell.

    Attributes:
        by_metric: metric -> estimator -> value in the metric's unit; only what is known.
        explanation: the best estimator's sum, term by term; None: there is no sum.
        best: what the explanation was drawn from, and what utilisation is measured against.
    """

    by_metric: Mapping[str, Mapping[str, float | None]]
    explanation: Explanation | None
    best: CellEstimate | None


def record_estimates(
    model: ModelStructure,
    level: QuantLevel,
    lengths: CellLengths,
    peaks: HardwarePeaks,
) -> RecordEstimates:
    """Estimate one cell by every estimator whose hardware peaks are known.

    params          parameters x bits, over bandwidth or peak
    rule_of_thumb   the same, of which 55 % is reached
    structure       what a pass really reads, over the bandwidth alone
    calibrated      the same over rates measured here; not of static decoders
    """
    parameters, bits = model.parameters, level.weight_bits
    sums: dict[str, CellEstimate] = {}
    if peaks.bandwidth_bytes_per_s is not None:
        constants = bandwidth_only(peaks.bandwidth_bytes_per_s)
        counted = cell_estimate if lengths.static is None else static_estimate
        sums[STRUCTURE] = counted(model, level, constants, lengths)
    if peaks.measured is not None and lengths.static is None:
        sums[CALIBRATED] = cell_estimate(model, level, peaks.measured, lengths)
    values: dict[str, Values] = {
        PARAMS: rule_values(parameters, bits, lengths, peaks, 1.0)
        if model.decodes
        else encode_rule_values(parameters, bits, lengths, peaks),
        RULE_OF_THUMB: _decoding(
            rule_values(parameters, bits, lengths, peaks, RULE_OF_THUMB_SHARE)
        ),
        **{name: found.values for name, found in sums.items()},
    }
    by_metric: dict[str, dict[str, float | None]] = {}
    for name in ESTIMATORS:
        for metric, value in values.get(name, {}).items():
            by_metric.setdefault(metric, {})[name] = value
    best = next((name for name in (CALIBRATED, STRUCTURE) if name in sums), None)
    if best is None:
        return RecordEstimates(by_metric, None, None)
    explanation = structs.replace(
        _explanation(best, sums[best], peaks, model.read_parameters),
        whole_cache=whole_cache(model, level, lengths),
    )
    return RecordEstimates(by_metric, explanation, sums[best])


def rule_values(
    parameters: int, bits: float, lengths: CellLengths, peaks: HardwarePeaks, share: float
) -> Values:
    """Return what the parameter count alone says, at a share of the peaks.

        step = batch of one read of all weights; prefill = 2 · parameters flop per token
        memory = parameters · bits / 8

    Source: harness.estimator.answer.
    """
    weights = weights_bytes(parameters, bits)
    values = {"weights_bytes": weights, "peak_rss_bytes": weights}
    batch, peak = lengths.batch, peaks.peak_flop_per_s
    prefill_ms = step_ms = None
    if lengths.prompt_tokens and peak is not None:
        rate = prefill_tok_s(parameters, peak * share)
        prefill_ms = 1e3 * batch * lengths.prompt_tokens / rate
        values |= {"prefill_tok_s": rate, "prefill_ms": prefill_ms, "ttft_ms": prefill_ms}
        if lengths.rereads:
            values["reread_ttft_ms"] = 1e3 * batch * lengths.read_again.prompt_tokens / rate
    if steps(lengths) and peaks.bandwidth_bytes_per_s is not None:
        rate = decode_tok_s(parameters, bits, peaks.bandwidth_bytes_per_s * share, batch)
        step_ms = 1e3 * batch / rate
        values |= {"decode_tok_s": rate, "tpot_ms": step_ms}
    if lengths.gen_tokens and prefill_ms is not None:
        values["e2e_ms"] = prefill_ms + steps(lengths) * (step_ms or 0.0)
    return values


def encode_rule_values(
    parameters: int, bits: float, lengths: CellLengths, peaks: HardwarePeaks
) -> Values:
    """Return what the parameter count alone says of an encoder's pass.

        time = max(2 · parameters · tokens of all texts / peak, parameters · bits / 8 / bandwidth)

    Without a measured peak nothing is said: reading alone does not bound so many tokens.
    Source: harness.estimator.answer.
    """
    weights = weights_bytes(parameters, bits)
    values = {"weights_bytes": weights, "peak_rss_bytes": weights}
    peak, bandwidth = peaks.peak_flop_per_s, peaks.bandwidth_bytes_per_s
    if peak is None:
        return values
    tokens = lengths.batch * lengths.prompt_tokens
    seconds = tokens / prefill_tok_s(parameters, peak)
    if bandwidth is not None:
        seconds = max(seconds, weights / bandwidth)
    return values | {"encode_ms": 1e3 * seconds, "encode_seq_s": lengths.batch / seconds}


def utilisation(
    found: RecordEstimates, level: QuantLevel, peaks: HardwarePeaks, file_bytes: float
) -> dict[str, tuple[str, Callable[[float], float]]]:
    """Return how a measured time becomes a utilisation, where the hardware peaks were measured.

    Args:
        found: estimates of the cell.
        level: of the model.
        peaks: of this machine.
        file_bytes: of the weights on disk.

    Returns:
        `mbu`, `mbu_file`, `mfu` -> (the metric that is measured, seconds of it -> share).
    """
    constants, best = peaks.measured, found.best
    if constants is None or best is None:
        return {}
    shares: dict[str, tuple[str, Callable[[float], float]]] = {}
    step = best.times.get("decode step")
    if step is not None:
        shares["mbu"] = (STEP_MS, lambda seconds: mbu(step, seconds, constants))
        shares["mbu_file"] = (STEP_MS, lambda seconds: mbu(step, seconds, constants, file_bytes))
    rates = constants.rates.get(kernel_name(level.body))
    for name in ("prefill", "encode"):
        if name in best.times and rates:
            peak, whole = max(point.rate_per_s for point in rates), best.times[name]
            shares["mfu"] = (metric_of_pass(name).name, partial(_mfu, whole, peak))
    return shares


def _mfu(whole: Breakdown, peak_flop_per_s: float, seconds: float) -> float:
    """Return mfu with the measured time last."""
    return mfu(whole, seconds, peak_flop_per_s)


def _decoding(values: Values) -> Values:
    """Keep what the rule of thumb speaks of: decoding."""
    return {name: values[name] for name in (DECODE_RATE, STEP_MS) if name in values}


def _explanation(name: str, found: CellEstimate, peaks: HardwarePeaks, read: int) -> Explanation:
    """Return the sum behind an estimate: terms of each pass, parts of memory."""
    return Explanation(
        estimator=name,
        basis=found.basis,
        threads=peaks.measured.threads if peaks.measured is not None else None,
        read_parameters=read,
        passes=tuple(
            EstimatedPass(
                pass_name=key,
                seconds=breakdown.seconds,
                bound=breakdown.bound,
                complete=breakdown.compute_known,
                terms=estimated_terms(breakdown),
            )
            for key, breakdown in found.times.items()
        ),
        memory=tuple(
            MemoryPart(part=term.name, bytes=term.resident_bytes) for term in found.memory.terms
        ),
    )


STEP_MS, DECODE_RATE = metric_of_pass("decode step").name, rate_of_kind(Kind.DECODE).name
ENCODE_MS, ENCODE_RATE = metric_of_pass("encode").name, rate_of_kind(Kind.ENCODE).name
# What one pass takes and how many there are in a second, by kind of test.
PASS_METRICS = {
    kind: (time_of_kind(kind).name, rate_of_kind(kind).name)
    for kind in SINGLE_PASS
    if kind is not Kind.GRAPH
}


def exported_estimates(
    parameters: int,
    bits: float,
    kind: Kind,
    lengths: CellLengths,
    peaks: HardwarePeaks,
    encoder_parameters: int | None = None,
) -> RecordEstimates:
    """Estimate one cell from the parameters alone.

    Args:
        parameters: true count, of the whole model.
        bits: of one stored weight.
        kind: of the test.
        lengths: of the cell; of images and sounds the prompt is 0 where their tokens are unknown.
        peaks: of this machine.
        encoder_parameters: of the encoder, where a decoder has one; its passes and the decoder's
            steps read their own part of the weights.
    """
    weights = weights_bytes(parameters, bits)
    values: dict[str, dict[str, float]] = {
        PARAMS: {"weights_bytes": weights, "peak_rss_bytes": weights}
    }
    if kind in PASS_METRICS:
        own = parameters if encoder_parameters is None else encoder_parameters
        found = encode_rule_values(own, bits, lengths, peaks) if lengths.prompt_tokens else {}
        for name, known in zip(PASS_METRICS[kind], (ENCODE_MS, ENCODE_RATE), strict=True):
            if known in found:
                values[PARAMS][name] = found[known]
    elif kind is not Kind.GRAPH:
        own = parameters - (encoder_parameters or 0)
        values[PARAMS] |= dict(rule_values(own, bits, lengths, peaks, 1.0))
        values[PARAMS] |= {"weights_bytes": weights, "peak_rss_bytes": weights}
        thumb = rule_values(own, bits, lengths, peaks, RULE_OF_THUMB_SHARE)
        values[RULE_OF_THUMB] = dict(_decoding(thumb))
    by_metric: dict[str, dict[str, float | None]] = {}
    for estimator, known_values in values.items():
        for metric, value in known_values.items():
            by_metric.setdefault(metric, {})[estimator] = value
    return RecordEstimates(by_metric, None, None)


def mbu_file(
    weights_bytes: int, cache_bytes: float, seconds: float, bandwidth_bytes_per_s: float
) -> float:
    """Share of the read bandwidth that a decode step reached, with the bytes of the file.

    (weights as stored + cache read) / seconds / bandwidth
    """
    return (weights_bytes + cache_bytes) / seconds / bandwidth_bytes_per_s
