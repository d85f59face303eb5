"""From nodes to a model: initializers over the data file, operator sets, and the file itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from onnx import helper

from harness.builder.graph.datafile import DataFile, initializer
from harness.builder.graph.emitter import MICROSOFT, Emitter
from harness.builder.graph.rules import BUILDER_VERSION, DATA_FILE
from harness.builder.graph.storage import plan_storage
from harness.builder.graph.stream import stream_weights
from harness.builder.quantize.compensate import Shares
from harness.builder.quantize.fixed_point import Range
from harness.builder.quantize.levels import QuantLevel
from harness.models.specs.model import AnySpec
from harness.models.weights.store import WeightStore

_OPSETS = (("", 21), (MICROSOFT, 1))
_IR_VERSION = 10

Ports = Sequence[onnx.ValueInfoProto]


def write_weights(
    spec: AnySpec,
    level: QuantLevel,
    weights: WeightStore,
    folder: Path,
    ranges: Mapping[str, Range] | None = None,
    shares: Shares | None = None,
) -> None:
    """Write the data file that every graph of a model reads.

    Args:
        spec: the architecture.
        level: how weights are stored.
        weights: the trained tensors.
        folder: receives the file.
        ranges: by name, of the weights that are stored on one grid.
        shares: see stream_weights.

    Raises:
        ModelError: a weight is not finite.
        OSError: the file cannot be written.
    """
    with DataFile(folder / DATA_FILE) as file:
        stream_weights(file, plan_storage(spec, level), weights, ranges, shares)


def stored_initializers(spec: AnySpec, level: QuantLevel) -> list[onnx.TensorProto]:
    """Return every weight as a graph reads it from the data file, written or not."""
    views = [view for weight in plan_storage(spec, level) for view in weight.views]
    return [initializer(view, DATA_FILE) for view in views]


def assemble(
    emitter: Emitter,
    name: str,
    initializers: Sequence[onnx.TensorProto],
    inputs: Ports,
    outputs: Ports,
    opsets: Sequence[tuple[str, int]] = _OPSETS,
) -> onnx.ModelProto:
    """Return a model of the collected nodes over these weights."""
    graph = helper.make_graph(emitter.nodes, name, inputs, outputs, initializers)
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in opsets],
        ir_version=_IR_VERSION,
        producer_name="ondevice-bench",
        producer_version=BUILDER_VERSION,
    )
