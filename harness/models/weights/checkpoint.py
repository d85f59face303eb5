"""Trained weights from a Hugging Face folder, read by rows so that memory stays small.

A resolved model is opened here: seeded, or the tensors of a checkpoint.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial, singledispatch
from pathlib import Path

import ml_dtypes  # noqa: F401  # teaches numpy the word bfloat16, which safetensors asks for
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from harness.core.errors import ModelError
from harness.models.configs.packed import refuse_packed_tensors
from harness.models.specs import decoder_names, encoder_names
from harness.models.specs.decoder_places import Place, checkpoint_place
from harness.models.specs.model import AnySpec, EncoderSpec, ModelSpec, RotaryEncoderSpec
from harness.models.specs.tensors import Tensor, logical_tensors
from harness.models.weights.seeded import SeededWeights
from harness.models.weights.source import (
    ModelSource,
    checkpoint_files,
    checkpoint_identity,
    dense_files,
)
from harness.models.weights.store import FloatArray, WeightStore

DTYPES = ("F32", "F16", "BF16")
HEAD = "lm_head.weight"
BASE = "model."  # before the names of a class with a head
DENSE = "dense."  # before those of what follows the pooling


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
        self._model, self._folder, self._spec = source.name, source.folder, source.spec
        names = checkpoint_files(source.folder, source.name)
        stored = _headers([source.folder / name for name in names], source.name)
        stored |= _dense_headers(source.spec, source.folder, source.name)
        self._tensors = {tensor.name: tensor for tensor in logical_tensors(source.spec)}
        naming = _naming(source.spec)
        places = {name: naming.place(tensor) for name, tensor in self._tensors.items()}
        self._places, self._stored = _checked(stored, places, naming, source.name)

    @cached_property
    def identity(self) -> str:
        """`sha256:<16 hex digits>` over config.json and weight files, computed when first asked."""
        return checkpoint_identity(self._spec, self._folder, self._model)

    def tensor(self, name: str) -> FloatArray:
        """Return a whole tensor, float32, in its logical shape."""
        return self.rows(name, 0, self._tensors[name].shape[0])

    def rows(self, name: str, start: int, stop: int) -> FloatArray:
        """Return rows `start` to `stop` of `name`, float32 [stop - start, ...]."""
        count, place = self._tensors[name].shape[0], self._places[name]
        if not 0 <= start < stop <= count:
            raise IndexError(f"rows {start}:{stop} of {name}, which has {count}")
        if not place.joined:
            return self._placed_rows(place, start, stop)
        found, first = [], 0
        for rows, piece in place.joined:
            begin, end = max(start, first) - first, min(stop, first + rows) - first
            if begin < end:
                found.append(self._placed_rows(piece, begin, end))
            first += rows
        return np.concatenate(found)

    def _placed_rows(self, place: Place, start: int, stop: int) -> FloatArray:
        """Return rows of what lies at one place of one stored tensor."""
        stored = self._stored[place.name]
        kept = _rows_of(place, start, stop)
        first, last = int(kept[0]), int(kept[-1]) + 1
        every = slice(place.turns * start, place.turns * stop)
        with _reading(stored.path, self._model), safe_open(stored.path, "numpy") as file:
            part = file.get_slice(stored.name)
            if place.by_rows:
                number = place.expert or 0
                values = part[number : number + 1, first:last][0]
            elif place.expert is not None:
                whole = part[place.expert : place.expert + 1, ..., every][0]
                values = whole[..., place.first_row :: place.turns].T
            elif place.flat:
                values = part[0:1][0, first:last]
            else:
                values = part[:, first:last].T if place.transposed else part[first:last]
            if place.run_rows:
                values = values[kept - first]
            floats = np.array(values, dtype=np.float32, order="C")
        floats = floats + np.float32(place.added) if place.added else floats
        return floats * np.float32(place.factor) if place.factor != 1.0 else floats


def _rows_of(place: Place, start: int, stop: int) -> NDArray[np.int64]:
    """Return which stored rows are ours from `start` to `stop`."""
    rows = np.arange(start, stop)
    if place.run_rows:
        rows = rows // place.run_rows * place.stride_rows + rows % place.run_rows
    return place.first_row + rows


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


def _dense_headers(spec: AnySpec, folder: Path, model: str) -> dict[str, Stored]:
    """Return the tensors of dense layers that lie in folders of their own, by our names."""
    found: dict[str, Stored] = {}
    for place, path in enumerate(dense_files(spec, folder, model)):
        headers = _headers([path], model)
        found |= {
            f"{DENSE}{place}.{name.removeprefix('linear.')}": part for name, part in headers.items()
        }
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


@dataclass(frozen=True, slots=True)
class _Naming:
    """How checkpoints of one architecture name their tensors.

    Attributes:
        place: where a checkpoint keeps our tensor.
        is_of_part: whether a stored tensor is of the part that is built.
        plain: a stored name without what some checkpoints of its family write before it.
        is_ignorable: whether a tensor beyond the architecture is known not to matter.
    """

    place: Callable[[Tensor], Place]
    is_of_part: Callable[[str], bool]
    plain: Callable[[str], str]
    is_ignorable: Callable[[str], bool]


@singledispatch
def _naming(spec: AnySpec) -> _Naming:
    """Return the names of an architecture's tensors, by its kind."""
    raise TypeError(f"{spec!r} is no architecture")


