"""A graph file read field by field, without onnx: its structure, and the data files it names.

A file may hold gigabytes of weights of which a reader needs pieces. Here its protobuf is copied
field by field, and every large `raw_data` becomes what external data is: a place in a file, which
is the graph file itself. So a graph is read in the memory of its structure.
"""

import mmap
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

LARGE_BYTES = 1 << 16  # smaller tensors stay in the copy: shapes are read from there
# (message, field) -> message, as far as tensors lie below. Source: onnx.proto.
_BELOW = {
    ("model", 7): "graph",
    ("graph", 1): "node",
    ("graph", 5): "tensor",
    ("node", 5): "attribute",
    ("attribute", 5): "tensor",
    ("attribute", 6): "graph",
    ("attribute", 10): "tensor",
    ("attribute", 11): "graph",
}
# The same with everything else that holds tensors: sparse ones, functions, what training left.
_EVERYWHERE = {
    **_BELOW,
    ("model", 20): "training",
    ("model", 25): "function",
    ("training", 1): "graph",
    ("training", 2): "graph",
    ("function", 7): "node",
    ("graph", 15): "sparse",
    ("attribute", 22): "sparse",
    ("attribute", 23): "sparse",
    ("sparse", 1): "tensor",
    ("sparse", 2): "tensor",
}
_COMPILED = b"ep_cache_context"  # attribute of EPContext: a file, where it is not embedded
_OP_TYPE, _ATTRIBUTE, _NAME, _INT, _STRING = 4, 5, 1, 3, 4  # of nodes and attributes
_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 9, 13, 14  # of a TensorProto
_IR_VERSION, _GRAPH, _INPUT = 1, 7, 11  # of a model, and of a graph
_FIRST_IR = 4  # of files whose stored tensors need not be inputs too
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
_Field = tuple[int, int, int, int, int]  # number, wire type, where it begins, its content, its end


