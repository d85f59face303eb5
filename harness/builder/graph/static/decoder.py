"""Builds a static decoder: graphs of fixed shapes over one data file."""

from pathlib import Path

import onnx
from onnx import helper

from harness.builder.graph.assembly import assemble
from harness.builder.graph.datafile import ELEMENT_TYPES, DataFile, initializer
from harness.builder.graph.matrix import EMBEDDING, HEAD
from harness.builder.graph.rules import DATA_FILE
from harness.builder.graph.static.block import (
    PROBABILITY,
    SIGMOID,
    Norm,
    Shared,
    Turn,
    add_layer,
    add_norm,
)
from harness.builder.graph.static.emitter import Observed, Ranges, StaticEmitter
from harness.builder.graph.static.geometry import (
    ALL_POSITIONS_FILE,
    HIDDEN,
    PREFILL_FILE,
    STEP_FILE,
    StaticGeometry,
)
from harness.builder.graph.static.rotary import COSINES, SINES, TURN, rotary_pieces, rotary_views
from harness.builder.graph.storage import plan_storage
from harness.builder.graph.stream import stream_weights
from harness.builder.quantize.fixed_point import Range
from harness.builder.quantize.levels import QuantLevel
from harness.models.specs.model import ModelSpec
from harness.models.weights.store import WeightStore

_OPSETS = {Norm.OPERATOR: 23, Norm.PARTS: 21}  # 21: the first whose grids have 16 bits
_MASK = "attention_mask"


def write_static_decoder(
    spec: ModelSpec,
    level: QuantLevel,
    weights: WeightStore,
    folder: Path,
    geometry: StaticGeometry,
    ranges: Ranges,
    norm: Norm = Norm.OPERATOR,
) -> None:
    """Write three graphs and their data into `folder`, which exists.

    Args:
        spec: the architecture.
        level: a static one.
        weights: the trained tensors.
        folder: receives the files.
        geometry: the fixed shapes.
        ranges: of every grid; none at a float level.
        norm: how norms are written.

    Raises:
        ModelError: a weight is not finite.
        OSError: the files cannot be written.
    """
    with DataFile(folder / DATA_FILE) as file:
        stream_weights(file, plan_storage(spec, level), weights, ranges)
        end_bytes = [0, 0]
        regions = [view.region for view in rotary_views(spec, level, geometry)]
        for pieces in rotary_pieces(spec, level, geometry):
            for number, piece in enumerate(pieces):
                end_bytes[number] = file.write(regions[number], piece, end_bytes[number])
    for name in (STEP_FILE, PREFILL_FILE, ALL_POSITIONS_FILE):
        model, _observed = static_model(spec, level, geometry, ranges, name, norm)
        (folder / name).write_bytes(model.SerializeToString())


def static_model(
    spec: ModelSpec,
    level: QuantLevel,
    geometry: StaticGeometry,
    ranges: Ranges,
    file: str,
    norm: Norm = Norm.OPERATOR,
) -> tuple[onnx.ModelProto, list[Observed]]:
    """Return one of the three graphs, and the tensors whose ranges are not known yet."""
    tokens = 1 if file == STEP_FILE else geometry.prefill_tokens
    emitter = StaticEmitter(level, {**_known_ranges(level, spec), **ranges})
    shared = _shared(emitter, spec, geometry, tokens, norm)
    residual = emitter.look_up(EMBEDDING, "input_ids", level.table, "embedding")
    for layer in range(spec.num_layers):
        residual = add_layer(emitter, spec, level, layer, residual, shared)
    hidden = add_norm(emitter, spec, residual, "model.norm", norm)
    if file == PREFILL_FILE:
        hidden = emitter.move("Gather", (hidden, "last_position"), "last.hidden", axis=0)
    head, form = (EMBEDDING, level.table) if spec.tied_embeddings else (HEAD, level.head)
    emitter.compute("Gemm", (hidden, emitter.matrix(head, form)), "logits", transB=1)
    inputs, outputs = _ports(geometry, tokens, file)
    views = [view for weight in plan_storage(spec, level) for view in weight.views]
    views += rotary_views(spec, level, geometry)
    weights = [initializer(view, DATA_FILE) for view in views]
    opsets = (("", _OPSETS[norm]),)
    model = assemble(emitter, spec.name, weights, inputs, outputs, opsets)
    return model, emitter.observed


def _known_ranges(level: QuantLevel, spec: ModelSpec) -> dict[str, Range]:
    """Return the ranges that follow from the operators alone.

    Sigmoid: its steps are 2^-bits, as Qualcomm's operator wants them.
    """
    steps = 2.0 ** (8 * level.float_bytes)
    scale = spec.head_dim**-0.5
    return {
        SIGMOID: Range(0.0, 1 - 1 / steps),
        PROBABILITY: Range(0.0, 1.0),
        _MASK: Range(HIDDEN, 0.0),
        COSINES: TURN,
        SINES: TURN,
        f"{COSINES}.query": Range(-scale, scale),
        f"{SINES}.query": Range(-scale, scale),
    }


def _shared(
    emitter: StaticEmitter, spec: ModelSpec, geometry: StaticGeometry, tokens: int, norm: Norm
) -> Shared:
    """Add what every layer reads: the mask, and the turns of the new positions."""
    mask = emitter.floats(_MASK)
    scale = emitter.scalar("query.scale", spec.head_dim**-0.5)
    tables, scaled = [], []
    for name in (COSINES, SINES):
        rows = (emitter.vector(name), "positions")
        tables.append(emitter.move("Gather", rows, f"{name}.rows", axis=0))
        scaled.append(emitter.compute("Mul", (tables[-1], scale), f"{name}.query"))
    return Shared(tokens, geometry.capacity_tokens, mask, Turn(*scaled), Turn(*tables), norm)


def _ports(
    geometry: StaticGeometry, tokens: int, file: str
) -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
    """Return the graph's inputs and outputs; no dimension has a name instead of a number."""
    integers, floats = onnx.TensorProto.INT32, onnx.TensorProto.FLOAT
    cache = ELEMENT_TYPES[geometry.kv_dtype]
    port = helper.make_tensor_value_info
    keys = geometry.capacity_tokens + tokens
    inputs = [port(name, integers, [tokens]) for name in ("input_ids", "positions")]
    inputs.append(port(_MASK, floats, [tokens, keys]))
    rows = tokens
    if file == PREFILL_FILE:
        inputs.append(port("last_position", integers, [1]))
        rows = 1
    outputs = [port("logits", floats, [rows, geometry.vocab_size])]
    heads, width = geometry.num_kv_heads, geometry.head_dim
    for layer in range(geometry.num_layers):
        inputs.append(port(f"past_keys.{layer}", cache, geometry.key_shape))
        inputs.append(port(f"past_values.{layer}", cache, geometry.value_shape))
        outputs.append(port(f"new_keys.{layer}", cache, [heads, tokens, width]))
        outputs.append(port(f"new_values.{layer}", cache, [tokens, heads * width]))
    return inputs, outputs
