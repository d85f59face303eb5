"""What the header of a GGUF file says: architecture, sizes, and every tensor with its type.

Read without numpy and without a package, and never further than the file is long; only lengths of
long arrays are kept, such as the vocabulary. Source: docs/gguf.md of ggml.
"""

import hashlib
import re
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from harness.core.errors import ModelError
from harness.core.units import KIB, MIB
from harness.models.naming import is_layout, name_of

MAGIC = b"GGUF"
VERSIONS = (2, 3)  # 1 counted with 32 bits and is no longer read by llama.cpp either
ALIGNMENT = "general.alignment"
SPLITS = "split.count"
KEPT_VALUES = 1024  # of an array of numbers; one value a layer is what anybody asks for
HASHED_BYTES, HASHED_PARTS, HASH_DIGITS = MIB, 64, 16
LONGEST_NAME = 64 * KIB
MOST_DIMENSIONS = 4
_SPLIT_NAME = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")
_AGAIN = "download it again and compare its size with the published one"


@dataclass(frozen=True, slots=True)
class GgufSource:
    """A file of the user and the word that named it.

    Attributes:
        argument: what the user typed.
        header: of the file.
        content_hash: `sha256:<16 hex digits>`, see content_hash_of.
    """

    argument: str
    header: "GgufHeader"
    content_hash: str

    spec = None
    weights_kind = "trained"

    @property
    def name(self) -> str:
        """What its files are called, without the level in it; never a path."""
        return gguf_name(self.header)

    @property
    def folder(self) -> Path:
        """Where the file lies."""
        return self.header.files[0].parent


@dataclass(frozen=True, slots=True)
class Count:
    """So many values, none of which was kept."""

    values: int


@dataclass(frozen=True, slots=True)
class GgufGeometry:
    """What a caller must know of a GGUF model.

    Attributes:
        vocab_size: one more than the largest token id.
        max_context_tokens: longest sequence that it takes.
        kv_dtype: of cached keys and values: `float16` or `float32`.
    """

    vocab_size: int
    max_context_tokens: int
    kv_dtype: str


@dataclass(frozen=True, slots=True)
class TensorType:
    """A type of ggml.

    Attributes:
        name: as llama.cpp prints it.
        block_weights: weights of one block.
        block_bytes: its bytes.
    """

    name: str
    block_weights: int = 1
    block_bytes: int = 1

    @property
    def bits(self) -> float:
        """Stored bits of one weight."""
        return 8 * self.block_bytes / self.block_weights


