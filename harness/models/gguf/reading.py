"""Reads the header of a GGUF file, and never further than the file is long.

Only lengths of long arrays are kept, such as the vocabulary. A header is somebody else's: every
count is held against the bytes that are left and against what any model has. Source: docs/gguf.md
of ggml.
"""

import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from harness.core.errors import ModelError
from harness.core.units import KIB, MIB
from harness.models.gguf.header import Count, GgufHeader, GgufTensor, whole
from harness.models.gguf.types import TYPES

MAGIC = b"GGUF"
VERSIONS = (2, 3)  # 1 counted with 32 bits and is no longer read by llama.cpp either
ALIGNMENT, USUAL_ALIGNMENT_BYTES = "general.alignment", 32
SPLITS = "split.count"
KEPT_VALUES = 1024  # of an array of numbers; one value a layer is what anybody asks for
LONGEST_NAME_BYTES, LONGEST_TEXT_BYTES = 64 * KIB, 4 * MIB  # of a key; of a chat template
MOST_DIMENSIONS = 4
# The largest models that are published have hundreds of keys, thousands of tensors, and half a
# million merges; a header that counts more would only keep the reader busy.
MOST_KEYS, MOST_TENSORS, MOST_WORDS = 2**14, 2**17, 2**22
_ARCHITECTURE = re.compile(r"[a-z0-9][\w.-]{0,63}", re.ASCII | re.IGNORECASE)
_SPLIT_NAME = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")
_AGAIN = "download it again and compare its size with the published one"
# Number of a value's type -> how struct unpacks it; strings and arrays are read by hand.
_STRING, _ARRAY, _BOOL = 8, 9, 7
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q"}
_SCALARS |= {12: "d"}


def read_header(path: Path) -> GgufHeader:
    """Read the header of a GGUF file, and of the other parts where it is the first of several.

    Raises:
        ModelError: no GGUF of a version that is read, cut off, damaged, without a text model, or
            a part without the others.
    """
    first = _read_file(path)
    count = whole(first.metadata.get(SPLITS))
    parts = _parts(path, count) if count > 1 else (path,)
    others = [_read_file(part) for part in parts[1:]]
    tensors = tuple(one for part in (first, *others) for one in part.tensors)
    header = GgufHeader(parts, first.metadata, tensors)
    told = first.metadata.get("general.architecture")
    if not isinstance(told, str) or _ARCHITECTURE.fullmatch(told) is None:
        raise ModelError(f"{path.name}, a GGUF file, names no architecture", fix=_AGAIN)
    twice = _first_twice(one.name for one in tensors)
    if twice is not None:
        raise ModelError(f"{path.name} is damaged: it holds two tensors {_shown(twice)}", _AGAIN)
    if not header.parameters or not header.vocab_size:
        raise ModelError(
            f"{path.name} holds no text model: a GGUF of {header.architecture} without a table of"
            " tokens",
            fix="the file with the language model, not that of a projector or an adapter",
        )
    return header


def _parts(path: Path, count: int) -> tuple[Path, ...]:
    """Return all parts of a model, the given one being the first."""
    found = _SPLIT_NAME.fullmatch(path.name)
    if found is None or (int(found[2]), int(found[3])) != (1, count):
        raise ModelError(
            f"{path.name} is one of {count} parts",
            fix=f"give the first one, called NAME-00001-of-{count:05d}.gguf, all in one folder",
        )
    names = [f"{found[1]}-{number:05d}-of-{found[3]}.gguf" for number in range(1, count + 1)]
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing:
        raise ModelError(f"{path.name} is one of {count} parts; {missing[0]} is missing", _AGAIN)
    return tuple(path.parent / name for name in names)


def _read_file(path: Path) -> GgufHeader:
    """Read one file's header.

    Raises:
        ModelError: as read_header.
    """
    try:
        with path.open("rb") as file:
            return _Reader(file, path).header()
    except OSError as error:
        raise ModelError(
            f"{path.name} cannot be read: {error.strerror or error}",
            fix="check the file and its rights",
        ) from error


