"""A graph file as a proto, its data left where it is; everything wrong with it is said in words."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import inliner

from harness.core.errors import ModelError
from harness.models.exported.ports import Port
from harness.models.exported.safety import all_tensors
from harness.models.exported.skeleton import skeleton
from harness.models.exported.tensors import element_type, external, stored_bytes

_AGAIN = "download or export it again"


def load_graph(path: Path, where: str, *, to_run: bool = False) -> onnx.ModelProto:
    """Read a graph file; functions of its own are written out where they are called.

    Large tensors are left in the file: the graph names it as the place of their data.

    Args:
        path: a regular file.
        where: names it in errors.
        to_run: whether another graph is made of it; else it is only read.

    Raises:
        ModelError: empty, no ONNX model, or a graph without nodes.
    """
    try:
        content = _content(path)
    except OSError as error:
        raise ModelError(
            f"{where} cannot be read: {error.strerror}", fix="check the file and its rights"
        ) from error
    if not content:
        raise ModelError(f"{where} is empty", fix=_AGAIN)
    if content.startswith(_LFS):
        raise ModelError(
            f"{where} is a pointer of Git LFS, not the model", fix="fetch it: git lfs pull"
        )
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise ModelError(f"{where} is no ONNX model, or only a part of one", fix=_AGAIN) from error
    if not model.graph.node or not model.graph.output:
        raise ModelError(f"{where} holds no graph", fix=_AGAIN)
    return _without_functions(model, where, to_run=to_run) if model.functions else model


def _content(path: Path) -> bytes:
    """Return a graph file's bytes but for large tensors; all of another file, which says so."""
    try:
        return skeleton(path)
    except ValueError:
        with path.open("rb") as file:
            return file.read(_LONGEST_OTHER)


def _without_functions(model: onnx.ModelProto, where: str, *, to_run: bool) -> onnx.ModelProto:
    """Write functions out where they are called.

    A function may be of an older opset than its graph: the runtime minds both. To be run again, its
    nodes are made newer; to be read, they are taken as they are, because operators keep their names
    and what they read as weights.

    Raises:
        ModelError: nodes that cannot be made newer.
    """
    if to_run:
        try:
            return inliner.inline_local_functions(model, convert_version=True)
        except RuntimeError as error:  # of the library's converter
            raise ModelError(
                f"{where} has functions of another opset, which cannot be made newer",
                fix="measure it as it is, or export it without functions",
            ) from error
    own = {item.domain: item.version for item in model.opset_import}
    for function in model.functions:
        for item in function.opset_import:
            item.version = own.get(item.domain, item.version)
    return inliner.inline_local_functions(model)


_LONGEST_OTHER = 1 << 20
_LFS = b"version https://git-lfs"


def load_whole(path: Path, where: str) -> onnx.ModelProto:
    """Read a graph and all its data into memory; weights that are inputs too become fixed.

    Args:
        path: of a graph whose files were checked.
        where: names it in errors.

    Raises:
        ModelError: as load_graph.
    """
    model = load_graph(path, where, to_run=True)
    fixed = set(input_weights(model))
    kept = [value for value in model.graph.input if value.name not in fixed]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    for tensor in all_tensors(model):
        place = external(tensor)
        if place is not None:
            with (path.parent / place.location).open("rb") as file:
                file.seek(place.offset_bytes)
                tensor.raw_data = file.read(stored_bytes(tensor))
            tensor.ClearField("external_data")
            tensor.data_location = onnx.TensorProto.DEFAULT
    return model


def input_weights(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the stored tensors that are inputs too: they may be fed, so they are not constant.

    Formats before IR 4 list every stored tensor so, and tools still do.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    stored |= {one.values.name for one in model.graph.sparse_initializer}
    return tuple(value.name for value in model.graph.input if value.name in stored)


def graph_ports(model: onnx.ModelProto, where: str) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Return the inputs without those that only name a weight, and the outputs.

    Raises:
        ModelError: one that is no tensor.
    """
    weights = set(input_weights(model))
    inputs = [value for value in model.graph.input if value.name not in weights]
    return (
        tuple(_port(value, where) for value in inputs),
        tuple(_port(value, where) for value in model.graph.output),
    )


def _port(value: onnx.ValueInfoProto, where: str) -> Port:
    """Return one input or output."""
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise ModelError(
            f"{where}: {value.name[:60]!r} is a {str(kind).removesuffix('_type')}, not a tensor",
            fix="supported: graphs whose inputs and outputs are tensors",
        )
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return Port(value.name, element_type(tensor.elem_type), None)
    sizes = []
    for axis, size in enumerate(tensor.shape.dim):
        free = size.dim_param or f"{value.name}[{axis}]"
        sizes.append(size.dim_value if size.HasField("dim_value") else free)
    return Port(value.name, element_type(tensor.elem_type), tuple(sizes))