def skeleton(path: Path) -> bytes:
    """Return the bytes of a model without its large tensors.

    Raises:
        ValueError: an empty file, or one that is no protobuf of this form.
        OSError: it cannot be read.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _copied(data, 0, len(data), "model", path.name)


def frozen(path: Path, weights: Collection[str]) -> bytes:
    """Return the same without some of the inputs: what is stored under their names is fixed.

    Args:
        path: of a graph file that holds all of these tensors, or names where they lie.
        weights: names of stored tensors that are inputs too.

    Raises:
        ValueError, OSError: as skeleton.
    """
    copy, own = bytearray(), path.name
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for field, wire, begin, body, stop in _fields(data, 0, len(data)):
            if (field, wire) == (_IR_VERSION, _VARINT):
                version = max(_FIRST_IR, _read_varint(data, body, stop)[0])
                copy += _varint(field << 3 | _VARINT) + _varint(version)
            elif (field, wire) == (_GRAPH, _BYTES):
                inner = _without_inputs(data, body, stop, weights, own)
                copy += _varint(field << 3 | _BYTES) + _varint(len(inner)) + inner
            else:
                copy += data[begin:stop]
    return bytes(copy)


def _without_inputs(
    data: mmap.mmap, start: int, end: int, names: Collection[str], own: str
) -> bytes:
    """Copy a graph but for the inputs of these names."""
    copy = bytearray()
    for field, wire, begin, body, stop in _fields(data, start, end):
        if (field, wire) == (_INPUT, _BYTES):
            name = _words(data, body, stop).get(_NAME, b"")
            if name.decode(errors="replace") in names:
                continue
        copy += _copied_field(data, (field, wire, begin, body, stop), "graph", own)
    return bytes(copy)


def data_files(path: Path) -> tuple[str, ...]:
    """Return the files that a graph names as the place of its tensors, each once.

    Args:
        path: of a graph file.

    Returns:
        Paths relative to the graph's folder, with `/`, as the graph gives them but for `./`; empty
        of what is no graph, and of one that cannot be read: others say so.
    """
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            found = [*_locations(data, 0, len(data), "model")]
    except (OSError, ValueError):
        return ()
    places = (str(PurePosixPath(place.decode(errors="replace"))) for place in found)
    return tuple(dict.fromkeys(place for place in places if place not in (".", path.name)))


def _locations(data: mmap.mmap, start: int, end: int, message: str) -> Iterator[bytes]:
    """Every place of data that a message names."""
    if message == "tensor":
        yield from _entries(data, start, end)
    if message == "node" and data.find(_COMPILED, start, end) >= 0:
        yield from _contexts(data, start, end)
    for field, wire, _, body, stop in _fields(data, start, end):
        below = _EVERYWHERE.get((message, field)) if wire == _BYTES else None
        if below is not None:
            yield from _locations(data, body, stop, below)


def _entries(data: mmap.mmap, start: int, end: int) -> Iterator[bytes]:
    """The `location` of a tensor."""
    for field, wire, _, body, stop in _fields(data, start, end):
        if (field, wire) == (_EXTERNAL_DATA, _BYTES):
            words = _words(data, body, stop)
            if words.get(1) == b"location" and words.get(2):
                yield words[2]


def _contexts(data: mmap.mmap, start: int, end: int) -> Iterator[bytes]:
    """The file of a node of a compiled graph, where it is not within the graph (embed_mode 1)."""
    values: dict[bytes, dict[int, bytes]] = {}
    for field, wire, _, body, stop in _fields(data, start, end):
        if (field, wire) == (_OP_TYPE, _BYTES) and data[body:stop] != b"EPContext":
            return
        if (field, wire) == (_ATTRIBUTE, _BYTES):
            words = _words(data, body, stop)
            values[words.get(_NAME, b"")] = words
    mode = values.get(b"embed_mode", {}).get(_INT, b"\x01")
    place = values.get(_COMPILED, {}).get(_STRING, b"")
    if mode == b"\x00" and place:
        yield place


def _words(data: mmap.mmap, start: int, end: int) -> dict[int, bytes]:
    """The short fields of a message: nothing that is long enough to be a tensor is copied."""
    fields = _fields(data, start, end)
    return {key: data[body:stop] for key, _, _, body, stop in fields if stop - body < LARGE_BYTES}


def _copied(data: mmap.mmap, start: int, end: int, message: str, own: str) -> bytes:
    """Copy one message."""
    fields = _fields(data, start, end)
    return b"".join(_copied_field(data, one, message, own) for one in fields)


def _copied_field(data: mmap.mmap, place: _Field, message: str, own: str) -> bytes:
    """Copy one field of a message; a large tensor becomes its place in the file."""
    field, wire, begin, body, stop = place
    below = _BELOW.get((message, field)) if wire == _BYTES else None
    is_large = stop - body >= LARGE_BYTES
    if is_large and below is not None:
        inner = _copied(data, body, stop, below, own)
        return _varint(field << 3 | _BYTES) + _varint(len(inner)) + inner
    if is_large and (message, field, wire) == ("tensor", _RAW_DATA, _BYTES):
        return _place(own, body, stop - body)
    return data[begin:stop]


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[_Field]:
    """Every field of a message: number, wire type, where it begins, its content, and its end."""
    at = start
    while at < end:
        key, body = _read_varint(data, at, end)
        wire = key & 7
        if wire == _BYTES:
            length, body = _read_varint(data, body, end)
            stop = body + length
        elif wire == _VARINT:
            stop = _read_varint(data, body, end)[1]
        elif wire in (_FIXED_64, _FIXED_32):
            stop = body + (8 if wire == _FIXED_64 else 4)
        else:
            raise ValueError(f"wire type {wire} at {at}")
        if stop > end:
            raise ValueError(f"the field at {at} ends outside its message")
        yield key >> 3, wire, at, body, stop
        at = stop


def _place(own: str, offset_bytes: int, length_bytes: int) -> bytes:
    """The fields of a tensor that say where its data lies."""
    words = {"location": own, "offset": str(offset_bytes), "length": str(length_bytes)}
    fields = _varint(_DATA_LOCATION << 3 | _VARINT) + b"\x01"
    for key, value in words.items():
        entry = _text(1, key) + _text(2, value)
        fields += _varint(_EXTERNAL_DATA << 3 | _BYTES) + _varint(len(entry)) + entry
    return fields


def _text(field: int, words: str) -> bytes:
    content = words.encode()
    return _varint(field << 3 | _BYTES) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the highest bit says that more follow."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """Return a number and where it ends."""
    number = 0
    for place in range(_LONGEST_VARINT):
        if at + place >= end:
            break
        byte = data[at + place]
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, at + place + 1
    raise ValueError(f"no number at {at}")
