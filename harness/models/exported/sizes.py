"""The shape of every input of one pass, from what a test asks and what the files take.

One function for the plan and for the worker: the plan refuses a test by it before anything is
opened, and the worker feeds what it returns, so that a record says what was fed.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from harness.core.errors import UsageError
from harness.models.exported.model import ExportedGraph, ExportedModel, Sound
from harness.models.exported.ports import Dimension, Port

Dims = Mapping[str, int]  # free dimensions by name -> size, as the user gave them
Shapes = dict[str, tuple[int, ...]]
CHANNELS = (1, 3)  # of an image; the second is the usual one
DEFAULT_PIXELS = 224  # a side of an image, where neither file nor configuration says
USUAL_SECONDS = 10.0  # of a sound
TEXT_TOKENS = 8  # of a text whose length no test names, as beside an image
_LENGTH = re.compile(r"(.*?)[_.]?(?:length|lengths|len|lens|seqlen|seqlens)(?:\[\d+\])?")


class Axis(StrEnum):
    """What a dimension of an input counts, in the words of messages."""

    BATCH = "sequences at once"
    TEXTS = "texts beside an image"
    IMAGES = "images of one sequence"
    TOKENS = "tokens"
    BINS = "bins"
    FRAMES = "frames"
    SAMPLES = "samples"
    VOICES = "voices of one sound"
    CHANNELS = "channels"
    HIDDEN = "values of a vector"
    HEIGHT = "pixels of height"
    WIDTH = "pixels of width"


_TEXT = (Axis.BATCH, Axis.TOKENS)
_IMAGE = (Axis.BATCH, Axis.CHANNELS, Axis.HEIGHT, Axis.WIDTH)
# Field of PortNames -> what its dimensions count, one row per rank. Where one free dimension
# stands in several inputs, the first of them sizes it.
_AXES: dict[str, tuple[tuple[Axis, ...], ...]] = {
    "pixel_values": (_IMAGE, (Axis.BATCH, Axis.IMAGES, *_IMAGE[1:])),
    "pixel_mask": ((Axis.BATCH, Axis.HEIGHT, Axis.WIDTH),),
    "input_features": ((Axis.BATCH, Axis.BINS, Axis.FRAMES),),
    "input_values": (
        (Axis.BATCH, Axis.SAMPLES),
        (Axis.BATCH, Axis.VOICES, Axis.SAMPLES),
    ),
    "ids": (_TEXT,),
    "embeds": ((*_TEXT, Axis.HIDDEN),),
    "mask": (_TEXT,),
    "token_types": (_TEXT,),
    "positions": (_TEXT, (Axis.TOKENS,)),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one pass is asked to read; None: as the file says, else as usual.

    Attributes:
        flag: that asks, for messages.
        sequences: texts or images at once.
        tokens: of each text.
        seconds: of each sound.
    """

    flag: str = ""
    sequences: int | None = None
    tokens: int | None = None
    seconds: float | None = None


def fixed_sizes(graph: ExportedGraph, dims: Dims, only: str | None = None) -> dict[Axis, int]:
    """What the file states, or a given free dimension, by what it counts.

    Of a graph that reads images and texts the batch is that of the images.

    Args:
        graph: that is run.
        dims: given ones.
        only: name of the one input that is looked at; None: all.
    """
    found: dict[Axis, int] = {}
    for port, axes in _ordered(graph):
        if only not in (None, port.name):
            continue
        for size, axis in zip(port.shape or (), axes, strict=False):
            known = size if isinstance(size, int) else dims.get(size)
            if axis is not None and known is not None:
                found.setdefault(axis, known)
    return found


