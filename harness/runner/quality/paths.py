"""One model's logits over a chunk, by the two ways a text passes through it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import singledispatch
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from harness.builder.graph.geometry import DecoderGeometry
from harness.builder.graph.static.geometry import StaticGeometry
from harness.devices.device import Device
from harness.devices.session import OpenedSession, open_session
from harness.engine.cached import CachedDecoder
from harness.engine.growing import GrowingDecoder
from harness.engine.llamacpp import LlamaDecoder
from harness.engine.llamacpp import open_decoder as open_llama
from harness.engine.opening import open_decoder, open_sessions
from harness.engine.static import StaticReader
from harness.models.gguf.source import GgufGeometry
from harness.runner.quality.divergence import Logits
from harness.runner.quality.summary import DECODE, PREFILL

Ids = NDArray[np.int64]
ReadGeometry = DecoderGeometry | StaticGeometry | GgufGeometry


@dataclass(frozen=True, slots=True)
class GraphFiles:
    """The two graphs of one built model, or its GGUF file twice.

    Attributes:
        all_logits: gives the logits of every token.
        last_logits: gives those of the last token; the one that is timed.
        geometry: shapes and types of both.
    """

    all_logits: Path
    last_logits: Path
    geometry: ReadGeometry


class Reader(Protocol):
    """An open model that reads chunks, each from an empty cache."""

    def blocks(self, ids: Ids) -> Iterator[Logits]:
        """Yield the logits after each token of `ids` [tokens], in order, in blocks [rows, vocab].

        A block may be overwritten by the next one.
        """

    def first_bad_layer(self) -> int | None:
        """The first layer whose cache holds something that is no number after the last chunk."""


@dataclass(slots=True)
class PrefillReader:
    """A whole chunk in one pass through the graph with every token's logits."""

    opened: OpenedSession
    geometry: DecoderGeometry
    _last: GrowingDecoder | None = field(default=None, init=False)

    def blocks(self, ids: Ids) -> Iterator[Logits]:
        """Yield one block [tokens, vocab]."""
        self._last = GrowingDecoder(self.opened, self.geometry, batch=1)
        yield self._last.prefill(ids[np.newaxis])[0]

    def first_bad_layer(self) -> int | None:
        """See Reader."""
        return None if self._last is None else self._last.first_bad_layer()


@dataclass(slots=True)
class StaticPrefillReader:
    """A chunk in the whole passes of a static decoder, each with every token's logits."""

    reader: StaticReader

    def blocks(self, ids: Ids) -> Iterator[Logits]:
        """Yield a block of each pass; the next pass overwrites it."""
        yield from self.reader.read(ids)

    def first_bad_layer(self) -> int | None:
        """Not told: every tensor between the layers is clipped to its grid."""
        return None


@dataclass(slots=True)
class DecodeReader:
    """One token a pass through the graph that is timed, over a cache extended in place."""

    decoder: CachedDecoder

    def blocks(self, ids: Ids) -> Iterator[Logits]:
        """Yield a block [1, vocab] per token; the next step overwrites it."""
        self.decoder.rewind(0)
        for position in range(len(ids)):
            yield self.decoder.step(ids[np.newaxis, position : position + 1])[0]

    def first_bad_layer(self) -> int | None:
        """Not told: the prefill path runs first and tells it."""
        return None


@dataclass(slots=True)
class LlamaReader:
    """A model in llama.cpp: a whole chunk in one pass, or one token a pass."""

    decoder: LlamaDecoder
    whole: bool

    def blocks(self, ids: Ids) -> Iterator[Logits]:
        """Yield one block [tokens, vocab], or a block [1, vocab] per token; see Reader."""
        self.decoder.rewind(0)
        step = len(ids) if self.whole else 1
        for start in range(0, len(ids), step):
            yield self.decoder.read_all(ids[np.newaxis, start : start + step])

    def first_bad_layer(self) -> int | None:
        """Not told: its cache is not shown."""
        return None


Opener = Callable[[GraphFiles, Device, int, int], Reader]


def open_prefill(files: GraphFiles, device: Device, threads: int, chunk_tokens: int) -> Reader:
    """Open the prefill path of a model."""
    return _prefill_reader(files.geometry, files, device, threads, chunk_tokens)


@singledispatch
def _prefill_reader(
    geometry: ReadGeometry, files: GraphFiles, device: Device, threads: int, chunk_tokens: int
) -> Reader:
    """Return what reads whole chunks, by the kind of a decoder's graphs."""
    raise TypeError(f"{geometry!r} is no decoder's")


@_prefill_reader.register
def _fused_reader(
    geometry: DecoderGeometry, files: GraphFiles, device: Device, threads: int, chunk_tokens: int
) -> Reader:
    return PrefillReader(open_session(files.all_logits, device, threads), geometry)


@_prefill_reader.register
def _static_reader(
    geometry: StaticGeometry, files: GraphFiles, device: Device, threads: int, chunk_tokens: int
) -> Reader:
    opened = open_session(files.all_logits, device, threads)
    return StaticPrefillReader(StaticReader(opened, geometry))


@_prefill_reader.register
def _llama_reader(
    geometry: GgufGeometry, files: GraphFiles, device: Device, threads: int, chunk_tokens: int
) -> Reader:
    opened = open_llama(files.all_logits, geometry, device, threads, chunk_tokens)
    return LlamaReader(opened, whole=True)


def open_decode(files: GraphFiles, device: Device, threads: int, chunk_tokens: int) -> Reader:
    """Open the decode path of a model, with a cache for one chunk."""
    return _decode_reader(files.geometry, files, device, threads, chunk_tokens)


@singledispatch
def _decode_reader(
    geometry: ReadGeometry, files: GraphFiles, device: Device, threads: int, chunk_tokens: int
) -> Reader:
    """Return what reads token by token, by the kind of a decoder's graphs."""
    raise TypeError(f"{geometry!r} is no decoder's")


@_decode_reader.register(DecoderGeometry)
@_decode_reader.register(StaticGeometry)
def _graph_steps(
    geometry: DecoderGeometry | StaticGeometry,
    files: GraphFiles,
    device: Device,
    threads: int,
    chunk_tokens: int,
) -> Reader:
    sessions = open_sessions(files.last_logits, geometry, device, threads)
    return DecodeReader(open_decoder(sessions, geometry, 1, chunk_tokens))


@_decode_reader.register
def _llama_steps(
    geometry: GgufGeometry, files: GraphFiles, device: Device, threads: int, chunk_tokens: int
) -> Reader:
    opened = open_llama(files.last_logits, geometry, device, threads, chunk_tokens)
    return LlamaReader(opened, whole=False)


OPENERS: dict[str, Opener] = {
    PREFILL: open_prefill,
    DECODE: open_decode,
}
