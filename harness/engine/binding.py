"""A decoder's memory as ONNX Runtime sees it, and bindings of a session to it.

The logits always lie in the host's memory: a run that fills them has waited for the device. The
cache may lie in a device's own memory, where every step extends it without a copy.

An input that lies elsewhere than the session wants it is copied when it is bound, not when the
session runs. So only on the CPU may a token be written after its binding was made; on a device
every run binds its inputs itself, and that is part of its time.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from harness.builder.graph.geometry import Held

HOST_MEMORY = "Cpu"  # as ONNX Runtime calls it
Late = tuple[NDArray[np.int64], int]  # tokens and positions of a run that binds them itself
Cache = Sequence[tuple[Held, NDArray[Any]]]  # keys, values and states, each with its names


class BoundDecoder:
    """A session over one cache and one place for its logits, both memory of ours.

    The past and the present of each layer are the same memory, which its operators then extend or
    overwrite in place. No array of the host is copied: ONNX Runtime's values keep the arrays alive.

    Attributes:
        run_bound: runs what `bind` gave, and nothing else.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        cache: Cache,
        logits: NDArray[np.float32],
        capacity_tokens: int,
        memory: str | None = None,
        index: int = 0,
    ) -> None:
        """Wrap the arrays, or copy the cache to a device.

        Args:
            session: of a decoder with the standard input and output names.
            cache: keys and values [batch, kv_heads, rows, width] and states, contiguous.
            logits: [batch, 1, vocab], contiguous.
            capacity_tokens: the longest sequence that is run.
            memory: name of the device's memory that holds the cache; None: the arrays themselves.
            index: which device of that name.
        """
        self._session = session
        self._place = () if memory is None else (memory, index)
        self._batch = logits.shape[0]
        self._ones = np.ones(self._batch * capacity_tokens, dtype=np.int64)
        self._logits = _value(logits)
        self._cache = {
            held: ort.OrtValue.ortvalue_from_numpy(buffer, *self._place) for held, buffer in cache
        }
        self._fed = self._new_binding()
        self._late = inputs_travel(session)
        self._waiting: Late | None = None
        self.run_bound: Callable[[Any], None] = session.run_with_iobinding
        if self._late:
            self.run_bound = self._run_late

    def bind(self, ids: NDArray[np.int64], total_tokens: int) -> "ort.IOBinding | Late":
        """What `run_bound` needs to read `ids` and see so many positions, these included.

        Args:
            ids: [batch, tokens], contiguous; read when the run begins.
            total_tokens: positions of the cache after the run.
        """
        if self._late:
            return ids, total_tokens
        binding = self._new_binding()
        self._bind_inputs(binding, ids, total_tokens)
        return binding

    def feed(self, ids: NDArray[np.int64], total_tokens: int) -> None:
        """The same as `bind` for the binding that `run` uses, of which the rest is kept."""
        if self._late:
            self._waiting = ids, total_tokens
        else:
            self._bind_inputs(self._fed, ids, total_tokens)

    def run(self) -> None:
        """Run what was fed, and nothing else."""
        if self._waiting is not None:
            self._run_late(self._waiting)
        else:
            self._session.run_with_iobinding(self._fed)

    def upload(self, cache: Cache) -> None:
        """Write these arrays over those of a device; the host's own need no copy."""
        if self._place:
            for held, buffer in cache:
                self._cache[held].update_inplace(buffer)

    def keep(self, cache: Cache) -> None:
        """Read a device's arrays into these; the host's own need no copy."""
        if self._place:
            for held, buffer in cache:
                buffer[...] = self._cache[held].numpy()

    def download(self) -> NDArray[Any]:
        """The part of a device's cache that the last layer writes, copied to the host."""
        *_, last = self._cache.values()
        copied: NDArray[Any] = last.numpy()
        return copied

    def _run_late(self, late: Late) -> None:
        """Bind, which copies the inputs to the device, and run."""
        if not self._place:  # the cache as the run before has left it in the host's memory
            self._bind_past(self._fed)
        self._bind_inputs(self._fed, *late)
        self._session.run_with_iobinding(self._fed)

    def _new_binding(self) -> ort.IOBinding:
        """Cache and logits bound; the inputs that differ from run to run not yet."""
        binding = self._session.io_binding()
        self._bind_past(binding)
        for held, value in self._cache.items():
            binding.bind_ortvalue_output(held.present, value)
        binding.bind_ortvalue_output("logits", self._logits)
        return binding

    def _bind_past(self, binding: ort.IOBinding) -> None:
        """The cache as an input."""
        for held, value in self._cache.items():
            binding.bind_ortvalue_input(held.past, value)

    def _bind_inputs(
        self, binding: ort.IOBinding, ids: NDArray[np.int64], total_tokens: int
    ) -> None:
        """Tokens, and a mask of ones [batch, total]: no position is hidden."""
        mask = self._ones[: self._batch * total_tokens].reshape(self._batch, total_tokens)
        binding.bind_ortvalue_input("input_ids", _value(ids))
        binding.bind_ortvalue_input("attention_mask", _value(mask))


def _value(array: NDArray[Any]) -> ort.OrtValue:
    """ONNX Runtime's view of `array`, which it keeps alive."""
    return ort.OrtValue.ortvalue_from_numpy(array)


def inputs_travel(session: ort.InferenceSession) -> bool:
    """Whether a session wants any input elsewhere than in the host's memory."""
    return any(info.name != HOST_MEMORY for info in session.get_input_memory_infos())
