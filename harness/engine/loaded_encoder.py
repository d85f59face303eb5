"""A built encoder to call from Python: embeddings of token ids."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.builder.graph.geometry import EncoderGeometry
from harness.core.errors import UsageError
from harness.devices.device import Device
from harness.devices.session import open_session
from harness.engine.encoder import EncoderSession


class LoadedEncoder:
    """One built encoder, opened when it is first called.

    Attributes:
        geometry: shapes of the graph.
    """

    def __init__(
        self, graph: Path, geometry: EncoderGeometry, device: Device, threads: int
    ) -> None:
        """Keep what is needed to open the session.

        Args:
            graph: the ONNX file.
            geometry: its shapes.
            device: where it runs.
            threads: intra-op threads.
        """
        self.geometry = geometry
        self._graph = graph
        self._device = device
        self._threads = threads
        self._session: EncoderSession | None = None

    def embed(
        self,
        token_ids: ArrayLike | Sequence[Sequence[int]],
        attention_mask: ArrayLike | Sequence[Sequence[int]] | None = None,
    ) -> NDArray[np.float32]:
        """Return sentence embeddings, float32 [texts, hidden], each of length 1.

        Args:
            token_ids: integers [texts, tokens], special tokens included; short texts are filled up.
            attention_mask: 1 where a token counts, 0 where it only fills; None: all count.

        Raises:
            UsageError: another shape, a token outside the vocabulary, too long a text.
        """
        if self._session is None:
            opened = open_session(self._graph, self._device, self._threads)
            self._session = EncoderSession(opened, self.geometry)
        mask = None if attention_mask is None else _integers(attention_mask, "the mask")
        return self._session.encode(_integers(token_ids, "token ids"), mask).copy()


def _integers(values: ArrayLike | Sequence[Sequence[int]], what: str) -> NDArray[np.int64]:
    """Convert whole numbers [texts, tokens]; lists of unlike lengths are refused."""
    try:
        array = np.asarray(values)
    except ValueError:
        array = np.asarray(None)
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
        raise UsageError(
            f"{what} have the shape {list(array.shape)} and the type {array.dtype}",
            fix="integers [texts, tokens], such as [[101, 2023, 102]]",
        )
    return array.astype(np.int64)
