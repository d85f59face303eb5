"""The child process that builds one model: its memory and its crashes are its own."""

import errno
import time
from collections.abc import Callable, Mapping
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from harness.core.encoding import read_json_file
from harness.core.errors import StorageError
from harness.machine.meters.memory import memory_mark
from harness.models.specs.model import (
    AnySpec,
    EncoderSpec,
    ModelSpec,
    RotaryEncoderSpec,
    TextSpec,
    spec_type,
)
from harness.models.weights.source import ModelSource
from harness.store.built import Built, SavedCopies

if TYPE_CHECKING:
    from harness.builder.graph.genai import TokenIds

_START = memory_mark()  # before numpy and onnx: what a build needs includes them


def build(
    source: dict[str, Any], level: str, seed: int, folder: str, writer: str | None = None
) -> Built:
    """Build one model into an empty folder.

    Args:
        source: the fields of a ModelSource, paths as text.
        level: name of the quantization level.
        seed: of seeded weights.
        folder: receives the files.
        writer: path of the model's graph that writes what weights are rounded by; None: none.

    Raises:
        ModelError: the weights or the architecture cannot be built.
        StorageError: the disk ran full or cannot be written.
    """
    model = _model(source)
    return _timed(
        lambda: _write(model.spec, model, level, seed, Path(folder), writer),
        f"{model.name} at {level}",
    )


@singledispatch
def _write(
    spec: AnySpec, model: ModelSource, level: str, seed: int, folder: Path, writer: str | None
) -> None:
    """Write the fused graphs of a model, by the kind of its architecture."""
    raise TypeError(f"{spec!r} is no architecture")


@_write.register(EncoderSpec)
@_write.register(RotaryEncoderSpec)
def _write_encoder(
    spec: TextSpec, model: ModelSource, level: str, seed: int, folder: Path, writer: str | None
) -> None:
    from harness.builder.graph.encoder import build_encoder
    from harness.builder.quantize.levels import find_level
    from harness.models.weights.checkpoint import open_weights

    build_encoder(spec, find_level(level), open_weights(model, seed), folder)


@_write.register
def _write_decoder(
    spec: ModelSpec, model: ModelSource, level: str, seed: int, folder: Path, writer: str | None
) -> None:
    from harness.builder.graph.decoder import build_decoder
    from harness.builder.graph.geometry import geometry_of
    from harness.builder.quantize.levels import find_level
    from harness.models.weights.checkpoint import open_weights

    ids, shares = token_ids(model.folder), None
    if writer is not None:
        from harness.builder.quantize.levels import WRITER_LEVEL
        from harness.store.own_writing import OwnInputs

        shares = OwnInputs(Path(writer), geometry_of(spec, find_level(WRITER_LEVEL)), seed)
    build_decoder(spec, find_level(level), open_weights(model, seed), folder, ids, shares)


def build_cache(
    source: dict[str, Any], level: str, seed: int, folder: str, cache: str, base: str
) -> Built:
    """Write the graphs of a model with another KV cache into a folder that holds its data file.

    The model as it is built with its own cache reads the calibration text first, where the cache
    needs scales. onnxruntime-genai takes the cache's type and width from the graph (tried with
    0.18), so its configuration is the same for every cache.

    Args:
        source: the fields of a ModelSource, paths as text.
        level: name of the quantization level.
        seed: of the token ids of a model without a tokenizer.
        folder: receives the files.
        cache: name of the cache level.
        base: path of the graph with the level's own cache.

    Raises:
        UsageError: the calibration text cannot be read with the model's tokenizer.
        ModelError: a key or value of the calibration text is not finite.
        StorageError: as build.
    """
    from harness.builder.graph.decoder import write_graphs
    from harness.builder.graph.genai import write_genai_config
    from harness.builder.graph.geometry import geometry_of
    from harness.builder.quantize.levels import find_cache, find_level
    from harness.store.scales import calibrated_cache

    model, row = _model(source), find_level(level)
    spec = model.spec
    assert isinstance(spec, ModelSpec)  # encoders have no cache

    def write() -> None:
        scaled = calibrated_cache(model, row, find_cache(cache, row), Path(base), seed)
        write_graphs(spec, row, Path(folder), scaled)
        geometry = geometry_of(spec, row, scaled.level)
        write_genai_config(spec, geometry, Path(folder), token_ids(model.folder))

    return _timed(write, f"{model.name} at {level} with a cache in {cache}")