def input_shapes(
    graph: ExportedGraph, model: ExportedModel, dims: Dims, reading: Reading
) -> Shapes:
    """The shape of every input of a pass, by its name; of a graph with a cache of the known ones.

    Stated sizes come first, then those that the user gave, then those of inputs before that have
    the same free dimension, then what is asked, then what is usual.

    Raises:
        UsageError: the file takes another size than the asked one, or leaves one open that nothing
            says; names both and the way out.
    """
    asked, usual, sizes = _asked(reading, model.sound), _usual(model), dict(dims)
    shapes: Shapes = {}
    for port, axes in _ordered(graph):
        shape = []
        for size, axis in zip(_stated(port), axes, strict=True):
            wanted = None if axis is None else asked.get(axis)
            found = _size(size, sizes, wanted, None if axis is None else usual.get(axis))
            if found is None:
                raise UsageError(
                    f"{port.name} leaves the dimension {size!r} open",
                    fix=f"--dim {shlex.quote(f'{size}=1')}",
                )
            if wanted is not None and found != wanted:
                how = f"--dim {size}={found}" if size in dims else f"its input {port.name}"
                raise UsageError(
                    f"{reading.flag} asks for {wanted} {axis}; {model.name} takes {found}, as {how}"
                    " says",
                    fix=f"leave {reading.flag} out: the usual tests are of sizes that it takes",
                )
            if isinstance(size, str):
                sizes[size] = found
            shape.append(found)
        shapes[port.name] = tuple(shape)
    return shapes


def length_of(port: Port, graph: ExportedGraph, shapes: Shapes) -> int | None:
    """The value of an integer input that says how long another one is; None: it says no such thing.

    It belongs to the input whose name begins like its own, else to the tokens, else to the first
    input of numbers that has a free dimension behind its batch.
    """
    match = _LENGTH.fullmatch(port.name)
    if match is None or port.element_type not in _WHOLE or (port.rank or 0) > 2:
        return None
    others = [
        other
        for other in graph.inputs
        if _LENGTH.fullmatch(other.name) is None and other.name in shapes
    ]
    own = [other for other in others if match[1] and other.name.startswith(match[1])]
    texts = [other for other in others if other.name == graph.names.ids]
    sounds = [other for other in others if other.element_type not in _WHOLE]
    for other in (*own, *texts, *sounds):
        sizes = zip(other.shape or (), shapes[other.name], strict=True)
        behind = list(sizes)[1:]
        free = [size for stated, size in behind if isinstance(stated, str)]
        if free or behind:
            return free[-1] if free else max(size for _, size in behind)
    return None


