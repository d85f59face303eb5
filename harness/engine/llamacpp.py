"""A GGUF model run by llama.cpp, through the same protocol as by our own loop.

The low-level functions of llama-cpp-python are called on token ids: nothing is tokenized and
nothing sampled. Everything stays on the CPU, whatever else the library was built for.
"""

import ctypes
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DeviceError, MeasurementError, ModelError, UsageError
from harness.devices.device import Device
from harness.devices.session import OpenedSession
from harness.engine.checks import check_ids, check_rewind, check_room
from harness.engine.passes import seeded_ids
from harness.models.gguf.source import GgufGeometry
from harness.results.enums import PlacementVerdict
from harness.results.replies import Placement

INSTALL = "pip install 'ondevice-bench[llamacpp]'"
LEAST_BATCH_TOKENS = 2048  # llama.cpp's own; a longer prompt is submitted as a whole too
# Level -> what llama-quantize is asked for (enum llama_ftype), and whether all tensors alike.
FILE_TYPES = {"q8_0": (7, False), "q4_k_m": (15, False), "q4_0": (2, False), "q4_0-pure": (2, True)}
LOAD_NOTHING = 0  # of enum llama_load_mode: neither mapped nor read
GGML_TYPES = {"float32": 0, "float16": 1}  # of keys and values
_ERROR, _CONTINUED = 4, 5  # levels of ggml's log
_LOGGED: list[str] = []  # the last errors of the library, by its log
_CALLBACKS: list[Any] = []  # kept alive: the library calls them


@dataclass(frozen=True, slots=True)
class LlamaModel(OpenedSession):
    """A loaded model with one context; `session` is the context.

    Attributes:
        model: llama.cpp's own.
        capacity_tokens: positions of its cache.
        vocab_size: of its logits.
    """

    model: Any = None
    capacity_tokens: int = 0
    vocab_size: int = 0
    library: Any = field(default=None, repr=False)

    def refuse_changed(self) -> None:
        """Do nothing: there is no list of providers to look at again."""

    def close(self) -> None:
        """Free context and model."""
        self.library.llama_free(self.session)
        self.library.llama_model_free(self.model)


def library() -> Any:
    """Return the low-level functions, the library made ready and its log kept instead of printed.

    Raises:
        DeviceError: llama-cpp-python is not installed, or its library cannot be loaded.
    """
    try:
        import llama_cpp.llama_cpp as found
    except ImportError as error:
        raise DeviceError("--runtime llama.cpp needs llama-cpp-python", fix=INSTALL) from error
    except (OSError, RuntimeError) as error:
        raise DeviceError(
            f"the library of llama-cpp-python cannot be loaded: {str(error)[:200]}",
            fix="build it here: pip install --force-reinstall --no-binary :all: llama-cpp-python",
        ) from error
    if not _CALLBACKS:
        callback = found.llama_log_callback(_keep_error)
        _CALLBACKS.append(callback)
        found.llama_log_set(callback, ctypes.c_void_p(0))
        found.llama_backend_init()
    return found


def instructions() -> tuple[str, ...]:
    """Return what the library was built to use of the processor, by its own words: AVX2, VNNI.

    Raises:
        DeviceError: as library.
    """
    told = library().llama_print_system_info().decode("utf-8", "replace")
    pairs = (part.partition("=") for part in told.replace(":", "|").split("|"))
    return tuple(name.strip() for name, _, value in pairs if value.strip() == "1")


def _keep_error(level: int, text: bytes, _data: Any) -> None:
    """Keep what the library logs as an error."""
    if level == _ERROR:
        _LOGGED.append(text.decode("utf-8", "replace").strip())
    elif level == _CONTINUED and _LOGGED:
        _LOGGED[-1] += text.decode("utf-8", "replace").rstrip()


def _why() -> str:
    """The first error since the log was cleared: later ones only repeat that it failed."""
    told = [line.partition(": ")[2] or line for line in _LOGGED if line]
    return told[0][:200] if told else "it says no reason"


def quantize(base: Path, level: str, path: Path) -> None:
    """Quantize a file of float32 as llama-quantize does; without `pure`, tables may get more bits.

    Args:
        base: the file.
        level: a key of FILE_TYPES.
        path: of the file to make.

    Raises:
        DeviceError: llama-cpp-python is not installed.
        ModelError: the library refuses it, as of widths that its blocks do not divide.
    """
    lib = library()
    _LOGGED.clear()
    params = lib.llama_model_quantize_default_params()
    params.ftype, params.pure = FILE_TYPES[level]
    code = lib.llama_model_quantize(str(base).encode(), str(path).encode(), ctypes.byref(params))
    if code:
        raise ModelError(
            f"llama.cpp does not quantize {base.parent.name} to {level}: {_why()}",
            fix="--quant f16, or q8_0",
        )


def check_file(path: Path) -> None:
    """Let the library read all of a file but its weights.

    Raises:
        DeviceError: llama-cpp-python is not installed.
        ModelError: llama.cpp does not load the file.
    """
    lib = library()
    _LOGGED.clear()
    params = lib.llama_model_default_params()
    params.n_gpu_layers = 0
    params.no_alloc, params.load_mode = True, LOAD_NOTHING
    model = lib.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise _unloaded(path)
    lib.llama_model_free(model)


