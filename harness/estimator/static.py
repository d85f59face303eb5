"""What the passes of a static decoder have to do, and how long reading alone would take.

    time of a step = bytes read and written / bandwidth + operators · time of a call

A static graph reads its whole cache in every pass, whatever is in it, once per key head, and
computes every pair of its fixed shapes. Its products have no calibrated rates: a prompt, which
they bound, has no estimate of time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from harness.builder.quantize.levels import QuantLevel, own_cache
from harness.estimator.calibration.constants import (
    CHOICE,
    OPERATOR_CALL,
    attention_name,
    kernel_name,
)
from harness.estimator.memory import group_format, row_bytes, stored_copy_bytes
from harness.estimator.timing import Breakdown, timed
from harness.estimator.work import LOGIT_BYTES, STREAM, Work
from harness.models.specs.model import ModelSpec
from harness.models.specs.structure import ModelStructure, Role
from harness.results.calibration import Constants

# Nodes of the float graph; what quantizes and dequantizes between them is left to the provider,
# which makes one operator of both and the node between. A test counts them.
AROUND_NODES = 7  # embedding, four for the turns, last norm, head
LAYER_NODES = 46
BIAS_NODES, HEAD_NORM_NODES = 3, 2  # of one layer
MASK_BYTES = 4  # of one pair of positions


@dataclass(frozen=True, slots=True)
class StaticLengths:
    """The shapes that a static decoder was built for.

    Attributes:
        prefill_tokens: read at once by its prefill graph.
        capacity_tokens: positions of its cache.
    """

    prefill_tokens: int
    capacity_tokens: int


def static_step(
    model: ModelStructure, level: QuantLevel, constants: Constants, shapes: StaticLengths
) -> Breakdown:
    """Estimate one decode step, the same at every depth."""
    return timed("decode step", _pass(model, level, shapes, 1), constants)


def static_prefill(
    model: ModelStructure,
    level: QuantLevel,
    constants: Constants,
    shapes: StaticLengths,
    prompt_tokens: int,
) -> Breakdown:
    """Estimate the passes over a prompt: whole ones, the last one padded; one token is a step."""
    passes, rest = divmod(prompt_tokens, shapes.prefill_tokens)
    whole = passes + (rest > 1)
    useful = (prompt_tokens - (rest == 1)) / max(1, whole * shapes.prefill_tokens)
    work = [
        _times(term, whole, useful) for term in _pass(model, level, shapes, shapes.prefill_tokens)
    ]
    steps = _pass(model, level, shapes, 1) if rest == 1 else ()
    return timed("prefill", [*(work if whole else ()), *steps], constants)


def static_operator_calls(spec: ModelSpec) -> int:
    """Nodes of the step graph at a float level: 7 around, 46 a layer; 3 biases, 2 head norms."""
    layer = LAYER_NODES + (BIAS_NODES if spec.qkv_bias else 0)
    layer += HEAD_NORM_NODES if spec.qk_norm != "none" else 0
    return AROUND_NODES + spec.num_layers * layer


def _times(term: Work, passes: int, useful: float) -> Work:
    """The same term in so many passes, of whose flop a share is of no padding."""
    return replace(
        term,
        read_bytes=term.read_bytes * passes,
        flop=term.flop * passes,
        useful_flop=term.useful_flop * passes * useful,
        calls=term.calls * passes,
    )


def _pass(
    model: ModelStructure, level: QuantLevel, shapes: StaticLengths, tokens: int
) -> tuple[Work, ...]:
    """Every term of one pass of a graph of so many tokens; only the last one meets the head."""
    assert isinstance(model.spec, ModelSpec)  # only decoders of ours are built so
    calls = static_operator_calls(model.spec) + (tokens > 1)  # the last token is picked
    logits = float(model.vocab_size * LOGIT_BYTES)
    return (
        *_matrices(model, level, tokens),
        Work("look-ups and vectors", STREAM, tokens, _looked_up(model, level, tokens)),
        *_attention(model, level, shapes, tokens),
        Work("choice of a token", CHOICE, 1, logits),
        Work("operator calls", OPERATOR_CALL, tokens, calls=float(calls)),
    )


def _matrices(model: ModelStructure, level: QuantLevel, tokens: int) -> Iterator[Work]:
    """The body and the head, each as stored: no provider's own copy is assumed."""
    for name, roles, rows, form in (
        ("body", (Role.BODY,), tokens, level.body),
        ("head", (Role.HEAD, Role.TIED), 1, level.head),
    ):
        groups = [group for group in model.groups if group.role in roles]
        read = sum(stored_copy_bytes(group, level) * group.copies for group in groups)
        flop = sum(2.0 * group.outputs * group.inputs * group.copies for group in groups) * rows
        yield Work(name, kernel_name(form), rows, float(read), flop, flop)


def _looked_up(model: ModelStructure, level: QuantLevel, tokens: int) -> float:
    """Bytes of the embedding's rows and of every vector."""
    tables = [group for group in model.groups if group.role in (Role.TABLE, Role.TIED)]
    vectors = [group for group in model.groups if group_format(group, level) is None]
    rows = sum(row_bytes(group, level) * tokens for group in tables)
    return rows + sum(stored_copy_bytes(group, level) * group.copies for group in vectors)


def _attention(
    model: ModelStructure, level: QuantLevel, shapes: StaticLengths, tokens: int
) -> Iterator[Work]:
    """Scores and values over the whole cache and the new tokens, and what the caller writes.

    read bytes = 2 · layers · key heads · d · capacity · bits of a cached value / 8
    flop       = 4 · layers · query heads · d · tokens · (capacity + tokens)

    New keys and values are written by the graph, then read and written into the cache.
    """
    cache, seen = own_cache(level), shapes.capacity_tokens + tokens
    values = model.kv_values_per_token
    heads = sum(a.layers * a.heads * a.head_dim for a in model.attention)
    flop = 4.0 * heads * tokens * seen
    read = float(cache.stored_bytes(values * shapes.capacity_tokens))
    yield Work("attention", attention_name(cache), tokens, read, flop, flop)
    yield Work("mask", STREAM, tokens, float(MASK_BYTES * tokens * seen))
    yield Work("cache written", STREAM, tokens, 3.0 * cache.stored_bytes(values * tokens))
