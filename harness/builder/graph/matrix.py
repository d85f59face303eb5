"""Nodes that multiply by a stored matrix, look up an embedding and compute logits."""

from dataclasses import dataclass

import numpy as np

from harness.builder.graph.emitter import MICROSOFT, Emitter
from harness.builder.graph.mixture import Mixture
from harness.builder.quantize.levels import CHANNEL_ZERO_POINT, Form, MatrixFormat, QuantLevel
from harness.models.specs.model import ModelSpec
from harness.models.specs.tensors import POSITIONS, SIDE_IN, SIDE_IN_NORM, SIDE_TABLE

EMBEDDING = "model.embed_tokens"
HEAD = "lm_head"


@dataclass(frozen=True, slots=True)
class Matrix:
    """A stored matrix of a layer.

    Attributes:
        name: its arrays are called `name.weight`, or `name.quantized`, `name.scales` and
            `name.zero_points`.
        outputs: width of the product.
        inputs: width of what is multiplied.
        has_bias: whether `name.bias` is added.
        sensitive: whether a mixed level keeps it at more bits.
        sources: the trained matrices it is made of, one below the other; empty: that of its name.
    """

    name: str
    outputs: int
    inputs: int
    has_bias: bool = False
    sensitive: bool = False
    sources: tuple[str, ...] = ()


def multiply(emitter: Emitter, matrix: Matrix, activations: str, level: QuantLevel) -> str:
    """Add the product of `activations` [batch, tokens, inputs] and a matrix of a layer."""
    form = level.body_format(sensitive=matrix.sensitive)
    return _MULTIPLY[form.form](emitter, matrix, activations, form)


def _multiply_float(
    emitter: Emitter, matrix: Matrix, activations: str, _format: MatrixFormat
) -> str:
    """Add MatMul with the [inputs, outputs] array, then the bias as a node of its own."""
    name = matrix.name
    product = emitter.add("MatMul", (activations, f"{name}.weight"), f"{name}.product")
    if not matrix.has_bias:
        return product
    return emitter.add("Add", (product, f"{name}.bias"), f"{name}.sum")


def _multiply_channel(
    emitter: Emitter, matrix: Matrix, activations: str, _format: MatrixFormat
) -> str:
    """Add DynamicQuantizeMatMul, which quantizes the activations of the whole pass together."""
    name = matrix.name
    bias = f"{name}.bias" if matrix.has_bias else ""
    zero = emitter.constant(f"{name}.zero_point", CHANNEL_ZERO_POINT, "uint8")
    inputs = (activations, f"{name}.quantized", f"{name}.scales", zero, bias)
    return emitter.add("DynamicQuantizeMatMul", inputs, f"{name}.product", MICROSOFT)


def _multiply_block(emitter: Emitter, matrix: Matrix, activations: str, form: MatrixFormat) -> str:
    """Add MatMulNBits; no zero points mean the middle value."""
    name, form = matrix.name, form.fitted(matrix.inputs)
    bias = f"{name}.bias" if matrix.has_bias else ""
    zeros = f"{name}.zero_points" if form.zero_points else ""
    return emitter.add(
        "MatMulNBits",
        (activations, f"{name}.quantized", f"{name}.scales", zeros, "", bias),
        f"{name}.product",
        MICROSOFT,
        N=matrix.outputs,
        K=matrix.inputs,
        bits=form.bits,
        block_size=form.block_weights,
        accuracy_level=form.accuracy_level,
    )


_MULTIPLY = {
    Form.FLOAT: _multiply_float,
    Form.CHANNEL: _multiply_channel,
    Form.BLOCK: _multiply_block,
}


def embed(emitter: Emitter, spec: ModelSpec, levels: Mixture) -> str:
    """Add the look-up of `input_ids` [batch, tokens] -> [batch, tokens, hidden].

    Scaled where the architecture says so, and with the rows of learned positions added.
    """
    hidden = spec.hidden_size
    rows = look_up(emitter, levels.of(EMBEDDING), EMBEDDING, hidden, "input_ids", "embedding")
    multiplier = spec.embedding_multiplier * (hidden**0.5 if spec.scaled_embedding else 1.0)
    if multiplier != 1.0:
        dtype = levels.base.float_dtype
        factor = emitter.constant("embedding.factor", multiplier, dtype)
        rows = emitter.add("Mul", (rows, factor), "embedding.scaled")
    if spec.positions == "rotary":
        return rows
    numbers = position_numbers(emitter)
    added = look_up(emitter, levels.of(POSITIONS), POSITIONS, hidden, numbers, "positions")
    return emitter.add("Add", (rows, added), "embedding.placed")


def side_inputs(
    emitter: Emitter, spec: ModelSpec, levels: Mixture, embedded: str
) -> tuple[str, ...]:
    """Add the parts of a second embedding, one a layer, [batch, tokens, width] each.

    Every row is added to what the first embedding gives through a matrix and a norm of each part.
    """
    layers, width, hidden = spec.num_layers, spec.per_layer_width, spec.hidden_size
    wide = layers * width
    matrix = Matrix(SIDE_IN, wide, hidden)
    given = multiply(emitter, matrix, embedded, levels.of(SIDE_IN))
    by_layer = emitter.constant("sides.by_layer", [0, 0, layers, width])
    flat = emitter.constant("sides.flat", [0, 0, wide])
    parts = emitter.add("Reshape", (given, by_layer), "sides.parts")
    norm = emitter.add(
        "SimplifiedLayerNormalization",
        (parts, f"{SIDE_IN_NORM}.weight"),
        "sides.normalised",
        axis=-1,
        epsilon=spec.norm_epsilon,
        stash_type=1,
    )
    given = emitter.add("Reshape", (norm, flat), "sides.given")
    rows = look_up(emitter, levels.of(SIDE_TABLE), SIDE_TABLE, wide, "input_ids", "sides.rows")
    total = emitter.add("Add", (given, rows), "sides.sum")
    sizes = emitter.constant("sides.sizes", [width] * layers)
    names = tuple(f"sides.{layer}" for layer in range(layers))
    emitter.add("Split", (total, sizes), names[0], more_outputs=names[1:], axis=-1)
    return names


