"""Peak memory of a model, term by term, before it is loaded."""

from dataclasses import dataclass

from harness.builder.quantize.cache import CacheLevel, own_cache
from harness.builder.quantize.levels import Form, QuantLevel
from harness.estimator.held import (
    ORT_CPU,
    SCALE_BYTES,
    Runtime,
    kept_copy_bytes,
    piece_format,
    row_bytes,
    stored_copy_bytes,
)
from harness.models.specs.model import ModelSpec
from harness.models.specs.structure import ModelStructure, ParameterGroup, Role, Stage

# Touching one byte of a mapped file brings in the pages around it: Linux's fault_around_bytes.
FAULT_AROUND_BYTES = 65_536
SCORE_BYTES = 4  # attention scores are float32 whatever the cache is


@dataclass(frozen=True, slots=True)
class MemoryTerm:
    """One part of the memory a model needs.

    Attributes:
        name: for people.
        resident_bytes: that it keeps at the peak.
    """

    name: str
    resident_bytes: float


@dataclass(frozen=True, slots=True)
class MemoryBreakdown:
    """The estimated peak and its parts.

    Attributes:
        terms: largest parts first.
        runtime: whose habits they follow.
    """

    terms: tuple[MemoryTerm, ...]
    runtime: str

    @property
    def peak_bytes(self) -> float:
        """The sum of the parts."""
        return sum(term.resident_bytes for term in self.terms)

    def part_bytes(self, name: str) -> float:
        """Bytes of one part; 0 where the model has none."""
        return sum(term.resident_bytes for term in self.terms if term.name == name)


def peak_memory(
    model: ModelStructure,
    level: QuantLevel,
    *,
    prompt_tokens: int,
    depth_tokens: int = 0,
    gen_tokens: int = 0,
    batch: int = 1,
    runtime: Runtime = ORT_CPU,
    cache: CacheLevel | None = None,
) -> MemoryBreakdown:
    """Estimate the peak resident memory of a process that runs one model.

        runtime + weights as held + mapped file + rotary tables
        + max(what loading takes for a moment, cache + activations · (1 + slack) + rows looked up)

    The cache, of the level's float type where none is given, is allocated for depth + prompt + gen
    and written below that. All experts are held.
    Activations are those of the widest moment of a layer, for all prompt tokens at once.
    Source: resident, anonymous and mapped memory of onnxruntime 1.31.1 after load and after a pass,
    of two models at four levels.
    """
    tokens = model.encoder_tokens or prompt_tokens
    sequence = depth_tokens + prompt_tokens + gen_tokens
    activations = _activation_bytes(model, level, runtime, tokens, depth_tokens + tokens, batch)
    cache_bytes = _cache_bytes(model, cache or own_cache(level), sequence, tokens) * batch
    running = [
        MemoryTerm("cache", float(cache_bytes)),
        MemoryTerm("activations", activations),
        MemoryTerm("arena slack", activations * runtime.arena_slack),
        MemoryTerm("rows looked up", _looked_up_bytes(model, level, runtime, tokens * batch)),
    ]
    loading = _loading_bytes(model, level, runtime) - sum(t.resident_bytes for t in running)
    terms = [
        MemoryTerm("weights as held", _weights_bytes(model, level, runtime)),
        MemoryTerm("mapped file", _mapped_bytes(model, level, runtime)),
        MemoryTerm("rotary tables", _rotary_bytes(model, level)),
        *running,
        MemoryTerm("loading, beyond the run", max(0.0, loading)),
        MemoryTerm("runtime", float(runtime.base_bytes)),
    ]
    kept = sorted((t for t in terms if t.resident_bytes), key=lambda t: -t.resident_bytes)
    return MemoryBreakdown(tuple(kept), runtime.name)


def _weights_bytes(model: ModelStructure, level: QuantLevel, runtime: Runtime) -> float:
    """Bytes of every matrix and vector as the kernels keep them; tables lie mapped where apart."""
    return sum(
        kept_copy_bytes(piece, level, runtime) * piece.copies
        for piece in model.pieces
        if not (runtime.prepacks and piece.role is Role.TABLE)
    )