def invented_values(graph: ExportedGraph, given: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers and truths that neither a test, the user nor another input says, by name."""
    known = {getattr(graph.names, part) for part in _AXES} | set(given)
    return {
        port.name: blank_value(port)
        for port in graph.inputs
        if port.name not in known
        and port.element_type in (*_WHOLE, "bool")
        and _LENGTH.fullmatch(port.name) is None
    }


def blank_value(port: Port) -> int:
    """What is fed where nothing says it: 1, which hides nothing, or 0, which every table has."""
    return int("mask" in port.name or port.element_type == "bool")


_WHOLE = ("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8")


def _size(stated: Dimension, sizes: Dims, wanted: int | None, usual: int | None) -> int | None:
    """One size, by the first that says it."""
    if isinstance(stated, int):
        return stated
    return next((s for s in (sizes.get(stated), wanted, usual) if s is not None), None)


def _asked(reading: Reading, sound: Sound) -> dict[Axis, int | None]:
    """What a pass is asked to read, by what a dimension counts."""
    seconds = reading.seconds
    return {
        Axis.BATCH: reading.sequences,
        Axis.TOKENS: reading.tokens,
        Axis.FRAMES: None if seconds is None else sound.frames_of(seconds),
        Axis.SAMPLES: None if seconds is None else round(seconds * sound.rate_hz),
    }


def sound_seconds(graph: ExportedGraph, model: ExportedModel, dims: Dims) -> float | None:
    """How long the sounds are that a graph takes; None: of any length."""
    fixed, sound = fixed_sizes(graph, dims), model.sound
    if Axis.SAMPLES in fixed:
        return fixed[Axis.SAMPLES] / sound.rate_hz
    if graph.names.input_features is None and graph.names.input_values is None:
        return None
    frames = fixed.get(Axis.FRAMES, sound.frames if graph.names.input_features else None)
    return None if frames is None else sound.seconds_of(frames)


def _usual(model: ExportedModel) -> dict[Axis, int]:
    """What is fed where neither the file nor a test says: one text or image, of the usual size."""
    hidden = {Axis.HIDDEN: model.hidden_size} if model.hidden_size else {}
    height, width = model.image_size or (DEFAULT_PIXELS, DEFAULT_PIXELS)
    return {
        Axis.BATCH: 1,
        Axis.TEXTS: 1,
        Axis.IMAGES: 1,
        Axis.TOKENS: min(TEXT_TOKENS, model.max_context_tokens or TEXT_TOKENS),
        Axis.BINS: model.sound.bins,
        Axis.FRAMES: model.sound.frames or model.sound.frames_of(USUAL_SECONDS),
        Axis.SAMPLES: round(USUAL_SECONDS * model.sound.rate_hz),
        Axis.VOICES: 1,
        Axis.CHANNELS: CHANNELS[-1],
        Axis.HEIGHT: height,
        Axis.WIDTH: width,
        **hidden,
    }


def _stated(port: Port) -> tuple[Dimension, ...]:
    """The shape of a port.

    Raises:
        UsageError: it has none.
    """
    if port.shape is None:
        raise UsageError(
            f"{port.name} has no stated shape, so no input can be made for it",
            fix="a graph whose inputs have shapes",
        )
    return port.shape


def _ordered(graph: ExportedGraph) -> Iterator[tuple[Port, tuple[Axis | None, ...]]]:
    """Every input with what its dimensions count, those that size others first.

    Of a graph that reads a cache only inputs of known parts: the cache is empty in a pass.
    """
    parts = {getattr(graph.names, part): part for part in _AXES}
    order = list(_AXES)

    def place(port: Port) -> int:
        return order.index(parts[port.name]) if port.name in parts else len(order)

    has_past = graph.cache is not None and graph.cache.has_past
    inputs = [port for port in graph.inputs if port.name in parts or not has_past]
    for port in sorted(inputs, key=place):
        yield port, _axes(port, parts.get(port.name), graph)


def _axes(port: Port, part: str | None, graph: ExportedGraph) -> tuple[Axis | None, ...]:
    """What each dimension of an input counts; None where nothing tells."""
    shape = port.shape or ()
    unknown: tuple[Axis | None, ...] = (None,) * len(shape)
    if part is None or not shape:
        return unknown
    if part == "mask" and len(shape) == 4:
        return (Axis.BATCH, None, Axis.TOKENS, Axis.TOKENS)
    if part == "positions" and len(shape) == 3:  # of time, height and width: Qwen-VL, Qwen3.5
        return (None, Axis.BATCH, Axis.TOKENS)
    rows = _AXES[part]
    axes = next((row for row in rows if len(row) == len(shape)), rows[0])
    if len(axes) > len(shape):
        return unknown
    axes = _reordered(axes, part, shape)
    if part in _BESIDE and not (graph.names.ids or graph.names.embeds):
        axes = (axes[0], Axis.SAMPLES if graph.names.input_values else Axis.FRAMES)
    if part in ("ids", *_BESIDE) and graph.names.pixel_values:
        axes = tuple(Axis.TEXTS if axis is Axis.BATCH else axis for axis in axes)
    return (*axes, *unknown[len(axes) :])


def _reordered(axes: tuple[Axis, ...], part: str, shape: tuple[Dimension, ...]) -> tuple[Axis, ...]:
    """The same of inputs whose last dimension is the stated one: channels, or bins, last."""
    if axes == _IMAGE and shape[-1] in CHANNELS and shape[1] not in CHANNELS:
        return (Axis.BATCH, Axis.HEIGHT, Axis.WIDTH, Axis.CHANNELS)
    if len(shape) != 3 or not isinstance(shape[-1], int):
        return axes
    is_features = part == "input_features" and not isinstance(shape[1], int)
    is_spectrogram = part == "input_values" and shape[1] != 1  # under the name of sounds
    return (Axis.BATCH, Axis.FRAMES, Axis.BINS) if is_features or is_spectrogram else axes


_BESIDE = ("mask", "token_types", "positions")  # what is as long as the text or sound