def position_numbers(emitter: Emitter) -> str:
    """Add the position of every new token [batch, tokens]: how many seen ones stand before it."""
    axis = emitter.constant("positions.along", 1)
    counted = emitter.add("CumSum", ("attention_mask", axis), "positions.counted")
    step = emitter.constant("positions.step", 1)
    numbers = emitter.add("Sub", (counted, step), "positions.all")
    tokens = emitter.add("Shape", ("input_ids",), "positions.tokens", start=1)
    first = emitter.add("Neg", (tokens,), "positions.first")
    end = emitter.constant("positions.end", [np.iinfo(np.int64).max])
    axes = emitter.constant("positions.axes", [1])
    return emitter.add("Slice", (numbers, first, end, axes), "positions.numbers")


def look_up(
    emitter: Emitter,
    level: QuantLevel,
    name: str,
    hidden_size: int,
    ids: str,
    output: str,
    row_axis: int = 2,
) -> str:
    """Add the look-up of rows of a table.

    A padded table gives padded rows, cut back to the hidden size.

    Args:
        emitter: takes the nodes.
        level: how the table is stored.
        name: of the table's arrays.
        hidden_size: width of a row.
        ids: which rows, of any shape.
        output: name of the rows, [*ids, hidden].
        row_axis: the last axis of the output.
    """
    table = level.table.fitted(hidden_size)
    if table.form is Form.FLOAT:
        return emitter.add("Gather", (f"{name}.weight", ids), output)
    zeros = f"{name}.zero_points" if table.zero_points else ""
    rows = emitter.add(
        "GatherBlockQuantized",
        (f"{name}.rows", ids, f"{name}.scales", zeros),
        f"{output}.padded",
        MICROSOFT,
        bits=table.bits,
        block_size=table.block_weights,
        gather_axis=0,
        quantize_axis=1,
    )
    if table.padded_inputs(hidden_size) == hidden_size:
        return rows
    begin = emitter.constant(f"{output}.begin", [0])
    end = emitter.constant(f"{output}.end", [hidden_size])
    axis = emitter.constant(f"{output}.axis", [row_axis])
    return emitter.add("Slice", (rows, begin, end, axis), output)


def head_logits(
    emitter: Emitter, spec: ModelSpec, level: QuantLevel, hidden: str, every_position: bool
) -> None:
    """Add the head, ending in `logits` float32.

    Args:
        emitter: takes the nodes.
        spec: the architecture.
        level: how the head is stored.
        hidden: normalised [batch, tokens, hidden].
        every_position: logits [batch, tokens, vocab]; else of the last token, [batch, 1, vocab].
    """
    if level.table.form is Form.FLOAT:
        logits = _float_head(emitter, spec, hidden, every_position)
    else:
        if not every_position:
            last = emitter.constant("last.position", [-1])
            hidden = emitter.add("Gather", (hidden, last), "last.hidden", axis=1)
        matrix = Matrix(head_name(spec), spec.vocab_size, spec.hidden_size, spec.head_bias)
        logits = _multiply_block(emitter, matrix, hidden, level.table)
    if level.float_dtype != "float32":
        name = "logits" if spec.logit_softcap is None else "logits.float"
        logits = emitter.add("Cast", (logits,), name, to=1)  # 1 is TensorProto.FLOAT
    if spec.logit_softcap is not None:
        _cap(emitter, logits, spec.logit_softcap)
    emitter.nodes[-1].output[0] = "logits"


def _cap(emitter: Emitter, logits: str, cap: float) -> None:
    """Add cap · tanh(logits / cap)."""
    factor = emitter.constant("logits.cap", cap, "float32")
    share = emitter.add("Div", (logits, factor), "logits.share")
    bent = emitter.add("Tanh", (share,), "logits.bent")
    emitter.add("Mul", (bent, factor), "logits.capped")


def _float_head(emitter: Emitter, spec: ModelSpec, hidden: str, every_position: bool) -> str:
    """Add Gemm with the [vocab, hidden] array as it lies: a tied head needs no second copy."""
    stored = (f"{head_name(spec)}.weight", *([f"{HEAD}.bias"] if spec.head_bias else []))
    if not every_position:
        last = emitter.constant("last.position", -1)
        rows = emitter.add("Gather", (hidden, last), "last.hidden", axis=1)
        flat = emitter.add("Gemm", (rows, *stored), "logits.flat", transB=1)
        axis = emitter.constant("logits.axis", [1])
        return emitter.add("Unsqueeze", (flat, axis), "logits.unsqueezed")
    width = emitter.constant("logits.rows_shape", [-1, spec.hidden_size])
    rows = emitter.add("Reshape", (hidden, width), "logits.rows")
    flat = emitter.add("Gemm", (rows, *stored), "logits.flat", transB=1)
    tokens = emitter.add("Shape", ("input_ids",), "input_ids.shape")
    vocabulary = emitter.constant("logits.vocabulary", [spec.vocab_size])
    shape = emitter.add("Concat", (tokens, vocabulary), "logits.shape", axis=0)
    return emitter.add("Reshape", (flat, shape), "logits.reshaped")


def head_name(spec: ModelSpec) -> str:
    """Return the name of the head's arrays: the embedding's where they are tied."""
    return EMBEDDING if spec.tied_embeddings else HEAD
