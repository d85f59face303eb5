"""Graphs of a few nodes, made with onnx.helper."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from harness.devices.operators import known_operators, nodes_loaded
from harness.models.exported.files import find_files
from harness.models.exported.model import ExportedModel
from harness.models.exported.recognise import recognise
from harness.models.exported.versions import Runtime

VOCAB, WIDTH = 40, 32
Shape = Sequence[int | str]


def installed() -> Runtime:
    """What the installed onnxruntime knows."""
    known = known_operators()
    return Runtime(
        known.version,
        known.opset,
        known.names,
        has_kernel=known.has_kernel,
        nodes_loaded=nodes_loaded,
    )


def read(path: Path) -> ExportedModel:
    """Recognise a model in this process."""
    return recognise(find_files(path), installed())


def port(name: str, shape: Shape, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def ids(name: str = "input_ids") -> onnx.ValueInfoProto:
    return port(name, ["batch", "tokens"], TensorProto.INT64)


def values(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Mapping[str, NDArray] = {},  # read only
) -> onnx.ModelProto:
    """A model at opset 21 with ONNX Runtime's own operators."""
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(list(nodes), "tiny", list(inputs), list(outputs), tensors)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="tiny")


def saved(proto: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(proto.SerializeToString())
    return folder / name


def language_model(
    nodes: Sequence[onnx.NodeProto] = (),
    weights: Mapping[str, NDArray] = {},  # read only
    head: NDArray[np.float32] | None = None,
) -> onnx.ModelProto:
    """An embedding and a head: a decoder without past of 2 · VOCAB · WIDTH parameters."""
    table = values(VOCAB, WIDTH)
    stored = {"table": table, "head": values(WIDTH, VOCAB, seed=1) if head is None else head}
    body = [
        helper.make_node("Gather", ["table", "input_ids"], ["x"]),
        helper.make_node("MatMul", ["x", "head"], ["logits"]),
    ]
    logits = port("logits", ["batch", "tokens", VOCAB])
    return model([*body, *nodes], [ids()], [logits], {**stored, **weights})


def external(proto: onnx.ModelProto, folder: Path, data: str = "model.onnx.data") -> Path:
    """Save a model with all its weights in a data file."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save_model(
        proto,
        folder / "model.onnx",
        save_as_external_data=True,
        location=data,
        size_threshold=0,
    )
    return folder / "model.onnx"
