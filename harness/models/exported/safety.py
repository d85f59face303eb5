"""What is checked of a model's files before anything else reads them.

ONNX Runtime maps a model's data into memory. It refuses links and places outside the folder, but
follows hard links, hangs on a pipe that is called like a model, and dies when a mapped file is cut
(facts measured with 1.31.1). So all of it is checked here first, and refused in words.
"""

import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import onnx

from harness.core.errors import ModelError
from harness.core.units import MIB
from harness.models.exported.tensors import TYPES, External, external, stored_bytes

_AGAIN = "download or export the model again"
COMPILED_OP = "EPContext"  # a graph, or a part of it, as a provider has compiled it
_LONGEST_NAME = 1024


def check_regular(path: Path, where: str, is_own_copy: bool = False) -> None:
    """Refuse what is no regular file under one name.

    A second name of the same file (a hard link) may lie anywhere, and its content may be changed
    there or be somebody else's secret; so it is refused, but where this package made it.

    Args:
        path: the file.
        where: names it in errors.
        is_own_copy: whether this package put it there.

    Raises:
        ModelError: absent, a link, a folder, a pipe, a device, or a file of several names.
    """
    try:
        found = path.lstat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it has no valid name"
        raise ModelError(f"{where} cannot be read: {reason}", fix=_AGAIN) from error
    if stat.S_ISLNK(found.st_mode):
        raise ModelError(f"{where} is a symbolic link", fix="copy the file there in its place")
    if not stat.S_ISREG(found.st_mode):
        raise ModelError(f"{where} is no regular file", fix=_AGAIN)
    if found.st_nlink > 1 and not is_own_copy:
        raise ModelError(
            f"{where} has {found.st_nlink} names (hard links): who else writes it is unknown",
            fix="copy the file in its place: cp FILE COPY, then mv COPY FILE",
        )


def data_locations(model: onnx.ModelProto, where: str, own: str) -> tuple[str, ...]:
    """Return the data files that a graph names, each once, without `own`: its own file.

    Raises:
        ModelError: one that lies outside the folder, as far as its name tells.
    """
    places = [place for tensor in all_tensors(model) if (place := external(tensor)) is not None]
    for place in places:
        _check_location(place.location, where)
    found = [place.location for place in places if place.location != own]
    return tuple(dict.fromkeys((*found, *compiled_locations(model))))


def compiled_locations(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the files that a compiled graph (EPContext) names, in its own folder."""
    found = []
    for node in model.graph.node:
        values = {attribute.name: attribute for attribute in node.attribute}
        if node.op_type == COMPILED_OP and "ep_cache_context" in values:
            is_inside = values["embed_mode"].i if "embed_mode" in values else 1
            location = values["ep_cache_context"].s
            if not is_inside and len(location) < _LONGEST_NAME:
                found.append(location.decode(errors="replace"))
    return tuple(dict.fromkeys(found))


def check_tensors(
    model: onnx.ModelProto, path: Path, where: str, is_own_copy: bool = False
) -> tuple[str, ...]:
    """Check the place and length of every tensor of a graph; returns the names of its data files.

    Args:
        model: the graph.
        path: of its file.
        where: names the graph in errors.
        is_own_copy: whether this package put the data files there.

    Raises:
        ModelError: a file outside the folder, absent or no regular one; an offset or a length that
            is not inside it, or does not fit the tensor.
    """
    sizes: dict[str, int] = {}
    for tensor in all_tensors(model):
        place = external(tensor)
        if place is None:
            _check_held(tensor, where)
            continue
        if place.location == path.name:  # the file itself holds it; see skeleton
            _check_held(tensor, where, place.length_bytes)
        if place.location not in sizes:
            sizes[place.location] = _data_size(path.parent, place.location, where, is_own_copy)
        _check_place(tensor, place, sizes[place.location], where)
    for location in compiled_locations(model):
        sizes[location] = _data_size(path.parent, location, where, is_own_copy)
    return tuple(location for location in sizes if location != path.name)


def check_memory(model_bytes: int, free_bytes: int | None, name: str) -> None:
    """Refuse a model whose files alone are larger than the free memory.

    Args:
        model_bytes: of all its graphs and data.
        free_bytes: memory that a new process could take; None: unknown, so nothing is refused.
        name: of the model.

    Raises:
        ModelError: with both numbers.
    """
    if free_bytes is not None and model_bytes > free_bytes:
        raise ModelError(
            f"{name} has {model_bytes / MIB:,.0f} MiB of files; {free_bytes / MIB:,.0f} MiB of"
            " memory are free",
            fix="a smaller model, a quantized copy of it, or a machine with more memory",
        )


def all_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of a model: of its graph, all branches, its functions and its metadata."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _node_tensors(node)
    for training in model.training_info:
        yield from _graph_tensors(training.initialization)
        yield from _graph_tensors(training.algorithm)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of a graph."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _node_tensors(node)


def _node_tensors(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    """Every tensor in the attributes of a node."""
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        sparse = [*attribute.sparse_tensors]
        sparse += [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
        for item in sparse:
            yield from (item.values, item.indices)
        branches = [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
        for branch in branches:
            yield from _graph_tensors(branch)


def _data_size(folder: Path, location: str, where: str, is_own_copy: bool) -> int:
    """Return the bytes of a data file after checking its place.

    Raises:
        ModelError: outside the folder, behind a link, or no regular file.
    """
    shown = _check_location(location, where)
    parts = PurePosixPath(location).parts
    for depth in range(1, len(parts)):
        if (folder / Path(*parts[:depth])).is_symlink():
            raise ModelError(f"{shown} lies behind a link", fix="copy the folder there")
    path = folder / location
    check_regular(path, shown, is_own_copy)
    return path.stat().st_size


def _check_location(location: str, where: str) -> str:
    """Refuse a place outside the folder; returns how errors name it."""
    shown = f"{where}: its data file {location[:80]!r}"
    parts = PurePosixPath(location).parts
    outside = not parts or location.startswith("/") or ".." in parts
    if outside or any(sign in location for sign in "\\:\0"):
        raise ModelError(f"{shown} lies outside the model's folder", fix=_AGAIN)
    return shown


def _check_held(tensor: onnx.TensorProto, where: str, held: int | None = None) -> None:
    """Refuse a tensor whose bytes in the graph file are not as many as its shape says."""
    held = len(tensor.raw_data) if held is None else held
    negative = min(tensor.dims, default=0) < 0
    if negative or (held and tensor.data_type in TYPES and held != stored_bytes(tensor)):
        raise ModelError(
            f"{where}: the tensor {tensor.name[:60]!r} of shape {list(tensor.dims)[:8]} has"
            f" {held} bytes",
            fix=_AGAIN,
        )


def _check_place(tensor: onnx.TensorProto, place: External, size_bytes: int, where: str) -> None:
    """Refuse a tensor that does not lie inside its data file."""
    needed = stored_bytes(tensor)
    length = needed if place.length_bytes is None else place.length_bytes
    inside = place.offset_bytes >= 0 and place.offset_bytes + max(length, needed) <= size_bytes
    if min(tensor.dims, default=0) < 0 or not inside or length != needed:
        raise ModelError(
            f"{where}: the tensor {tensor.name[:60]!r} does not lie inside {place.location[:80]!r}"
            f" ({needed} bytes at {place.offset_bytes}; the file has {size_bytes})",
            fix="download the data file again; it was cut, or belongs to another export",
        )