@_naming.register
def _encoder_naming(spec: EncoderSpec) -> _Naming:
    """A checkpoint may hold heads of its pre-training."""
    return _Naming(
        lambda tensor: Place(encoder_names.checkpoint_name(spec, tensor.name), tensor.shape),
        lambda _name: True,
        partial(encoder_names.without_prefix, spec),
        encoder_names.is_unused,
    )


@_naming.register
def _rotary_encoder_naming(spec: RotaryEncoderSpec) -> _Naming:
    """A checkpoint may hold a head over words, which an encoder does without."""

    def place(tensor: Tensor) -> Place:
        if tensor.name.startswith(DENSE) and not spec.scores:
            return Place(tensor.name, tensor.shape)  # of a folder of its own
        return checkpoint_place(spec, tensor)

    return _Naming(
        place,
        partial(decoder_names.is_of_part, spec),
        partial(decoder_names.without_prefix, spec),
        lambda name: decoder_names.is_buffer(spec, name) or decoder_names.is_unused(spec, name),
    )


@_naming.register
def _decoder_naming(spec: ModelSpec) -> _Naming:
    """A tied checkpoint may hold its head twice: transformers, too, reads the embedding."""
    return _Naming(
        partial(checkpoint_place, spec),
        partial(decoder_names.is_of_part, spec),
        partial(decoder_names.without_prefix, spec),
        lambda name: decoder_names.is_buffer(spec, name) or (name == HEAD and spec.tied_embeddings),
    )


def _checked(
    found: dict[str, Stored], places: dict[str, Place], naming: _Naming, model: str
) -> tuple[dict[str, Place], dict[str, Stored]]:
    """Return where the architecture's tensors lie, and the stored ones by name.

    Refuse missing ones, others, wrong shapes and types.
    """
    refuse_packed_tensors(found, model)
    of_part = {name: part for name, part in found.items() if naming.is_of_part(name)}
    if not of_part:
        raise ModelError(
            f"{model}: no tensor of the text part is in the checkpoint",
            fix=f"its names begin with {' or '.join(decoder_names.TEXT_PREFIXES)}: download every"
            " file of the checkpoint",
        )
    known = {piece.name for place in places.values() for piece in _pieces(place)}
    stored = {_with_base(naming.plain(name), known): part for name, part in of_part.items()}
    chosen = {name: _as_stored(place, stored) for name, place in places.items()}
    expected = {piece.name: piece for place in chosen.values() for piece in _pieces(place)}
    missing = [name for name in expected if name not in stored]
    if missing:
        raise _missing(missing, model, _prefix(missing, stored))
    extra = [name for name in stored if name not in expected and not naming.is_ignorable(name)]
    if extra:
        raise ModelError(
            f"{model}: {_some(extra)} in the checkpoint, not in the architecture of config.json",
            fix="take config.json and weights from one checkpoint, adapters merged into it",
        )
    for name, place in expected.items():
        _check_tensor(stored[name], place, model)
    return chosen, stored


