"""An encoder with its inputs and its embeddings bound in place: one pass over a batch of texts."""

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from harness.builder.graph.geometry import EncoderGeometry
from harness.devices.session import OpenedSession
from harness.engine.binding import inputs_travel
from harness.engine.buffers import aligned_zeros
from harness.engine.checks import check_texts

Ids = NDArray[np.int64]
Shape = tuple[int, int]  # sequences, tokens of each


class EncoderSession:
    """One opened encoder. Only what it gives for texts leaves it, as a service would ask for it.

    Attributes:
        geometry: shapes of the graph.
        opened: the session, its device and its placement.
    """

    def __init__(self, opened: OpenedSession, geometry: EncoderGeometry) -> None:
        """Keep the session; memory is taken per shape, when it is first fed."""
        self.geometry = geometry
        self.opened = opened
        self._session = opened.session
        self._late = inputs_travel(opened.session)
        self._buffers: dict[Shape, tuple[ort.IOBinding, dict[str, Ids], NDArray[np.float32]]] = {}
        self._fed: ort.IOBinding | None = None
        self._shape: Shape = (0, 0)
        self._embeddings = np.empty((0, geometry.vector_size), np.float32)

    @property
    def sessions(self) -> tuple[OpenedSession, ...]:
        """The one that was opened."""
        return (self.opened,)

    @property
    def vocab_size(self) -> int:
        """One more than the largest token id."""
        return self.geometry.vocab_size

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """The embeddings, or scores, of the last run [sequences, width], in place."""
        return self._embeddings

    def encode(
        self, ids: Ids, mask: Ids | None = None, types: Ids | None = None
    ) -> NDArray[np.float32]:
        """Read `ids` [sequences, tokens] in one pass; the next run overwrites what is returned.

        Args:
            ids: token ids.
            mask: 1 where a token is seen, 0 where it only fills; None: all are seen.
            types: type of each token, where the model has such; None: all 0.

        Raises:
            UsageError: another shape or type, a token outside the vocabulary, too many tokens.
        """
        self.feed(ids, mask, types)
        self.run()
        return self._embeddings

    def feed(self, ids: Ids, mask: Ids | None = None, types: Ids | None = None) -> None:
        """Everything that `encode` does before the run: check, copy and bind."""
        check_texts(ids, mask, self.geometry.vocab_size, self.geometry.max_context_tokens)
        shape = (ids.shape[0], ids.shape[1])
        if shape not in self._buffers:
            self._buffers[shape] = self._bind(shape)
        self._shape = shape
        self._fed, inputs, self._embeddings = self._buffers[shape]
        inputs["input_ids"][...] = ids
        inputs["attention_mask"][...] = 1 if mask is None else mask
        if "token_type_ids" in inputs:
            inputs["token_type_ids"][...] = 0 if types is None else types

    def run(self) -> None:
        """The run alone, over what was fed; a device's copy of it is part of its time."""
        if self._late:
            self._bind_inputs(*self._buffers[self._shape][:2])
        self._session.run_with_iobinding(self._fed)

    def _bind(self, shape: Shape) -> tuple[ort.IOBinding, dict[str, Ids], NDArray[np.float32]]:
        """Inputs and embeddings of one shape."""
        inputs = {name: aligned_zeros(shape, np.int64) for name in self.geometry.inputs}
        embeddings = aligned_zeros((shape[0], self.geometry.vector_size), np.float32)
        binding = self._session.io_binding()
        self._bind_inputs(binding, inputs)
        value = ort.OrtValue.ortvalue_from_numpy(embeddings)
        binding.bind_ortvalue_output(self.geometry.output, value)
        return binding, inputs, embeddings

    def _bind_inputs(self, binding: ort.IOBinding, inputs: dict[str, Ids]) -> None:
        """Inputs that lie elsewhere than the session wants them are copied here, not in the run."""
        for name, buffer in inputs.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(buffer))


def are_embeddings(vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each vector [texts] is finite and not 0, which a length that overflows leaves."""
    rows = [bool(np.isfinite(row).all() and row.any()) for row in vectors]
    return np.array(rows, dtype=np.bool_)