def add_files(
    source: dict[str, Any], level: str, folder: str, files: list[str], layers: list[int]
) -> Built:
    """Write files into the folder of a decoder that was built before there were such.

    Args:
        source: the fields of a ModelSource, paths as text.
        level: name of the quantization level.
        folder: of the built model.
        files: `model_windowed.onnx`, `genai_config.json`.
        layers: whose caches slide.

    Raises:
        StorageError: as build.
    """
    from harness.builder.graph.decoder import write_windowed
    from harness.builder.graph.genai import write_genai_config
    from harness.builder.graph.geometry import geometry_of
    from harness.builder.graph.rules import GENAI_FILE, WINDOWED_FILE
    from harness.builder.quantize.levels import find_level

    model, into = _model(source), Path(folder)

    def write() -> None:
        spec = cast(ModelSpec, model.spec)  # nothing else lacks any
        if WINDOWED_FILE in files:
            write_windowed(layers, into)
        if GENAI_FILE in files:
            geometry = geometry_of(spec, find_level(level))
            write_genai_config(spec, geometry, into, token_ids(model.folder))

    return _timed(write, f"{model.name} at {level}")


def build_static(
    source: dict[str, Any], level: str, seed: int, folder: str, shapes: dict[str, Any]
) -> Built:
    """Build one static model into an empty folder; a fixed-point level is calibrated first.

    Args:
        source: the fields of a ModelSource, paths as text.
        level: name of the quantization level.
        seed: of seeded weights, and of the token ids of a model without a tokenizer.
        folder: receives the files.
        shapes: the fields of a StaticShapes, or of an EncoderShapes.

    Raises:
        UsageError: the calibration text cannot be read with the model's tokenizer.
        ModelError: the weights cannot be built.
        StorageError: as build.
    """
    model = _model(source)
    return _timed(
        lambda: _write_static(model.spec, model, level, seed, Path(folder), shapes),
        f"{model.name} at {level}",
    )


@singledispatch
def _write_static(
    spec: AnySpec, model: ModelSource, level: str, seed: int, folder: Path, shapes: dict[str, Any]
) -> None:
    """Write the static graphs of a model, by the kind of its architecture."""
    raise TypeError(f"{spec!r} is no architecture")


@_write_static.register
def _write_static_encoder(
    spec: EncoderSpec,
    model: ModelSource,
    level: str,
    seed: int,
    folder: Path,
    shapes: dict[str, Any],
) -> None:
    from harness.builder.graph.static.geometry import TextShape
    from harness.builder.quantize.levels import find_level
    from harness.models.weights.checkpoint import open_weights
    from harness.store.static_encoder import build_static_encoder, calibration_texts_of

    texts = calibration_texts_of(model, seed)
    sizes = [TextShape(**shape) for shape in shapes["shapes"]]
    weights = open_weights(model, seed)
    build_static_encoder(spec, find_level(level), weights, folder, sizes, texts)


@_write_static.register
def _refuse_static(
    spec: RotaryEncoderSpec,
    model: ModelSource,
    level: str,
    seed: int,
    folder: Path,
    shapes: dict[str, Any],
) -> None:
    from harness.builder.graph.static.geometry import refuse_rotary_encoder

    refuse_rotary_encoder(spec)


@_write_static.register
def _write_static_decoder(
    spec: ModelSpec, model: ModelSource, level: str, seed: int, folder: Path, shapes: dict[str, Any]
) -> None:
    from harness.builder.graph.static.geometry import static_geometry
    from harness.builder.quantize.levels import find_level
    from harness.models.weights.checkpoint import open_weights
    from harness.store.static_build import build_static_decoder, static_calibration

    row = find_level(level)
    ids = static_calibration(model, static_geometry(spec, row, **shapes), seed)
    weights = open_weights(model, seed)
    build_static_decoder(spec, row, weights, folder, **shapes, calibration_ids=ids)