def _unloaded(path: Path) -> ModelError:
    """Return the error of a file that the library does not load."""
    return ModelError(
        f"llama.cpp does not load {path.name}: {_why()}",
        fix="another file of the model, or a newer llama-cpp-python: pip install -U"
        " llama-cpp-python",
    )


def open_model(
    path: Path, device: Device, threads: int, capacity_tokens: int, kv_dtype: str = "float16"
) -> LlamaModel:
    """Load a file and make a context for one sequence; both are timed, as neither runs alone.

    Options are the library's own but for threads and sizes: memory mapping, repacked weights,
    flash attention where it takes it. A cache of a window keeps every position, so that a pass can
    be repeated from any depth.

    Raises:
        DeviceError: llama-cpp-python is not installed.
        ModelError: llama.cpp does not load the file.
        MeasurementError: there is no memory for the context.
    """
    lib = library()
    _LOGGED.clear()
    model_params = lib.llama_model_default_params()
    model_params.n_gpu_layers = 0
    params = lib.llama_context_default_params()
    params.n_ctx = capacity_tokens
    params.n_batch = max(capacity_tokens, LEAST_BATCH_TOKENS)
    params.n_threads = params.n_threads_batch = threads
    params.type_k = params.type_v = GGML_TYPES[kv_dtype]
    params.offload_kqv = params.op_offload = False
    params.swa_full = True
    params.no_perf = True
    start_ns = time.perf_counter_ns()
    model = lib.llama_model_load_from_file(str(path).encode(), model_params)
    if not model:
        raise _unloaded(path)
    context = lib.llama_init_from_model(model, params)
    load_ns = time.perf_counter_ns() - start_ns
    if not context:
        lib.llama_model_free(model)
        raise MeasurementError(
            f"llama.cpp makes no context of {capacity_tokens} tokens for {path.name}: {_why()}",
            fix="a smaller --depth, --prompt or --gen",
        )
    vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
    placement = Placement(verdict=PlacementVerdict.FULL)
    return LlamaModel(
        session=context,
        device=device,
        threads=threads,
        spinning=False,
        load_ns=load_ns,
        placement=placement,
        model=model,
        capacity_tokens=capacity_tokens,
        vocab_size=vocab,
        library=lib,
    )


