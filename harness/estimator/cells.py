"""Estimates of one measured cell: the same metrics, by name, as the record holds.

With constants measured on this machine these are the `calibrated` estimates; with those of a data
sheet, or with nothing but a read bandwidth, the `structure` ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from harness.builder.quantize.cache import CacheLevel
from harness.builder.quantize.levels import QuantLevel
from harness.estimator.calibration.constants import Constants, RatePoint, is_attention
from harness.estimator.held import (
    ORT_CPU,
    Runtime,
    stored_model_bytes,
)
from harness.estimator.memory import MemoryBreakdown, peak_memory
from harness.estimator.static import StaticLengths, static_prefill, static_step
from harness.estimator.structure import Breakdown, decode_step, prefill
from harness.models.specs.structure import ModelStructure

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
    """

    prompt_tokens: int
    gen_tokens: int
    depth_tokens: int = 0
    batch: int = 1
    cache: CacheLevel | None = None
    static: StaticLengths | None = None


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
    peak_rss_bytes, weights_bytes        from structure alone
    """
    times: dict[str, Breakdown] = {}
    batch, depth, prompt = lengths.batch, lengths.depth_tokens, lengths.prompt_tokens
    if prompt:
        first = prefill(
            model,
            level,
            constants,
            prompt_tokens=prompt,
            depth_tokens=depth,
            batch=batch,
            runtime=runtime,
            cache=lengths.cache,
        )
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
    memory = peak_memory(
        model,
        level,
        prompt_tokens=max(prompt, 1),
        depth_tokens=depth,
        gen_tokens=lengths.gen_tokens,
        batch=batch,
        runtime=runtime,
        cache=lengths.cache,
    )
    values = {
        **_time_values(times, lengths, constants.measured),
        "peak_rss_bytes": memory.peak_bytes,
        "weights_bytes": float(stored_model_bytes(model, level)),
    }
    return CellEstimate(values, times, memory, constants.basis)


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
    held_bytes = sum(t.work.read_bytes for t in step.terms if t.work.name in ("body", "head"))
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