# By number. Source: GGML_QUANT_SIZES of the gguf package 0.19.
TYPES: Mapping[int, TensorType] = {
    0: TensorType("F32", 1, 4),
    1: TensorType("F16", 1, 2),
    2: TensorType("Q4_0", 32, 18),
    3: TensorType("Q4_1", 32, 20),
    6: TensorType("Q5_0", 32, 22),
    7: TensorType("Q5_1", 32, 24),
    8: TensorType("Q8_0", 32, 34),
    9: TensorType("Q8_1", 32, 40),
    10: TensorType("Q2_K", 256, 84),
    11: TensorType("Q3_K", 256, 110),
    12: TensorType("Q4_K", 256, 144),
    13: TensorType("Q5_K", 256, 176),
    14: TensorType("Q6_K", 256, 210),
    15: TensorType("Q8_K", 256, 292),
    16: TensorType("IQ2_XXS", 256, 66),
    17: TensorType("IQ2_XS", 256, 74),
    18: TensorType("IQ3_XXS", 256, 98),
    19: TensorType("IQ1_S", 256, 50),
    20: TensorType("IQ4_NL", 32, 18),
    21: TensorType("IQ3_S", 256, 110),
    22: TensorType("IQ2_S", 256, 82),
    23: TensorType("IQ4_XS", 256, 136),
    24: TensorType("I8", 1, 1),
    25: TensorType("I16", 1, 2),
    26: TensorType("I32", 1, 4),
    27: TensorType("I64", 1, 8),
    28: TensorType("F64", 1, 8),
    29: TensorType("IQ1_M", 256, 56),
    30: TensorType("BF16", 1, 2),
    34: TensorType("TQ1_0", 256, 54),
    35: TensorType("TQ2_0", 256, 66),
    39: TensorType("MXFP4", 32, 17),
    40: TensorType("NVFP4", 64, 36),
    41: TensorType("Q1_0", 128, 18),
}
# Of `general.file_type`: what llama-quantize was asked for. Source: enum llama_ftype of llama.h.
FILE_TYPES: Mapping[int, str] = {
    0: "f32",
    1: "f16",
    2: "q4_0",
    3: "q4_1",
    7: "q8_0",
    8: "q5_0",
    9: "q5_1",
    10: "q2_k",
    11: "q3_k_s",
    12: "q3_k_m",
    13: "q3_k_l",
    14: "q4_k_s",
    15: "q4_k_m",
    16: "q5_k_s",
    17: "q5_k_m",
    18: "q6_k",
    19: "iq2_xxs",
    20: "iq2_xs",
    21: "q2_k_s",
    22: "iq3_xs",
    23: "iq3_xxs",
    24: "iq1_s",
    25: "iq4_nl",
    26: "iq3_s",
    27: "iq3_m",
    28: "iq2_s",
    29: "iq2_m",
    30: "iq4_xs",
    31: "iq1_m",
    32: "bf16",
    36: "tq1_0",
    37: "tq2_0",
    38: "mxfp4",
    39: "nvfp4",
    40: "q1_0",
}
# Tensors that follow from a configuration: rotary factors are counted among no parameters.
_COMPUTED = re.compile(r"(^|\.)rope_(freqs|factors_(long|short))\.weight$")
# Number of a value's type -> how struct unpacks it; strings and arrays are read by hand.
_STRING, _ARRAY, _BOOL = 8, 9, 7
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q"}
_SCALARS |= {12: "d"}


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor.

    Attributes:
        name: such as `blk.0.attn_q.weight`.
        shape: the fastest dimension first: of a matrix [inputs, outputs].
        type: how it is stored.
        offset: of its first byte, from the beginning of the data.
    """

    name: str
    shape: tuple[int, ...]
    type: TensorType
    offset: int

    @property
    def elements(self) -> int:
        """Number of values."""
        return prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Stored bytes."""
        return self.elements // self.type.block_weights * self.type.block_bytes


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """A model as the headers of its files tell it.

    Attributes:
        files: one, or all parts in order.
        metadata: key -> value; of a long array, or one of words, the number of its values as a
            `Count`.
        tensors: of all files.
    """

    files: tuple[Path, ...]
    metadata: Mapping[str, Any]
    tensors: tuple[GgufTensor, ...]

    @property
    def architecture(self) -> str:
        """Word of llama.cpp for it."""
        return str(self.metadata["general.architecture"])

    def of_architecture(self, key: str) -> Any:
        """A value of the architecture, such as `context_length`; None: it is not there."""
        return self.metadata.get(f"{self.architecture}.{key}")

    @property
    def trained(self) -> tuple[GgufTensor, ...]:
        """Tensors with parameters."""
        return tuple(one for one in self.tensors if _COMPUTED.search(one.name) is None)

    @property
    def parameters(self) -> int:
        """Trained values, a tied head counted once."""
        return sum(tensor.elements for tensor in self.trained)

    @property
    def weights_bytes(self) -> int:
        """As stored."""
        return sum(tensor.size_bytes for tensor in self.trained)

    @property
    def bits_per_weight(self) -> float:
        """8 · weights_bytes / parameters."""
        return 8 * self.weights_bytes / self.parameters

    @property
    def by_type(self) -> dict[str, tuple[int, int]]:
        """Type -> parameters and bytes, the most parameters first."""
        counts: Counter[str] = Counter()
        sizes: Counter[str] = Counter()
        for tensor in self.trained:
            counts[tensor.type.name] += tensor.elements
            sizes[tensor.type.name] += tensor.size_bytes
        return {name: (count, sizes[name]) for name, count in counts.most_common()}

    @property
    def main_type(self) -> TensorType:
        """The type of most parameters."""
        wanted = next(iter(self.by_type))
        return next(one.type for one in self.trained if one.type.name == wanted)

    @property
    def level(self) -> str:
        """What its makers asked llama-quantize for; where they do not say, its main type."""
        told = self.metadata.get("general.file_type")
        return (
            FILE_TYPES.get(_whole(told) if told is not None else -1, "")
            or self.main_type.name.casefold()
        )

    @property
    def vocab_size(self) -> int:
        """Rows of the embedding."""
        for tensor in self.tensors:
            if tensor.name == "token_embd.weight" and len(tensor.shape) == 2:
                return tensor.shape[1]
        return 0

    @property
    def context_tokens(self) -> int:
        """Longest sequence that it was trained with; 0: the file does not say."""
        return _whole(self.of_architecture("context_length"))

    @property
    def cache_values_per_token(self) -> int:
        """Keys and values that all layers keep of one token, Σ kv heads · (key + value width)."""
        heads = _whole(self.of_architecture("attention.head_count"))
        width = _whole(self.of_architecture("embedding_length")) // max(heads, 1)
        key, value = (
            _whole(self.of_architecture(f"attention.{one}_length")) or width
            for one in ("key", "value")
        )
        layers = _whole(self.of_architecture("block_count"))
        kept = self.of_architecture("attention.head_count_kv")
        per_layer = kept if isinstance(kept, list) else [_whole(kept) or heads] * layers
        return sum(map(_whole, per_layer)) * (key + value)