class LlamaDecoder:
    """One context of one sequence, which rewinds; greedy, and never at an end of text."""

    cache_memory: str | None = None
    batch = 1

    def __init__(self, opened: LlamaModel) -> None:
        """Begin with an empty cache."""
        lib, most = opened.library, opened.capacity_tokens
        self.opened, self._lib, self._context = opened, lib, opened.session
        self._memory = lib.llama_get_memory(opened.session)
        self._history: NDArray[np.int64] = np.zeros((most + 1, 1), np.int64)
        self._depth_tokens = 0
        self.vocab_size = opened.vocab_size
        self._arrays = _BatchArrays(lib, most)
        self._prompt = self._arrays.batch(1)
        self._fed_tokens = 1
        self._step = _BatchArrays(lib, 1)
        self._one = self._step.batch(1)
        self._address = 0
        self._logits: NDArray[np.float32] = np.zeros((1, opened.vocab_size), np.float32)
        self._decode, self._synchronize = lib.llama_decode, lib.llama_synchronize

    @property
    def sessions(self) -> Sequence[OpenedSession]:
        """The one context."""
        return (self.opened,)

    @property
    def next_ids(self) -> NDArray[np.int64]:
        """The token that the next step reads [1], in place."""
        found: NDArray[np.int64] = self._history[self._depth_tokens]
        return found

    @property
    def last_logits(self) -> NDArray[np.float32]:
        """The logits of the last run [1, vocab], in place; the buffer is mostly the same one."""
        pointer = self._lib.llama_get_logits_ith(self._context, -1)
        address = ctypes.addressof(pointer.contents)
        if address != self._address:
            self._address = address
            self._logits = np.ctypeslib.as_array(pointer, (1, self.vocab_size))
        return self._logits

    def touch_cache(self) -> None:
        """Do nothing: the runtime writes all of its cache as it makes it."""

    def fill(self, depth_tokens: int, seed: int) -> None:
        """Read seeded tokens up to `depth_tokens`: there is no other way into this cache."""
        self.rewind(0)
        if depth_tokens:
            self.feed(seeded_ids(seed, 1, depth_tokens, self.vocab_size))
            self.run()

    def rewind(self, depth_tokens: int) -> None:
        """Forget every position from `depth_tokens` on.

        A state is not taken back: what came before is read anew into an empty one.

        Raises:
            UsageError: the cache holds fewer.
            MeasurementError: what came before cannot be read anew.
        """
        check_rewind(depth_tokens, self._depth_tokens)
        if depth_tokens == self._depth_tokens:
            return
        self._depth_tokens = depth_tokens
        if depth_tokens == 0:
            self._lib.llama_memory_clear(self._memory, False)
        elif not self._lib.llama_memory_seq_rm(self._memory, 0, depth_tokens, -1):
            self._lib.llama_memory_clear(self._memory, False)
            self._depth_tokens = 0
            self.feed(self._history[:depth_tokens].T.copy())
            self.run()

    def feed(self, ids: NDArray[np.int64]) -> None:
        """Make the tokens [1, tokens] ready for the next run."""
        check_ids(ids, 1, self.vocab_size)
        count = ids.shape[1]
        check_room(self._depth_tokens, count, self.opened.capacity_tokens)
        self._arrays.tokens[:count] = ids[0]
        self._arrays.positions[:count] = np.arange(self._depth_tokens, self._depth_tokens + count)
        self._arrays.wanted[:count] = 0
        self._arrays.wanted[count - 1] = 1
        self._history[self._depth_tokens : self._depth_tokens + count] = ids.T
        self._prompt = self._arrays.batch(count)
        self._fed_tokens = count

    def run(self) -> None:
        """The run alone, up to its end.

        Raises:
            MeasurementError: the library refused it.
        """
        code = self._decode(self._context, self._prompt)
        self._synchronize(self._context)
        if code:
            raise _failed(code)
        self._depth_tokens += self._fed_tokens

    def pick_greedy(self) -> None:
        """Make the most probable token the next one."""
        self._history[self._depth_tokens, 0] = self.last_logits.argmax()

    def greedy_step(self) -> None:
        """Read `next_ids`, run, pick the next one greedily."""
        depth = self._depth_tokens
        self._step.tokens[0] = self._history[depth, 0]
        self._step.positions[0] = depth
        if code := self._decode(self._context, self._one):
            raise _failed(code)
        self._depth_tokens = depth + 1
        self._history[depth + 1, 0] = self.last_logits.argmax()

    def prepare_steps(self, first_tokens: int, steps: int) -> None:
        """Refuse steps beyond the cache; there is nothing to make ready."""
        check_room(first_tokens, steps, self.opened.capacity_tokens)

    def chosen(self, first_tokens: int, count: int) -> NDArray[np.int64]:
        """The tokens at these positions [count, 1], a copy."""
        return self._history[first_tokens : first_tokens + count].copy()

    def prefill(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Feed and run; the last token's logits [1, 1, vocab]."""
        self.feed(ids)
        self.run()
        return self.last_logits[:, np.newaxis]

    def read_all(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read tokens [1, tokens]; the logits after each of them [tokens, vocab], a copy."""
        self.feed(ids)
        count = ids.shape[1]
        self._arrays.wanted[:count] = 1
        self.run()
        pointer = self._lib.llama_get_logits(self._context)
        return np.ctypeslib.as_array(pointer, (count, self.vocab_size)).copy()

    def download(self) -> NDArray[Any]:
        """The logits: the cache itself is not shown."""
        return self.last_logits


class _BatchArrays:
    """What a batch of one sequence points to: written by numpy, read by the library."""

    def __init__(self, lib: Any, most: int) -> None:
        """Allocate for so many tokens, all of sequence 0, none of them asked for its logits."""
        self._lib = lib
        self.tokens: NDArray[np.int32] = np.zeros(most, np.int32)
        self.positions: NDArray[np.int32] = np.zeros(most, np.int32)
        self.wanted: NDArray[np.int8] = np.zeros(most, np.int8)
        self.wanted[most - 1] = 1
        self._counts: NDArray[np.int32] = np.ones(most, np.int32)
        self._sequence = (lib.llama_seq_id * 1)(0)
        pointer = ctypes.POINTER(lib.llama_seq_id)
        whose = [ctypes.cast(self._sequence, pointer)] * most
        self._sequences = (pointer * (most + 1))(*whose, pointer())

    def batch(self, count: int) -> Any:
        """The first tokens as a batch."""
        lib = self._lib
        return lib.llama_batch(
            n_tokens=count,
            token=self.tokens.ctypes.data_as(ctypes.POINTER(lib.llama_token)),
            embd=None,
            pos=self.positions.ctypes.data_as(ctypes.POINTER(lib.llama_pos)),
            n_seq_id=self._counts.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            seq_id=self._sequences,
            logits=self.wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )


def _failed(code: int) -> MeasurementError:
    """Return the error of a run that the library refused."""
    return MeasurementError(
        f"llama.cpp's llama_decode gave {code}: {_why()}",
        fix="run this cell alone; if it fails again, another file or level",
    )


def open_decoder(
    path: Path, geometry: GgufGeometry, device: Device, threads: int, capacity_tokens: int
) -> LlamaDecoder:
    """Load a file and make its decoder.

    Raises:
        HarnessError: as open_model.
        UsageError: the file has another vocabulary than its header says.
    """
    opened = open_model(path, device, threads, capacity_tokens, geometry.kv_dtype)
    if opened.vocab_size != geometry.vocab_size:
        raise UsageError(
            f"{path.name}: llama.cpp counts {opened.vocab_size} words, its table has"
            f" {geometry.vocab_size} rows",
            fix="convert the model anew",
        )
    return LlamaDecoder(opened)
