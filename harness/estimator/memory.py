"""Bytes of a model before it is loaded: as stored, as kernels hold them, and the peak, by term."""

from dataclasses import dataclass
from itertools import chain, repeat
from math import expm1, fsum

from harness.builder.graph.geometry import longest_context
from harness.builder.quantize.layout import StoredArray, body_arrays, slice_rows, table_arrays
from harness.builder.quantize.levels import CacheLevel, Form, MatrixFormat, QuantLevel, own_cache
from harness.core.units import MIB
from harness.estimator.activations import REGION_SHARE, Shape, activation_bytes, score_bytes
from harness.models.specs.model import ModelSpec
from harness.models.specs.structure import ModelStructure, ParameterGroup, Role
from harness.results.enums import Prepack

BLOCK_SUM_BYTES = 4  # one float32 per block, kept beside the packed bytes
# What prepacked copies take beyond what is read: alignment of the block sums, per block; padding
# and column sums of a matrix with one scale per channel, as a share of its bytes.
# Source: anonymous memory after load, two models, onnxruntime 1.31.1 on x86.
BLOCK_PADDING_BYTES = 1.2
CHANNEL_PADDING = 0.04


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a runtime does with weights, cache and memory.

    Attributes:
        name: for a table.
        prepacks: keeps its own copy of each matrix, with block sums, and multiplies float16 in
            float32; of the mapped file scales and looked-up tables stay resident.
        cache_per_query_head: attention reads keys and values once per query head, not once per
            key head, and multiplies masked positions too.
        base_bytes: resident before a model is loaded, plus what a session needs of any model.
        arena_slack: share of the activations that the allocator keeps on top.
        source: where these come from.
        packing: when copies of weights are made, where it prepacks.
        packing_threads: that make them side by side, unless `packing` is off.
    """

    name: str
    prepacks: bool
    cache_per_query_head: bool
    base_bytes: int
    arena_slack: float
    source: str
    packing: str = Prepack.OFF
    packing_threads: int = 1


ORT_CPU = Runtime(
    "ONNX Runtime on the CPU",
    prepacks=True,
    cache_per_query_head=True,
    base_bytes=70 * MIB,
    arena_slack=REGION_SHARE,
    source="measured with onnxruntime 1.32.0 on x86: 54 to 60 MiB after imports, 12 MiB a session;"
    " the arena writes 8 bytes per 256 of its regions",
)
ANY_ENGINE = Runtime(
    "weights as stored, each read once",
    prepacks=False,
    cache_per_query_head=False,
    base_bytes=200 * MIB,
    arena_slack=0.5,
    source="assumed: the least any engine must read; driver and runtime take some 200 MiB",
)


def group_format(group: ParameterGroup, level: QuantLevel) -> MatrixFormat | None:
    """Format of a group at a level; None for vectors, and for what is not stored."""
    if group.role in (Role.VECTOR, Role.UNUSED):
        return None
    if group.role in (Role.BODY, Role.POOLED):
        return level.body_format(sensitive=group.sensitive).fitted(group.inputs)
    return (level.head if group.role is Role.HEAD else level.table).fitted(group.inputs)


def stored_copy_bytes(group: ParameterGroup, level: QuantLevel) -> int:
    """Bytes of one copy of a group in the data file, scales and padding included."""
    return sum(array.size_bytes for array in _arrays(group, level))


def held_copy_bytes(group: ParameterGroup, level: QuantLevel, runtime: Runtime) -> int:
    """Bytes of one copy as the kernel reads it.

    A runtime that prepacks adds one float32 sum per block where the kernel multiplies in int8
    (accuracy level 4), and widens float16 to float32.
    Source: resident memory after load and decode rates of ONNX Runtime 1.31.1 on x86: 4 bytes per
    weight for fp32 and fp16, 1 for int8, 0.75 for int4 and 1.25 for int8 in blocks of 32.
    """
    stored = stored_copy_bytes(group, level)
    form = group_format(group, level)
    if not runtime.prepacks or form is None:
        return stored
    if form.form is Form.BLOCK and form.accuracy_level == 4:
        return stored + group.outputs * form.blocks(group.inputs) * BLOCK_SUM_BYTES
    if form.form is Form.FLOAT:
        return 4 * group.outputs * group.inputs
    return stored


def kept_copy_bytes(group: ParameterGroup, level: QuantLevel, runtime: Runtime) -> float:
    """Bytes that one copy of a group keeps allocated: what is read, and padding beside it."""
    held, form = held_copy_bytes(group, level, runtime), group_format(group, level)
    if not runtime.prepacks or form is None:
        return float(held)
    if form.form is Form.BLOCK:
        return held + BLOCK_PADDING_BYTES * group.outputs * form.blocks(group.inputs)
    return held * (1 + CHANNEL_PADDING) if form.form is Form.CHANNEL else float(held)


def row_bytes(group: ParameterGroup, level: QuantLevel) -> float:
    """Bytes that looking up one row of a table reads."""
    return stored_copy_bytes(group, level) / group.outputs


def stored_model_bytes(model: ModelStructure, level: QuantLevel) -> int:
    """Bytes of every weight in the data file; a tied table once, every expert."""
    return sum(stored_copy_bytes(group, level) * group.copies for group in model.groups)


def _arrays(group: ParameterGroup, level: QuantLevel) -> tuple[StoredArray, ...]:
    """Arrays of one copy of a group."""
    if group.role is Role.UNUSED:
        return ()
    if group.role is Role.VECTOR:
        return (StoredArray("weight", level.activation_dtype, (group.outputs * group.inputs,)),)
    if group.role in (Role.BODY, Role.POOLED):
        return body_arrays(group.outputs, group.inputs, level, sensitive=group.sensitive)
    is_head = group.role is Role.HEAD
    return table_arrays(group.outputs, group.inputs, level, is_head=is_head)


# Touching one byte of a mapped file brings in the pages around it: Linux's fault_around_bytes.
FAULT_AROUND_BYTES = 65_536
LOGIT_BYTES = 4
HEADS = (Role.HEAD, Role.TIED)
FILL_TOKENS = 256  # a depth that states remember is read in chunks of so many


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
        return fsum(term.resident_bytes for term in self.terms)

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
    capacity_tokens: int = 0,
    batch: int = 1,
    runtime: Runtime = ORT_CPU,
    cache: CacheLevel | None = None,
    written_out: int = 0,
) -> MemoryBreakdown:
    """Estimate the peak resident memory of a process that runs one model.

        runtime + weights as held + mapped file + rotary tables
        + max(what loading takes for a moment,
              cache + (activations + scores) · (1 + slack) + rows looked up)

    The cache, of the level's float type where none is given, is allocated for depth + prompt + gen,
    or for `capacity_tokens` if that is more, and written below that. All experts are held.
    Activations: see harness.estimator.activations; `written_out` says how many matrices of all
    scores attention holds where it is made of MatMul and Softmax; 0: it is one operator.
    Source: resident, anonymous and mapped memory of onnxruntime after load and after a pass
    (1.31.1, two models at four levels; 1.32.0, benchmarks/memory_peaks.py).
    """
    tokens = model.encoder_tokens or prompt_tokens
    sequence = max(capacity_tokens, depth_tokens + prompt_tokens + gen_tokens)
    shape = _widest_pass(model, tokens, depth_tokens, gen_tokens, batch)
    activations = activation_bytes(model, level, shape)
    scores = 0.0
    if runtime.prepacks:
        scores = score_bytes(model, shape, written_out=written_out)
    slices = _head_slices(model, level, runtime)
    logits = LOGIT_BYTES * model.vocab_size * batch if model.decodes else 0
    logits += logits if slices > 1 else 0  # in parts, and joined
    kept = cache or own_cache(level)
    cache_bytes = _cache_bytes(model, kept, sequence, tokens) * batch
    running = [
        MemoryTerm("cache", float(cache_bytes)),
        MemoryTerm("states", float(model.state_bytes * batch)),
        MemoryTerm("second caches", float(_unread_bytes(model, kept, sequence) * batch)),
        MemoryTerm("activations", activations + logits),
        MemoryTerm("score matrices", scores),
        MemoryTerm("planned again", activations if _repeats(model, depth_tokens) else 0.0),
        MemoryTerm("arena slack", (activations + scores) * runtime.arena_slack),
        MemoryTerm("rows looked up", _looked_up_bytes(model, level, runtime, tokens * batch)),
    ]
    loading = _loading_bytes(model, level, runtime) - sum(t.resident_bytes for t in running)
    terms = [
        MemoryTerm("weights as held", _weights_bytes(model, level, runtime)),
        MemoryTerm("mapped file", _mapped_bytes(model, level, runtime)),
        MemoryTerm("rotary tables", _rotary_bytes(model, level, runtime)),
        *running,
        MemoryTerm("loading, beyond the run", max(0.0, loading)),
        MemoryTerm("runtime", float(runtime.base_bytes)),
    ]
    present = sorted((t for t in terms if t.resident_bytes), key=lambda t: -t.resident_bytes)
    return MemoryBreakdown(tuple(present), runtime.name)


def _weights_bytes(model: ModelStructure, level: QuantLevel, runtime: Runtime) -> float:
    """Bytes of every matrix and vector as the kernels keep them; tables lie mapped where apart."""
    return sum(
        kept_copy_bytes(group, level, runtime) * group.copies
        for group in model.groups
        if not (runtime.prepacks and group.role is Role.TABLE)
    )


def _mapped_bytes(model: ModelStructure, level: QuantLevel, runtime: Runtime) -> float:
    """Bytes of the data file that stay resident beside prepacked copies.

    Of blocks the scales of every matrix, which prepacking copies but does not release; of a float
    table that is also the head, all of it, unless the head reads slices of its own.
    """
    if not runtime.prepacks:
        return 0.0
    sliced = _head_slices(model, level, runtime) > 1
    return float(sum(_mapped_copy_bytes(p, level, sliced=sliced) * p.copies for p in model.groups))


def _mapped_copy_bytes(group: ParameterGroup, level: QuantLevel, *, sliced: bool) -> int:
    """Resident bytes of one mapped original after load."""
    form = group_format(group, level)
    if form is None or group.role is Role.TABLE:
        return 0
    if form.form is Form.BLOCK:
        return form.scale_bytes * group.outputs * form.blocks(group.inputs)
    whole = form.form is Form.FLOAT and group.role is Role.TIED and not sliced
    return stored_copy_bytes(group, level) if whole else 0


def _looked_up_bytes(
    model: ModelStructure, level: QuantLevel, runtime: Runtime, tokens: int
) -> float:
    """Bytes of mapped tables that looking up so many rows brings in.

    A float table that is also the head is there already, unless the head reads slices of its own.
    """
    if not runtime.prepacks:
        return 0.0
    apart = level.table.form is not Form.FLOAT or _head_slices(model, level, runtime) > 1
    return sum(
        _touched_bytes(float(stored_copy_bytes(p, level)), row_bytes(p, level), tokens)
        for p in model.groups
        if p.role is Role.TABLE or (p.role is Role.TIED and apart)
    )


def _touched_bytes(table_bytes: float, one_row_bytes: float, rows: int) -> float:
    """Bytes of a mapped table that so many rows, drawn evenly, bring in.

    table · (1 − e^(−rows · (row + 64 KiB) / table)): what is brought in twice counts once
    """
    return -table_bytes * expm1(-rows * (one_row_bytes + FAULT_AROUND_BYTES) / table_bytes)


def _loading_bytes(model: ModelStructure, level: QuantLevel, runtime: Runtime) -> float:
    """Bytes beside the prepacked copies at the worst moment of a load.

    The original of the largest matrix; where threads make copies side by side those of all of
    them. Saved copies are made once more for their hash: also a new copy for each thread, of the
    largest matrices and slices of the head.
    Source: onnxruntime 1.32.0 on x86. smollm2-135m at int4 and fp32 on all threads: 64 and 405 MiB
    beside the copies, 65 and 405 by this sum; saved copies: tests/estimator/test_memory_prepack.py.
    """
    if not runtime.prepacks:
        return 0.0
    slices = _head_slices(model, level, runtime)
    packed = [group for group in model.groups if group.role not in (Role.VECTOR, Role.TABLE)]
    originals = [
        float(stored_copy_bytes(group, level) - _mapped_copy_bytes(group, level, sliced=slices > 1))
        for group in packed
    ]
    parts = [slices if group.role in HEADS else 1 for group in packed]
    anew = [
        kept_copy_bytes(group, level, runtime) / part if runtime.packing == Prepack.ON else 0.0
        for group, part in zip(packed, parts, strict=True)
    ]
    if runtime.packing != Prepack.OFF and runtime.packing_threads > 1:
        whole = sum(one * group.copies for one, group in zip(originals, packed, strict=True))
        counts = [group.copies * part for group, part in zip(packed, parts, strict=True)]
        copies = chain.from_iterable(map(repeat, anew, counts))
        return whole + sum(sorted(copies, reverse=True)[: runtime.packing_threads])
    each = zip(originals, parts, anew, strict=True)
    return max((one / part + copy for one, part, copy in each), default=0.0)


def _head_slices(model: ModelStructure, level: QuantLevel, runtime: Runtime) -> int:
    """Products that the head is taken in: one, unless kernels' copies are saved."""
    head = next((group for group in model.groups if group.role in HEADS), None)
    if head is None or runtime.packing != Prepack.ON:
        return 1
    body = (group for group in model.groups if group.role is Role.BODY)
    largest = max((_arrays(group, level)[0].size_bytes for group in body), default=0)
    rows = slice_rows(head.outputs, _arrays(head, level)[0].size_bytes, largest)
    return -(-head.outputs // rows)


def _rotary_bytes(model: ModelStructure, level: QuantLevel, runtime: Runtime) -> float:
    """Bytes of cosines and sines [context, rotated values / 2], folded into constants at load.

    Twice where layers with a window have a base of their own, or once for each base of a layer;
    nothing where positions are learned or no layer turns by them. The context is the one that a
    graph is built for. With copies of weights the tables are saved as well, and mapped by row.
    """
    spec = model.spec
    if runtime.packing == Prepack.ON:
        return 0.0
    if not isinstance(spec, ModelSpec):  # an encoder's positions are a table
        return 0.0
    if not any(layer.attends and layer.rotary for layer in spec.layers):
        return 0.0
    tables = 1 if spec.local_rope_theta is None else 2
    tables = len(set(spec.layer_thetas) - {0.0}) or tables
    return float(tables * longest_context(spec) * spec.rotated_dim * level.float_bytes)


def _cache_bytes(
    model: ModelStructure, cache: CacheLevel, sequence: int, encoder_tokens: int
) -> int:
    """Bytes of the cache of one sequence, keys and values of an encoder's output included."""
    crossed = sum(a.cached_values_per_token for a in model.attention if a.to_encoder)
    return cache.stored_bytes(model.cached_values(sequence) + crossed * encoder_tokens)


def _unread_bytes(model: ModelStructure, cache: CacheLevel, sequence: int) -> int:
    """Bytes of the keys and values that layers without a cache of their own write for nobody.

    GroupQueryAttention writes what it has read into outputs that it must have (see
    harness.builder.graph.attention); one pair of each width serves all layers.
    """
    widths = {one.kv_heads * one.head_dim for one in model.attention if not one.owns_cache}
    return cache.stored_bytes(2 * sum(widths) * sequence)


def _repeats(model: ModelStructure, depth_tokens: int) -> bool:
    """Whether a depth is filled by chunks of one length.

    From the second pass of equal shapes on ONNX Runtime lays its arrays out in one block more, and
    the arena keeps what the first pass took (seen with onnxruntime 1.32.0).
    """
    return bool(model.state_bytes) and depth_tokens >= 2 * FILL_TOKENS


def _widest_pass(
    model: ModelStructure, tokens: int, depth_tokens: int, gen_tokens: int, batch: int
) -> Shape:
    """The pass that takes most: the prompt, or where states are filled a chunk of the depth.

    A batch reads on from a filled cache one sequence after the other.
    """
    seen, rows = depth_tokens + tokens, batch if depth_tokens == 0 or tokens == 1 else 1
    if model.state_bytes:
        filled = min(FILL_TOKENS, depth_tokens + gen_tokens + tokens)
        if filled * batch > tokens * rows:
            return Shape(filled, seen, batch)
    return Shape(tokens, seen, rows)
