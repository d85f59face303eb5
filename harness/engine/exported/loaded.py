"""A model that others exported, to call from Python like one that is built here."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import UsageError
from harness.devices.device import Device
from harness.devices.session import OpenedSession, open_session
from harness.engine.cached import CachedDecoder
from harness.engine.exported.decoder import ExportedDecoder
from harness.engine.exported.feeds import arrays_of, refuse_unknown
from harness.engine.exported.geometry import ExportedGeometry
from harness.engine.exported.opening import (
    frozen_content,
    open_exported_decoder,
    opened_files,
    opened_graphs,
)
from harness.engine.exported.single import SinglePass
from harness.engine.exported.values import dtype_of
from harness.engine.loaded import LoadedModel
from harness.engine.loaded_encoder import LoadedEncoder
from harness.models.exported.model import ExportedKind

UNKNOWN_LONGEST_TOKENS = 1 << 20  # where nothing says how long a text may be


class ExportedText(LoadedModel):
    """An exported decoder: with a cache that grows, one that is shared, or none."""

    def __init__(
        self, geometry: ExportedGeometry, device: Device, threads: int, context_tokens: int
    ) -> None:
        """Keep what is needed to open its graphs.

        Args:
            geometry: as recognised.
            device: where they run.
            threads: intra-op threads.
            context_tokens: longest sequence of `prefill` and `step` together.
        """
        longest_tokens = geometry.max_context_tokens or UNKNOWN_LONGEST_TOKENS
        super().__init__(geometry.vocab_size, longest_tokens, context_tokens)
        self.geometry = self._exported = geometry
        self._device = device
        self._threads = threads
        self._sessions: tuple[OpenedSession, ...] = ()

    def _begin(self, batch: int) -> CachedDecoder:
        """Allocate a cache for `context_tokens`."""
        return self._decoder_of(batch, self.context_tokens)

    def _whole(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read everything at once, over a cache that is dropped."""
        return self._decoder_of(*ids.shape).whole_logits(ids)

    def _decoder_of(self, batch: int, capacity_tokens: int) -> ExportedDecoder:
        """A decoder at its beginning; the sessions are opened once."""
        if not self._sessions:
            self._sessions = _open(self._exported, self._device, self._threads)
        sessions = self._sessions
        return open_exported_decoder(sessions, self._exported, batch, capacity_tokens, None)


class ExportedTextEncoder(LoadedEncoder):
    """An exported encoder: its graph decides whether vectors are of texts or of tokens."""

    def __init__(self, geometry: ExportedGeometry, device: Device, threads: int) -> None:
        """Keep what is needed to open its graph; see ExportedText.

        Raises:
            ModelError: an input that is none of a text encoder's.
        """
        longest_tokens = geometry.max_context_tokens or UNKNOWN_LONGEST_TOKENS
        super().__init__(geometry.vocab_size, longest_tokens)
        self.geometry = self._exported = geometry
        (self._graph,) = opened_graphs(geometry)
        refuse_unknown(self._graph, "encoder")
        self._device = device
        self._threads = threads
        self._single: SinglePass | None = None

    def _vectors(
        self,
        ids: NDArray[np.int64],
        mask: NDArray[np.int64] | None,
        types: NDArray[np.int64] | None,
    ) -> NDArray[np.float32]:
        """Run its graph, with the mask of the caller where it takes one.

        Raises:
            UsageError: a mask hides something, and the graph takes none.
        """
        arrays, name = arrays_of(self._graph, ids, 0), self._graph.names.mask
        if mask is not None and name is not None:
            arrays[name] = mask.astype(dtype_of(self._graph.port(name)))
        elif mask is not None and not mask.all():
            raise UsageError(
                "the graph of this export takes no attention mask",
                fix="embed texts of one length at a time, without a mask",
            )
        if self._single is None:
            (opened,) = _open(self._exported, self._device, self._threads)
            self._single = SinglePass(opened, self._graph)
        return self._single.run_plainly(arrays)


def load_exported(
    geometry: ExportedGeometry, device: Device, threads: int, context_tokens: int
) -> LoadedModel | LoadedEncoder:
    """Return an export as something to call.

    Args:
        geometry: as recognised.
        device: where it runs.
        threads: intra-op threads.
        context_tokens: longest sequence of a decoder's `prefill` and `step`.

    Raises:
        UsageError: a kind of model that is measured only.
        ModelError: an input that nothing is known of.
    """
    make = _KINDS.get(geometry.model.kind)
    if make is None:
        raise UsageError(
            f"{geometry.model.name} is a model of the kind {geometry.model.kind}, which is measured"
            " only",
            fix="bench run --model with it; decoders and text encoders can be loaded",
        )
    if geometry.model.main.names.embeds is not None:
        raise UsageError(
            f"{geometry.model.name} takes vectors, and the table that makes them of tokens is"
            " another graph",
            fix="bench run --model measures it with made-up vectors; an export that takes input_ids"
            " can be loaded",
        )
    return make(geometry, device, threads, context_tokens)


def _encoder(
    geometry: ExportedGeometry, device: Device, threads: int, context_tokens: int
) -> LoadedEncoder:
    return ExportedTextEncoder(geometry, device, threads)


def _open(geometry: ExportedGeometry, device: Device, threads: int) -> tuple[OpenedSession, ...]:
    return tuple(
        open_session(file, device, threads, content=frozen_content(geometry, file))
        for file in opened_files(geometry)
    )


_KINDS: dict[ExportedKind, Callable[..., LoadedModel | LoadedEncoder]] = {
    ExportedKind.DECODER: ExportedText,
    ExportedKind.DECODER_WITHOUT_PAST: ExportedText,
    ExportedKind.ENCODER: _encoder,
    ExportedKind.EMBEDDING: _encoder,
}