# What makers write behind a name: the level, the number of a part.
_NAME_ENDS = re.compile(
    r"([-_.](i?q\d(_[a-z0-9]+)*|tq\d_\d|[bf]*f?p?(16|32)|mxfp4|nvfp4|ud|imat|\d{5}-of-\d{5}))+$",
    re.I,
)


def gguf_name(header: GgufHeader) -> str:
    """Return what a model is called: its file without the level, or what the header says.

    Files called for a level alone (`model-q4_0.gguf`) take the name of the header, or of a folder.
    """
    path = header.files[0]
    name = _NAME_ENDS.sub("", path.stem)
    if not is_layout(name):
        return name
    told = header.metadata.get("general.name")
    plain = re.sub(r"[^\w.+-]+", "-", told).strip("-.") if isinstance(told, str) else ""
    return plain or name_of(path.parent)


def content_hash_of(header: GgufHeader) -> str:
    """Return what tells files apart: their sizes, and parts spread evenly over their bytes.

    Reading all of a file of many GiB would take as long as measuring it.
    """
    digest = hashlib.sha256()
    for path in header.files:
        with path.open("rb") as file:
            size_bytes = path.stat().st_size
            digest.update(f"{size_bytes} ".encode())
            for start in range(0, size_bytes, max(HASHED_BYTES, size_bytes // HASHED_PARTS)):
                file.seek(start)
                digest.update(file.read(HASHED_BYTES))
    return f"sha256:{digest.hexdigest()[:HASH_DIGITS]}"


def read_header(path: Path) -> GgufHeader:
    """Read the header of a GGUF file, and of the other parts where it is the first of several.

    Raises:
        ModelError: no GGUF of a version that is read, cut off, damaged, without a text model, or
            a part without the others.
    """
    first = _read_file(path)
    count = _whole(first.metadata.get(SPLITS))
    parts = _parts(path, count) if count > 1 else (path,)
    others = [_read_file(part) for part in parts[1:]]
    tensors = tuple(one for part in (first, *others) for one in part.tensors)
    header = GgufHeader(parts, first.metadata, tensors)
    if not isinstance(first.metadata.get("general.architecture"), str):
        raise ModelError(f"{path.name} names no architecture", fix=_AGAIN)
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
    if found is None or int(found[2]) != 1:
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
        tensors, pairs = self._count("Q", 24), self._count("Q", 13)
        metadata = {self._text(): self._value(self._number("I")) for _ in range(pairs)}
        found = tuple(self._tensor() for _ in range(tensors))
        self._check_data(found, _whole(metadata.get(ALIGNMENT)) or 32)
        return GgufHeader((self._path,), metadata, found)

    def _check_data(self, tensors: tuple[GgufTensor, ...], alignment: int) -> None:
        """Refuse a file that ends before its last tensor."""
        begin = -(-self._file.tell() // alignment) * alignment
        ends = [begin + tensor.offset + tensor.size_bytes for tensor in tensors]
        if max(ends, default=0) > self._size_bytes:
            raise self._cut(f"its tensors end at byte {max(ends):,}")

    def _tensor(self) -> GgufTensor:
        """Return the next entry of the list of tensors."""
        name = self._text()
        dimensions = self._number("I")
        if not 1 <= dimensions <= MOST_DIMENSIONS:
            raise self._damaged(f"{name} has {dimensions} dimensions")
        shape = tuple(self._number("Q") for _ in range(dimensions))
        number, offset = self._number("I"), self._number("Q")
        if number not in TYPES:
            raise ModelError(
                f"{self._path.name}: {name} is of type {number} of ggml, which is not known here",
                fix="the same model quantized to Q8_0, Q4_0 or a K type",
            )
        kind = TYPES[number]
        if not all(shape) or shape[0] % kind.block_weights:
            raise self._damaged(f"{name} has shape {list(shape)} at {kind.name}")
        return GgufTensor(name, shape, kind, offset)

    def _value(self, kind: int) -> Any:
        """Return a value of a type, told by its number."""
        if kind == _STRING:
            return self._text()
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
            count = self._count("Q", 8)
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

    def _text(self) -> str:
        """Return a word with its length before it."""
        length = self._number("Q")
        if length > LONGEST_NAME and length > self._left():
            raise self._cut(f"a word of {length:,} bytes begins at byte {self._file.tell():,}")
        return self._bytes(length).decode("utf-8", "replace")

    def _count(self, letter: str, least_bytes: int) -> int:
        """Return a number of entries, each of which takes so many bytes at least."""
        count = int(self._number(letter))
        if count * least_bytes > self._left():
            raise self._cut(f"{count:,} entries follow byte {self._file.tell():,}")
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


def _whole(value: Any) -> int:
    """Return a number of a header, 0 where there is none."""
    return value if type(value) is int and value >= 0 else 0
