"""Runs a built decoder in a plain onnxruntime session, with a growing or an in-place cache."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from harness.builder.graph.geometry import DecoderGeometry

Logits = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


def open_graph(model: Path | str | bytes) -> ort.InferenceSession:
    """One thread, so that every run sums in the same order."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class GraphRun:
    """One sequence of passes through a session; `capacity_tokens` 0 grows the cache instead."""

    def __init__(
        self,
        session: ort.InferenceSession,
        geometry: DecoderGeometry,
        batch: int,
        capacity_tokens: int = 0,
    ) -> None:
        self._session = session
        self._capacity_tokens = capacity_tokens
        self._depth_tokens = 0
        self._cache = {
            held: ort.OrtValue.ortvalue_from_numpy(
                np.zeros(held.shape(batch, capacity_tokens), held.dtype)
            )
            for held in geometry.held
        }

    def run(self, ids: Ids) -> Logits:
        """Pass `ids` [batch, tokens] through the graph after what it has seen; its logits."""
        batch, tokens = ids.shape
        self._depth_tokens += tokens
        binding = self._session.io_binding()
        binding.bind_cpu_input("input_ids", np.ascontiguousarray(ids))
        mask = np.ones((batch, self._depth_tokens), np.int64)
        binding.bind_cpu_input("attention_mask", mask)
        binding.bind_output("logits", "cpu")
        for held, value in self._cache.items():
            binding.bind_ortvalue_input(held.past, value)
            if self._capacity_tokens:
                binding.bind_ortvalue_output(held.present, value)
            else:
                binding.bind_output(held.present, "cpu")
        self._session.run_with_iobinding(binding)
        outputs = binding.get_outputs()  # in the order they were bound
        if not self._capacity_tokens:
            self._cache = dict(zip(self._cache, outputs[1:], strict=True))
        return np.array(outputs[0].numpy())
