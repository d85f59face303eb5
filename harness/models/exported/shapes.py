"""What the ports of a graph are for where no name tells: by type, rank, size and first reader."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from harness.models.exported.flat import PASSING, FlatGraph
from harness.models.exported.names import WHOLE_NUMBERS
from harness.models.exported.ports import Port, PortNames

FLOATS = ("float32", "float16", "bfloat16")
LOOK_UPS = ("Gather", "GatherBlockQuantized")
_STORED = PASSING | {"DequantizeLinear"}
_CHANNELS = (1, 3, 4)
_FEW_TYPES = 4  # rows of a table of token types at most
# Operators whose input of that place is a part of its own. Source: opset 24 of ai.onnx, and the
# schemas of com.microsoft.
_PLACES = {
    ("TensorScatter", 2): "write_indices",
    ("Attention", 6): "held_lengths",
    ("GroupQueryAttention", 5): "last_positions",
    ("GroupQueryAttention", 6): "total_length",
}
_SOUND = re.compile(r"wave|wav$|audio|speech|sound|pcm", re.IGNORECASE)
_LEAST_SAMPLES = 400  # 25 ms at 16 kHz, the shortest frame of a spectrogram
_NO_PICTURE = ("audio", "mel", "spec", "wave", "feature", "sound")


@dataclass(frozen=True, slots=True)
class TokenTable:
    """The table that token ids are looked up in."""

    rows: int
    width: int


def speaks(
    flat: FlatGraph,
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    names: PortNames,
    has_cache: bool,
) -> bool:
    """Whether a graph reads a text: then what goes in and comes out alike is its cache.

    So it is where two inputs or more come out longer: something is appended to them, and no more.
    """
    if names.pixel_values or names.input_features or names.input_values:
        return False
    if names.ids or names.embeds or has_cache:
        return True
    if _text(flat, _left(inputs, names), names).ids:
        return True
    given = {port.name for port in outputs}
    appended = [
        port.name
        for port in inputs
        for node, _ in flat.readers.get(port.name, ())
        if node.op == "Concat" and given.intersection(node.outputs)
    ]
    return len(set(appended)) > 1


def shaped_inputs(
    flat: FlatGraph,
    inputs: Sequence[Port],
    names: PortNames,
    has_cache: bool,
    is_half: bool = False,
) -> PortNames:
    """Return `names` with the inputs that their shapes and readers tell.

    1. Places and lengths of a cache are read by TensorScatter, Attention, GroupQueryAttention.
    2. Token ids are whole numbers [batch, tokens] by which the largest table is looked up; of the
       others one with few rows is of token types, and what is left over may be a mask.
    3. Where there are none, and a cache, vectors of tokens are floats [batch, tokens, width].
    4. Alone, four dimensions with as many channels as pictures have are a picture; floats that
       are called a sound, [batch, samples] or [batch, 1, samples], are one.
    5. Of a half beside an encoder, floats [batch, tokens, width] are what that gives, and whole
       numbers [batch, tokens] its mask; ids that are called the decoder's are its own.

    Args:
        flat: the graph.
        inputs: without caches.
        names: what their names tell.
        has_cache: whether keys, values or states go in.
        is_half: whether it is the decoder half of two.
    """
    has_source = names.ids or names.embeds or names.pixel_values
    if names.decoder_ids and not (has_source or names.input_features or names.input_values):
        names = replace(names, ids=names.decoder_ids, decoder_ids=None)
    for port in _left(inputs, names):
        for node, index in flat.uses(port.name):
            part = _PLACES.get((node.op, index))
            if part is not None and getattr(names, part) is None:
                names = replace(names, **{part: port.name})
    names = _of_text(flat, inputs, names, has_cache)
    left = _left(inputs, names)
    if is_half:
        names = _of_half(_left(inputs, names), names)
    return _alone(left[0], names) if len(inputs) == 1 and left else names


def shaped_outputs(
    outputs: Sequence[Port],
    names: PortNames,
    vocab_size: int | None,
    vectors: Port | None,
    has_cache: bool,
) -> PortNames:
    """Return `names` with the outputs that their shapes tell, where no name told any.

    Logits are floats whose last size is the number of tokens; other floats of three or more
    dimensions are vectors of tokens, patches or frames, of two one vector per text or picture. Of
    a decoder that takes vectors, and of which no more is known, logits are wider or narrower.

    Args:
        outputs: without caches.
        names: what all names and the inputs tell.
        vocab_size: rows of the table of tokens, else as a configuration says.
        vectors: the input of a decoder that takes vectors.
        has_cache: whether keys, values or states go in; then logits may be of the last token alone.
    """
    if names.logits or names.hidden or names.embedding:
        return names
    floats = [port for port in outputs if port.element_type in FLOATS and port.rank]
    deep = [port for port in floats if (port.rank or 0) >= 3]
    is_text = names.ids is not None or names.embeds is not None
    wide = floats if has_cache and vectors is None else deep
    logits = next(
        (port for port in wide if is_text and _is_vocabulary(port, vocab_size, vectors)), None
    )
    if logits is not None:
        return replace(names, logits=logits.name)
    if not (is_text or names.pixel_values or names.input_features or names.input_values):
        return names
    if deep:
        return replace(names, hidden=deep[0].name)
    return replace(names, embedding=floats[0].name) if floats else names


def token_table(flat: FlatGraph, ids: str | None) -> TokenTable | None:
    """Return the table that an input is looked up in, or None: in none."""
    for node, index in flat.uses(ids) if ids else ():
        if node.op in LOOK_UPS and index == 1:
            tensor = flat.tensor(flat.source(node.input(0), _STORED))
            if tensor is not None and len(tensor.dims) >= 2:
                return TokenTable(tensor.dims[0], tensor.dims[-1])
    return None


def _is_vocabulary(port: Port, vocab_size: int | None, vectors: Port | None) -> bool:
    """Whether the last size of a port is the number of tokens."""
    last = (port.shape or (None,))[-1]
    if vocab_size is None and vectors is not None:
        return isinstance(last, int) and last != (vectors.shape or (None,))[-1]
    return vocab_size is not None and last == vocab_size


def _text(flat: FlatGraph, left: Sequence[Port], names: PortNames) -> PortNames:
    """Rule 2 of shaped_inputs."""
    numbers = [port for port in left if port.element_type in WHOLE_NUMBERS and port.rank == 2]
    tables = {port.name: table for port in numbers if (table := token_table(flat, port.name))}
    if not tables:
        return names
    ids = max(tables, key=lambda name: tables[name].rows)
    names = replace(names, ids=ids)
    for name, table in tables.items():
        if name != ids:
            part = "token_types" if table.rows <= _FEW_TYPES else "positions"
            names = replace(names, **{part: name}) if getattr(names, part) is None else names
    return _with(names, "mask", numbers, lambda port: port.name not in tables)


def _of_text(
    flat: FlatGraph, inputs: Sequence[Port], names: PortNames, has_cache: bool
) -> PortNames:
    """Rules 2 and 3 of shaped_inputs."""
    has_media = (
        names.pixel_values or names.input_features or names.input_values or names.decoder_ids
    )
    if not (names.ids or names.embeds or has_media):
        names = _text(flat, _left(inputs, names), names)
    left = _left(inputs, names)
    if not (names.ids or has_media) and names.embeds is None and has_cache:
        vectors = [port for port in left if port.element_type in FLOATS and port.rank == 3]
        names = replace(names, embeds=vectors[0].name) if vectors else names
    return names


def _of_half(left: Sequence[Port], names: PortNames) -> PortNames:
    """Rule 5 of shaped_inputs."""
    names = _with(
        *(names, "encoder_hidden_states", left),
        lambda port: port.element_type in FLOATS and port.rank == 3,
    )
    return _with(
        *(names, "encoder_mask", left),
        lambda port: port.element_type in WHOLE_NUMBERS and port.rank == 2,
    )


def _with(
    names: PortNames, part: str, ports: Iterable[Port], fits: Callable[[Port], bool]
) -> PortNames:
    """Return `names` with the one port that fits a part, where nothing plays it."""
    found = [port.name for port in ports if fits(port)]
    if getattr(names, part) is not None or len(found) != 1:
        return names
    return replace(names, **{part: found[0]})


def _alone(port: Port, names: PortNames) -> PortNames:
    """Rule 4 of shaped_inputs."""
    if _is_picture(port):
        return replace(names, pixel_values=port.name)
    return replace(names, input_values=port.name) if _is_sound(port) else names


def _is_sound(port: Port) -> bool:
    """Whether a port is called a sound and has the dimensions of samples."""
    if port.element_type not in FLOATS or not _SOUND.search(port.name):
        return False
    shape = port.shape or ()
    if len(shape) == 3 and shape[1] != 1:
        return False
    samples = shape[-1] if len(shape) in (2, 3) else 0
    return isinstance(samples, str) or samples >= _LEAST_SAMPLES


def _is_picture(port: Port) -> bool:
    """Whether a port is [batch, channels, height, width], or channels last."""
    if port.rank != 4 or port.element_type not in (*FLOATS, "uint8"):
        return False
    if any(word in port.name.lower() for word in _NO_PICTURE):
        return False
    shape = port.shape or ()
    return shape[1] in _CHANNELS or shape[3] in _CHANNELS


def _left(ports: Iterable[Port], names: PortNames) -> list[Port]:
    """Return the ports that play no part yet."""
    taken = {getattr(names, part) for part in names.__slots__}
    return [port for port in ports if port.name not in taken]