def _pieces(place: Place) -> tuple[Place, ...]:
    """Return the places in stored tensors that one of ours is made of."""
    others = () if place.other is None else (place.other,)
    return (*(piece for _rows, piece in place.joined),) if place.joined else (place, *others)


def _as_stored(place: Place, stored: dict[str, Stored]) -> Place:
    """Return where a checkpoint keeps a tensor, of the places where it may.

    transformers 5 cuts what it saves in several (OLMo Hybrid) into equal pieces, whatever their
    heads: those are taken as they are, one below the other.
    """
    if place.other is not None:
        alone, first = place.other, replace(place, other=None)
        return alone if place.name not in stored and alone.name in stored else first
    shapes = [stored[piece.name].shape for _rows, piece in place.joined if piece.name in stored]
    whole = {piece.name for _rows, piece in place.joined}
    if len(shapes) != len(place.joined) or len(whole) != len(shapes) or not shapes:
        return place
    rows = [shape[0] for shape in shapes]
    if sum(rows) != place.shape[0]:
        return place
    pieces = (
        (count, replace(piece, shape=(count, *place.shape[1:])))
        for count, (_rows, piece) in zip(rows, place.joined, strict=True)
    )
    return replace(place, joined=tuple(pieces))


def _check_tensor(stored: Stored, place: Place, model: str) -> None:
    """Refuse another shape or type than the architecture asks for."""
    where = f"{model}/{stored.path.name}: {stored.name}"
    if stored.shape != place.shape:
        raise ModelError(
            f"{where} has shape {list(stored.shape)}, config.json asks for {list(place.shape)}",
            fix="take config.json and weights from one checkpoint",
        )
    if stored.dtype not in DTYPES:
        raise ModelError(
            f"{where} is stored as {stored.dtype}", fix=f"supported: {', '.join(DTYPES)}"
        )


def _with_base(name: str, expected: Collection[str]) -> str:
    """Return a stored name as a class with a head writes it: classes without one leave BASE out."""
    longer = BASE + name
    return longer if name not in expected and longer in expected else name


def _prefix(missing: list[str], stored: Collection[str]) -> str:
    """Return what stands before every missing name in the checkpoint; empty: nothing of that kind.

    Wrappers write such (`_orig_mod.` of torch.compile, `module.` of data parallel training), and
    models of which the decoder is a part (`language_model.`).
    """
    plain = [name.removeprefix(BASE) for name in missing if name != HEAD]
    own = {"", BASE} if any(name.startswith(BASE) for name in missing) else {""}
    begins = {name.removesuffix(end) for end in plain[:1] for name in stored if name.endswith(end)}
    whole = {begin.removesuffix(BASE) for begin in begins if begin.endswith(f".{BASE}")}
    fitting = [
        prefix
        for prefix in sorted((begins | whole) - own, key=len)
        if all(prefix + name in stored or prefix + BASE + name in stored for name in plain)
    ]
    return fitting[0] if fitting else ""


def _missing(names: list[str], model: str, prefix: str) -> ModelError:
    """Return the error for tensors that no file holds."""
    if prefix:
        return ModelError(
            f"{model}: every name of the checkpoint begins with {prefix!r}, as wrapped models"
            f" write it ({_some(names)} missing)",
            fix=f"save the model inside, or take {prefix!r} off the names of its tensors",
        )
    if names == [HEAD]:
        fix = "set tie_word_embeddings to true in config.json if the head is the embedding"
    else:
        fix = "download every file of the checkpoint; names must be those of transformers"
    return ModelError(f"{model}: {_some(names)} missing from the checkpoint", fix=fix)


def _some(names: list[str]) -> str:
    """Return the first name and how many more there are, with the verb that fits."""
    return f"{names[0]} is" if len(names) == 1 else f"{names[0]} and {len(names) - 1} more are"


def open_weights(source: ModelSource, seed: int = 0) -> WeightStore:
    """Open the weights of a resolved model; a checkpoint's names and shapes are checked here.

    Raises:
        UsageError: a negative seed.
        ModelError: the checkpoint is damaged or does not fit the architecture.
    """
    if source.folder is None:
        return SeededWeights(source.spec, seed)
    return CheckpointWeights(source)
