"""Trained weights from a Hugging Face folder, read by rows so that memory stays small."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import ml_dtypes  # noqa: F401  # teaches numpy the word bfloat16, which safetensors asks for
import numpy as np
from safetensors import SafetensorError, safe_open

from harness.errors import ModelError
from harness.specs.encoder import AnySpec, EncoderSpec
from harness.specs.encoder_names import checkpoint_name, is_unused, without_prefix
from harness.specs.tensors import Tensor, logical_tensors
from harness.weights.identity import checkpoint_identity
from harness.weights.shards import checkpoint_files
from harness.weights.source import ModelSource
from harness.weights.store import FloatArray

DTYPES = ("F32", "F16", "BF16")
HEAD = "lm_head.weight"
# Buffers that old checkpoints store although they follow from config.json.
IGNORED_SUFFIX = ".rotary_emb.inv_freq"


@dataclass(frozen=True, slots=True)
class Stored:
    """Where one tensor lies and how.

    Attributes:
        path: its safetensors file.
        name: as stored.
        shape: as stored.
        dtype: safetensors' word: F32, F16, BF16, ...
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: str


class CheckpointWeights:
    """A Hugging Face folder as a WeightStore; float16 and bfloat16 become float32 exactly.

    A file is opened anew for every read: a mapping kept open would count every page read so far
    as this process's memory (measured over 600 MB: 642 MB peak against 28, for 0.3 ms a read).
    """

    kind = "trained"

    def __init__(self, source: ModelSource) -> None:
        """Read the headers of all files and check every name, shape and type.

        Raises:
            ModelError: a damaged file, or tensors that are not those of `source.spec`.
            ValueError: `source` has no folder: a mistake of the caller.
        """
        if source.folder is None:
            raise ValueError(f"{source.name} has no folder of weights")
        self._model, self._folder = source.name, source.folder
        names = checkpoint_files(source.folder, source.name)
        stored = _headers([source.folder / name for name in names], source.name)
        self._stored = _checked(stored, source.spec, source.name)

    @cached_property
    def identity(self) -> str:
        """`sha256:<16 hex digits>` over config.json and weight files, computed when first asked."""
        return checkpoint_identity(self._folder, self._model)

    def tensor(self, name: str) -> FloatArray:
        """Return a whole tensor, float32, in its logical shape."""
        return self.rows(name, 0, self._stored[name].shape[0])

    def rows(self, name: str, start: int, stop: int) -> FloatArray:
        """Return rows `start` to `stop` of `name`, float32 [stop - start, ...]."""
        stored = self._stored[name]
        if not 0 <= start < stop <= stored.shape[0]:
            raise IndexError(f"rows {start}:{stop} of {name}, which has {stored.shape[0]}")
        with _reading(stored.path, self._model), safe_open(stored.path, "numpy") as file:
            return np.array(file.get_slice(stored.name)[start:stop], dtype=np.float32)


def _headers(paths: list[Path], model: str) -> dict[str, Stored]:
    """Return every tensor of every file; safetensors checks the layout against the length."""
    found: dict[str, Stored] = {}
    for path in paths:
        with _reading(path, model), safe_open(path, "numpy") as file:
            for name in file.keys():  # noqa: SIM118  # a method of safe_open, not of a dict
                part = file.get_slice(name)
                if name in found:
                    raise ModelError(
                        f"{model}: {name} is stored in {found[name].path.name} and {path.name}",
                        fix="remove the file that is not of this checkpoint",
                    )
                shape, dtype = tuple(part.get_shape()), str(part.get_dtype())
                found[name] = Stored(path, name, shape, dtype)
    return found


@contextmanager
def _reading(path: Path, model: str) -> Iterator[None]:
    """Turn what safetensors and the system raise into one message that names the file."""
    try:
        yield
    except SafetensorError as error:
        raise ModelError(
            f"{model}/{path.name} is damaged or cut off: {str(error)[:120]}",
            fix="download the file again and compare its length with the published one",
        ) from error
    except OSError as error:
        raise ModelError(
            f"{model}/{path.name} cannot be read: {error.strerror or error}",
            fix="check the file and its rights",
        ) from error


def _checked(found: dict[str, Stored], spec: AnySpec, model: str) -> dict[str, Stored]:
    """Return the architecture's tensors; refuse missing ones, others, wrong shapes and types."""
    stored = {_plain_name(spec, name): part for name, part in found.items()}
    expected = {_expected_name(spec, tensor.name): tensor for tensor in logical_tensors(spec)}
    missing = [name for name in expected if name not in stored]
    if missing:
        raise _missing(missing, model)
    extra = [name for name in stored if name not in expected and not _ignorable(name, spec)]
    if extra:
        raise ModelError(
            f"{model}: {_some(extra)} in the checkpoint, not in the architecture of config.json",
            fix="take config.json and weights from one checkpoint, adapters merged into it",
        )
    for name, tensor in expected.items():
        _check_tensor(stored[name], tensor, model)
    return {tensor.name: stored[name] for name, tensor in expected.items()}


def _plain_name(spec: AnySpec, name: str) -> str:
    """Return a stored name without what some classes of an encoder's family write before it."""
    return without_prefix(spec, name) if isinstance(spec, EncoderSpec) else name


def _expected_name(spec: AnySpec, name: str) -> str:
    """Return what a checkpoint calls our tensor."""
    return checkpoint_name(spec, name) if isinstance(spec, EncoderSpec) else name


def _check_tensor(stored: Stored, tensor: Tensor, model: str) -> None:
    """Refuse another shape or type than the architecture asks for."""
    where = f"{model}/{stored.path.name}: {stored.name}"
    if stored.shape != tensor.shape:
        raise ModelError(
            f"{where} has shape {list(stored.shape)}, config.json asks for {list(tensor.shape)}",
            fix="take config.json and weights from one checkpoint",
        )
    if stored.dtype not in DTYPES:
        raise ModelError(
            f"{where} is stored as {stored.dtype}", fix=f"supported: {', '.join(DTYPES)}"
        )


def _ignorable(name: str, spec: AnySpec) -> bool:
    """Whether a tensor beyond the architecture is known not to matter.

    An encoder's checkpoint may hold heads of its pre-training, a tied one its head a second time:
    transformers, too, reads the embedding.
    """
    if isinstance(spec, EncoderSpec):
        return is_unused(name)
    return name.endswith(IGNORED_SUFFIX) or (name == HEAD and spec.tied_embeddings)


def _missing(names: list[str], model: str) -> ModelError:
    """Return the error for tensors that no file holds."""
    if names == [HEAD]:
        fix = "set tie_word_embeddings to true in config.json if the head is the embedding"
    else:
        fix = "download every file of the checkpoint; names must be those of transformers"
    return ModelError(f"{model}: {_some(names)} missing from the checkpoint", fix=fix)


def _some(names: list[str]) -> str:
    """Return the first name and how many more there are, with the verb that fits."""
    return f"{names[0]} is" if len(names) == 1 else f"{names[0]} and {len(names) - 1} more are"
