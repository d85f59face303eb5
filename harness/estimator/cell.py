"""The estimate of one cell: every metric that structure and constants of a machine tell. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.builder.graph.geometry import longest_context
from harness.builder.quantize.levels import CacheLevel, QuantLevel
from harness.estimator.memory import (
    ORT_CPU,
    MemoryBreakdown,
    Runtime,
    peak_memory,
    stored_model_bytes,
)
from harness.estimator.static import StaticLengths, static_prefill, static_step
from harness.estimator.timing import Breakdown, decode_step, in_turn, prefill
from harness.models.specs.structure import ModelStructure
from harness.results.calibration import Constants, RatePoint
from harness.results.enums import Prepack
from harness.results.explanation import WholeCache

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