def _mapped_bytes(model: ModelStructure, level: QuantLevel, runtime: Runtime) -> float:
    """Bytes of the data file that stay resident beside prepacked copies.

    Of blocks the scales of every matrix, which prepacking copies but does not release; of a float
    table that is also the head, all of it.
    """
    if not runtime.prepacks:
        return 0.0
    return float(sum(_mapped_copy_bytes(p, level) * p.copies for p in model.pieces))


def _mapped_copy_bytes(piece: ParameterGroup, level: QuantLevel) -> int:
    """Resident bytes of one mapped original after load."""
    form = piece_format(piece, level)
    if form is None or piece.role is Role.TABLE:
        return 0
    if form.form is Form.BLOCK:
        return SCALE_BYTES * piece.outputs * form.blocks(piece.inputs)
    whole = form.form is Form.FLOAT and piece.role is Role.TIED
    return stored_copy_bytes(piece, level) if whole else 0


def _looked_up_bytes(
    model: ModelStructure, level: QuantLevel, runtime: Runtime, tokens: int
) -> float:
    """Bytes of mapped tables that looking up so many rows brings in.

    A float table that is also the head is there already.
    """
    if not runtime.prepacks:
        return 0.0
    return sum(
        min(float(stored_copy_bytes(p, level)), tokens * (row_bytes(p, level) + FAULT_AROUND_BYTES))
        for p in model.pieces
        if p.role is Role.TABLE or (p.role is Role.TIED and level.table.form is not Form.FLOAT)
    )


def _loading_bytes(model: ModelStructure, level: QuantLevel, runtime: Runtime) -> float:
    """Bytes beside the prepacked copies while the largest matrix is prepacked: its original."""
    if not runtime.prepacks:
        return 0.0
    originals = [
        stored_copy_bytes(piece, level) - _mapped_copy_bytes(piece, level)
        for piece in model.pieces
        if piece.role not in (Role.VECTOR, Role.TABLE)
    ]
    return float(max(originals, default=0))


def _rotary_bytes(model: ModelStructure, level: QuantLevel) -> float:
    """Bytes of cosines and sines [context, rotated values / 2], folded into constants at load.

    Twice where layers with a window have a base of their own; nothing where positions are learned.
    """
    if not isinstance(model.spec, ModelSpec):  # an encoder's positions are a table
        return 0.0
    spec = model.spec
    tables = 1 if spec.local_rope_theta is None else 2
    return float(tables * spec.rotary_context_tokens * spec.turned_dim * level.float_bytes)


def _cache_bytes(
    model: ModelStructure, cache: CacheLevel, sequence: int, encoder_tokens: int
) -> int:
    """Bytes of the cache of one sequence, keys and values of an encoder's output included."""
    crossed = sum(a.cached_values_per_token for a in model.attention if a.to_encoder)
    return cache.stored_bytes(model.kv_values_per_token * sequence + crossed * encoder_tokens)


def _activation_bytes(
    model: ModelStructure, level: QuantLevel, runtime: Runtime, tokens: int, seen: int, batch: int
) -> float:
    """Bytes of the widest moment of a layer: the gated block, or attention with its scores.

    Three arrays as wide as the block, or query, key, value, output and, where masked positions
    are multiplied, one score per query head and position; with two of the residual stream, and
    the logits of the last token.
    """
    wide, hidden = model.intermediate_size, model.hidden_size
    attention = max(
        (2 * a.heads * a.head_dim + 2 * a.kv_heads * a.head_dim) for a in model.attention
    )
    heads = max(a.heads for a in model.attention) if runtime.cache_per_query_head else 0
    scores = heads * tokens * seen * SCORE_BYTES
    block_bytes = 3 * wide * tokens * level.float_bytes
    attention_bytes = attention * tokens * level.float_bytes + scores
    decoding = any(a.stage is Stage.DECODER for a in model.attention)
    logits = model.vocab_size * SCORE_BYTES if decoding else 0
    residual = 2 * hidden * tokens * level.float_bytes
    return float(batch * (max(block_bytes, attention_bytes) + residual + logits))
