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
from harness.engine.opening import open_decoder, open_sessions
from harness.engine.static import StaticReader
from harness.runner.quality.divergence import Logits
from harness.runner.quality.summary import DECODE, PREFILL

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GraphFiles:
    """The two graphs of one built model.

    Attributes:
        all_logits: gives the logits of every token.
        last_logits: gives those of the last token; the one that is timed.
        geometry: shapes and types of both.
    """

    all_logits: Path
    last_logits: Path
    geometry: DecoderGeometry | StaticGeometry


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


def open_prefill(files: GraphFiles, device: Device, threads: int, chunk_tokens: int) -> Reader:
    """Open the prefill path of a model."""
    return _prefill_reader(files.geometry, open_session(files.all_logits, device, threads))


@singledispatch
def _prefill_reader(geometry: DecoderGeometry | StaticGeometry, opened: OpenedSession) -> Reader:
    """Return what reads whole chunks, by the kind of a decoder's graphs."""
    raise TypeError(f"{geometry!r} is no decoder's")


@_prefill_reader.register
def _fused_reader(geometry: DecoderGeometry, opened: OpenedSession) -> Reader:
    return PrefillReader(opened, geometry)


@_prefill_reader.register
def _static_reader(geometry: StaticGeometry, opened: OpenedSession) -> Reader:
    return StaticPrefillReader(StaticReader(opened, geometry))


def open_decode(files: GraphFiles, device: Device, threads: int, chunk_tokens: int) -> Reader:
    """Open the decode path of a model, with a cache for one chunk."""
    sessions = open_sessions(files.last_logits, files.geometry, device, threads)
    return DecodeReader(open_decoder(sessions, files.geometry, 1, chunk_tokens))


OPENERS: dict[str, Callable[[GraphFiles, Device, int, int], Reader]] = {
    PREFILL: open_prefill,
    DECODE: open_decode,
}