def prepack(graph: str, to: str, data: str, layers: list[int]) -> SavedCopies:
    """Write a graph with the copies that this machine's kernels make of its weights.

    Its head is taken in slices: a load makes each copy once more, and the largest decides its peak.

    Args:
        graph: path of a built one.
        to: path of the one that is written.
        data: name of the file beside it that gets weights and copies.
        layers: which slide: a graph over caches of windows lies over the same copies.

    Raises:
        ModelError: ONNX Runtime refuses the graph.
        StorageError: as build.
    """
    from harness.builder.graph.decoder import write_windowed
    from harness.builder.graph.outline import saved_copies_bytes
    from harness.builder.graph.slices import sliced_model
    from harness.devices.session import save_prepacked

    file, kept = Path(graph), Path(to)

    def write() -> None:
        save_prepacked(file, sliced_model(file), kept, data)
        write_windowed(layers, kept.parent)

    built = _timed(write, f"{kept.name} with its copies")
    return SavedCopies(
        build_seconds=built.build_seconds,
        build_peak_bytes=built.build_peak_bytes,
        saved_bytes=saved_copies_bytes(kept),
    )


def build_gguf(source: dict[str, Any], seed: int, path: str, half: bool) -> Built:
    """Write the logical weights of a decoder as one GGUF file.

    Args:
        source: the fields of a ModelSource, paths as text.
        seed: of seeded weights.
        path: of the file to make.
        half: matrices as float16.

    Raises:
        ModelError: llama.cpp has no such architecture, or the weights cannot be read.
        DeviceError: the package gguf is not installed.
        StorageError: as build.
    """
    from harness.builder.gguf.families import decoder_of
    from harness.builder.gguf.write import write_gguf
    from harness.models.weights.checkpoint import open_weights

    model = _model(source)
    spec, weights = decoder_of(model.spec), open_weights(model, seed)
    return _timed(
        lambda: write_gguf(spec, weights, Path(path), half=half), f"{model.name} as a GGUF file"
    )


def quantize_gguf(base: str, level: str, path: str) -> Built:
    """Quantize a GGUF file of float32 by llama.cpp's own call.

    Args:
        base: path of the file.
        level: name of the level.
        path: of the file to make.

    Raises:
        ModelError: the library refuses it.
        DeviceError: llama-cpp-python is not installed.
        StorageError: as build.
    """
    from harness.engine.llamacpp import quantize

    return _timed(lambda: quantize(Path(base), level, Path(path)), f"a GGUF file at {level}")


COMMANDS: Mapping[str, Callable[..., Any]] = {
    "build": build,
    "build_gguf": build_gguf,
    "quantize_gguf": quantize_gguf,
    "build_cache": build_cache,
    "build_static": build_static,
    "add_files": add_files,
    "prepack": prepack,
}


def _model(fields: dict[str, Any]) -> ModelSource:
    """A model as it travelled."""
    import msgspec

    spec = msgspec.convert(fields["spec"], spec_type(fields["spec"]))
    folder = None if fields["folder"] is None else Path(fields["folder"])
    return ModelSource(fields["argument"], fields["name"], spec, folder)


def _timed(write: Callable[[], None], what: str) -> Built:
    """Write a build and say what it took.

    Raises:
        StorageError: the disk ran full or cannot be written.
    """
    begin_s = time.perf_counter()
    try:
        write()
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise StorageError(
            f"{what} could not be built: {error.strerror}",
            fix="free space on the cache's disk" if full else "choose another cache: --cache DIR",
        ) from error
    return Built(
        build_seconds=time.perf_counter() - begin_s,
        build_peak_bytes=memory_mark().peak_bytes - _START.peak_bytes,
    )


def token_ids(folder: Path | None) -> "TokenIds":
    """Return the special tokens that a checkpoint's config.json names; 0 where it has no number."""
    from harness.builder.graph.genai import TokenIds

    if folder is None:
        return TokenIds()
    config = read_json_file(folder / "config.json")
    begins, ends, pads = (_ids(config.get(f"{word}_token_id")) for word in ("bos", "eos", "pad"))
    ends = ends or (0,)
    return TokenIds((begins or (0,))[0], ends, (pads or ends)[0])


def _ids(value: Any) -> tuple[int, ...]:
    """Return the token ids among `value`, one or a list of them; nothing measured reads them."""
    items = value if isinstance(value, list) else [value]
    return tuple(item for item in items if type(item) is int)
