"""A model as the header of its GGUF file tells it: architecture, sizes, every tensor."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from harness.models.gguf.types import FILE_TYPES, TensorType
from harness.models.naming import is_layout, name_of

# Tensors that follow from a configuration: rotary factors are counted among no parameters.
_COMPUTED = re.compile(r"(^|\.)rope_(freqs|factors_(long|short))\.weight$")
# Architectures whose files are no decoders; newer ones say so by a key. Source: llm_arch of
# llama.cpp.
_ENCODERS = ("bert", "t5", "t5encoder", "clip", "wavtokenizer-dec")


@dataclass(frozen=True, slots=True)
class Count:
    """So many values, none of which was kept."""

    values: int


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
    def is_decoder(self) -> bool:
        """Whether a token sees those before it alone, so that it can be read token by token."""
        named = self.architecture.endswith("bert") or self.architecture in _ENCODERS
        return not named and self.of_architecture("attention.causal") is not False

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
            FILE_TYPES.get(whole(told) if told is not None else -1, "")
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
        return whole(self.of_architecture("context_length"))

    @property
    def cache_values_per_token(self) -> int:
        """Keys and values that all layers keep of one token, Σ kv heads · (key + value width)."""
        told = self.of_architecture("attention.head_count")
        heads = max(map(whole, told), default=0) if isinstance(told, list) else whole(told)
        width = whole(self.of_architecture("embedding_length")) // max(heads, 1)
        key, value = (
            whole(self.of_architecture(f"attention.{one}_length")) or width
            for one in ("key", "value")
        )
        kept = self.of_architecture("attention.head_count_kv")
        if isinstance(kept, list):
            return sum(map(whole, kept)) * (key + value)
        return whole(self.of_architecture("block_count")) * (whole(kept) or heads) * (key + value)


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


def whole(value: Any) -> int:
    """Return a number of a header, 0 where there is none."""
    return value if type(value) is int and value >= 0 else 0