def _first_twice(names: Iterable[str]) -> str | None:
    """Return the first word that came before; None: none did."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _shown(word: str) -> str:
    """A word of a file in a sentence: what cannot be printed escaped, and not too long."""
    return "".join(one if one.isprintable() else "?" for one in word[:60]) or "of no name"


class _Reader:
    """Reads one file from its beginning; every length is held against what is left of it."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        """Begin at the first byte."""
        self._file, self._path = file, path
        self._size_bytes = path.stat().st_size

    def header(self) -> GgufHeader:
        """Return the whole header, its tensors held against the length of the file."""
        magic = self._file.read(len(MAGIC))
        if magic != MAGIC:
            raise ModelError(
                f"{self._path.name} is no GGUF: it begins with {magic!r}",
                fix="a .gguf file; of git-lfs the file itself, not its pointer",
            )
        version = self._number("I")
        if version not in VERSIONS:
            other = "of big-endian machines" if version & 0xFFFF == 0 else f"of version {version}"
            raise ModelError(
                f"{self._path.name} is a GGUF {other}; versions 2 and 3 are read",
                fix="convert the model anew with today's convert_hf_to_gguf.py",
            )
        tensors = self._count("Q", 24, MOST_TENSORS, "tensors")
        keys = self._count("Q", 13, MOST_KEYS, "keys")
        metadata: dict[str, Any] = {}
        for _ in range(keys):
            key = self._name()
            if key in metadata:
                raise self._damaged(f"it holds the key {_shown(key)} twice")
            metadata[key] = self._value(self._number("I"))
        found = tuple(self._tensor() for _ in range(tensors))
        self._check_data(found, self._alignment(metadata))
        return GgufHeader((self._path,), metadata, found)

    def _alignment(self, metadata: dict[str, Any]) -> int:
        """Return what every tensor begins at a multiple of, in bytes."""
        told = metadata.get(ALIGNMENT, USUAL_ALIGNMENT_BYTES)
        bytes_ = whole(told)
        if not bytes_ or bytes_ & (bytes_ - 1):
            raise self._damaged(f"{ALIGNMENT} is {told!r}, and no power of 2")
        return bytes_

    def _check_data(self, tensors: tuple[GgufTensor, ...], alignment: int) -> None:
        """Refuse a file that ends before its last tensor."""
        begin = -(-self._file.tell() // alignment) * alignment
        ends = [begin + tensor.offset + tensor.size_bytes for tensor in tensors]
        if max(ends, default=0) > self._size_bytes:
            raise self._cut(f"its tensors end at byte {max(ends):,}")

    def _tensor(self) -> GgufTensor:
        """Return the next entry of the list of tensors."""
        name = self._name()
        dimensions = self._number("I")
        if not 1 <= dimensions <= MOST_DIMENSIONS:
            raise self._damaged(f"{_shown(name)} has {dimensions} dimensions")
        shape = tuple(self._number("Q") for _ in range(dimensions))
        number, offset = self._number("I"), self._number("Q")
        if number not in TYPES:
            raise ModelError(
                f"{self._path.name}: {_shown(name)} is of type {number} of ggml, which is not known"
                " here",
                fix="the same model quantized to Q8_0, Q4_0 or a K type",
            )
        kind = TYPES[number]
        if not all(shape) or shape[0] % kind.block_weights:
            raise self._damaged(f"{_shown(name)} has shape {list(shape)} at {kind.name}")
        return GgufTensor(name, shape, kind, offset)

    def _value(self, kind: int) -> Any:
        """Return a value of a type, told by its number; of a word beyond all use how long it is."""
        if kind == _STRING:
            length = self._number("Q")
            if length <= LONGEST_TEXT_BYTES:
                return self._text(length)
            self._skip(length)
            return Count(length)
        if kind == _ARRAY:
            return self._array()
        if kind not in _SCALARS:
            raise self._damaged(f"a value is of type {kind}")
        number = self._number(_SCALARS[kind])
        return bool(number) if kind == _BOOL else number

    def _array(self) -> Any:
        """Return a short array of numbers as a list, of any other one how long it is."""
        kind = self._number("I")
        if kind == _STRING:
            count = self._count("Q", 8, MOST_WORDS, "words")
            for _ in range(count):
                self._skip(self._number("Q"))
            return Count(count)
        if kind not in _SCALARS:
            raise self._damaged(f"an array is of type {kind}")
        width = struct.calcsize(_SCALARS[kind])
        count = self._count("Q", width)
        if count > KEPT_VALUES:
            self._skip(count * width)
            return Count(count)
        return [self._number(_SCALARS[kind]) for _ in range(count)]

    def _name(self) -> str:
        """Return a key or the name of a tensor."""
        length = self._number("Q")
        if length > LONGEST_NAME_BYTES:
            raise self._damaged(f"a name of {length:,} bytes begins at byte {self._file.tell():,}")
        return self._text(length)

    def _text(self, length: int) -> str:
        """Return a word of so many bytes."""
        return self._bytes(length).decode("utf-8", "replace")

    def _count(self, letter: str, least_bytes: int, most: int = 0, what: str = "values") -> int:
        """Return a number of entries, each of which takes so many bytes at least; 0: no limit."""
        count = int(self._number(letter))
        if count * least_bytes > self._left():
            raise self._cut(f"{count:,} {what} follow byte {self._file.tell():,}")
        if most and count > most:
            raise self._damaged(f"it counts {count:,} {what}, and no model has {most:,}")
        return count

    def _number(self, letter: str) -> Any:
        """Return one number, little-endian."""
        return struct.unpack(f"<{letter}", self._bytes(struct.calcsize(f"<{letter}")))[0]

    def _skip(self, length: int) -> None:
        """Pass over bytes that are there."""
        if length > self._left():
            raise self._cut(f"{length:,} bytes follow byte {self._file.tell():,}")
        self._file.seek(length, 1)

    def _bytes(self, length: int) -> bytes:
        """Return the next bytes."""
        if length > self._left():
            raise self._cut(f"its header goes on at byte {self._file.tell():,}")
        return self._file.read(length)

    def _left(self) -> int:
        """Bytes of the file that were not read yet."""
        return self._size_bytes - self._file.tell()

    def _cut(self, what: str) -> ModelError:
        """Return the error of a file that ends too early."""
        return ModelError(
            f"{self._path.name} is cut off or damaged: {what}, and it has {self._size_bytes:,}",
            fix=_AGAIN,
        )

    def _damaged(self, what: str) -> ModelError:
        """Return the error of a file whose header says what cannot be."""
        return ModelError(f"{self._path.name} is damaged: {what}", fix=_AGAIN)
