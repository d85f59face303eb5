"""Rotary frequencies and windows as a graph has them, held against its configuration.

An exporter may lose what a configuration says: a base under a name that it does not know, a
stretching, a window. The graph runs at the same speed, or faster, and gives other logits.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from harness.models.exported.constants import TO_ANGLES
from harness.models.exported.flat import FlatGraph
from harness.models.exported.tensors import FLOAT_LEVELS, TYPES, elements, stored_array
from harness.models.specs.model import ModelSpec

Frequencies = NDArray[np.float64]  # radians a token of each rotated pair [rotated values / 2]
_MOST_PAIRS = 1024
# Of frequencies: what half precision and other roundings move, beside one of another base.
_RELATIVE, _ABSOLUTE = 0.01, 2e-6
_NEAR = 4e-3  # of a cosine in bfloat16
_WINDOW = "local_window_size"  # of GroupQueryAttention; -1: it sees everything


@dataclass(frozen=True, slots=True)
class Turns:
    """What a graph says of positions.

    Attributes:
        frequencies: every list of them that it holds, each once.
        windows: of its GroupQueryAttention nodes: tokens that one sees -> nodes; None: all.
    """

    frequencies: tuple[Frequencies, ...] = ()
    windows: Mapping[int | None, int] | None = None


def turns_of(flat: FlatGraph, folder: Path) -> Turns:
    """Return what a graph whose data lies in `folder` says of positions."""
    found: list[Frequencies] = []
    for one in (*_constants(flat, folder), *_tables(flat, folder)):
        plain = _each_once(one)
        if not any(_alike(plain, other) for other in found):
            found.append(plain)
    fused = [node for node in flat.nodes if node.op == "GroupQueryAttention"]
    sizes = (node.whole(_WINDOW, -1) for node in fused)
    windows = Counter(size if size > 0 else None for size in sizes)
    return Turns(tuple(found), dict(windows) if fused else None)


def differences(turns: Turns, spec: ModelSpec, context_tokens: int | None) -> tuple[str, ...]:
    """Return in sentences what a graph has otherwise than its configuration.

    Args:
        turns: of the graph.
        spec: what config.json describes.
        context_tokens: longest sequence: a window of as many hides nothing; None: not known.
    """
    return (*_other_frequencies(turns, spec), *_other_windows(turns, spec, context_tokens))


def lost_window(
    turns: Turns, window_tokens: int | None, context_tokens: int | None
) -> tuple[str, ...]:
    """Return in a sentence that no attention has the window which genai_config.json gives.

    Args:
        turns: of the graph.
        window_tokens: of some layer or other; None: there is none.
        context_tokens: as of differences.
    """
    hides = window_tokens is not None and window_tokens < (context_tokens or window_tokens + 1)
    if not hides or turns.windows is None or any(turns.windows.keys()):
        return ()
    return (
        f"no attention of it has a window; genai_config.json says {window_tokens:,} tokens: beyond"
        " them it does other work, and gives other logits",
    )


def _other_frequencies(turns: Turns, spec: ModelSpec) -> Iterator[str]:
    """A sentence for every list of frequencies that the graph should hold and does not."""
    from harness.models.specs.rotary import inverse_frequencies

    rotated = [layer for layer in spec.layers if layer.attends and layer.rotary]
    for windowed in dict.fromkeys(layer.window_tokens is not None for layer in rotated):
        wanted = np.asarray(inverse_frequencies(spec, windowed=windowed), np.float64)
        there = [one for one in turns.frequencies if len(one) == len(wanted)]
        if not there or any(_alike(one, wanted) for one in there):
            continue
        has = " and ".join(_words(one) for one in there)
        whose = " in layers with a window" if windowed and len(set(map(len, there))) > 1 else ""
        yield (
            f"its rotary positions{whose} have {has}; config.json says"
            f" {_stated(spec, windowed)}: the logits are not those of the checkpoint"
        )


def _other_windows(turns: Turns, spec: ModelSpec, context_tokens: int | None) -> Iterator[str]:
    """A sentence where windows of fused attention are others than those of the layers."""
    layers = [layer for layer in spec.layers if layer.attends]
    if turns.windows is None or sum(turns.windows.values()) != len(layers):
        return
    wanted = Counter(layer.window_tokens for layer in layers)
    longest = max((size for size in wanted if size is not None), default=0)
    hides = context_tokens is None or longest < context_tokens
    if dict(wanted) == dict(turns.windows) or (longest and not hides and None in turns.windows):
        return
    yield (
        f"its attention sees {_seen(turns.windows)}; config.json says {_seen(wanted)}: beyond the"
        " window it does other work, and gives other logits"
    )


def _seen(windows: Mapping[int | None, int]) -> str:
    """How many layers see how much, the shortest window first."""
    ordered = sorted(windows.items(), key=lambda item: (item[0] is None, item[0] or 0))
    return ", ".join(
        f"{'everything' if size is None else f'{size:,} tokens'} in {layers} layers"
        for size, layers in ordered
    )


def _words(frequencies: Frequencies) -> str:
    """The base of a list of frequencies; of a stretched one its ends."""
    pairs = len(frequencies)
    turning = np.flatnonzero(frequencies > 0)
    if pairs > 1 and len(turning) == pairs:
        exponents = np.arange(1, pairs) / pairs
        bases = (frequencies[1:] / frequencies[0]) ** (-1 / exponents)
        if bases.max() / bases.min() - 1 < _RELATIVE:
            factor = 1 / float(frequencies[0])
            stretched = "" if abs(factor - 1) < _RELATIVE else f", linear by {factor:.4g}"
            return f"base {_rounded(float(np.median(bases)))}{stretched}"
    return f"frequencies from {frequencies[0]:.4g} down to {frequencies[-1]:.4g}"


def _rounded(base: float) -> str:
    """A base without what rounding left of it."""
    round_one, near = float(f"{base:.1g}"), float(f"{base:.3g}")
    near = round_one if abs(round_one / base - 1) < _RELATIVE / 2 else near
    return f"{near:,.0f}" if near >= 100 else f"{near:g}"


def _stated(spec: ModelSpec, windowed: bool) -> str:
    """Base and stretching as a configuration has them."""
    if windowed and spec.local_rope_theta is not None:
        return f"base {_rounded(spec.local_rope_theta)}"
    scaling = spec.rope_scaling
    kind = "" if scaling is None else f", {scaling.kind} by {scaling.factor:.4g}"
    return f"base {_rounded(spec.rope_theta)}{kind}"


def _constants(flat: FlatGraph, folder: Path) -> Iterator[Frequencies]:
    """Stored vectors that lead to cosines and sines and to nothing else."""
    for name, tensor in (*flat.stored.items(), *flat.constants.items()):
        if not _is_float(tensor) or not 2 <= elements(tensor) <= 2 * _MOST_PAIRS:
            continue
        if max(tensor.dims, default=0) != elements(tensor):
            continue
        ends = {node.op for node, _ in flat.uses(name, TO_ANGLES)}
        values = stored_array(tensor, folder).reshape(-1).astype(np.float64)
        falling = bool(np.all(values >= 0)) and 0 < values[0] <= 1 and values[-1] < values[0]
        if ends and ends <= {"Cos", "Sin"} and falling:
            yield values


def _tables(flat: FlatGraph, folder: Path) -> Iterator[Frequencies]:
    """Pairs of stored tables [position, pair] of cosines and sines, by their first two rows."""
    heads = [*_heads(flat, folder)]
    sines = [(dims, rows) for dims, rows in heads if np.all(rows[0] == 0)]
    cosines = [(dims, rows) for dims, rows in heads if rows[0, 0] > 0]
    for dims, sine in sines:
        for others, cosine in cosines:
            if dims != others or sine[1, 0] <= 0:
                continue
            length = np.hypot(cosine[1], sine[1]) / cosine[0]
            if np.all(np.abs(length - 1) < _NEAR):
                yield np.arctan2(sine[1], cosine[1])


def _heads(flat: FlatGraph, folder: Path) -> Iterator[tuple[tuple[int, ...], Frequencies]]:
    """Shape and first two rows of every stored table whose first row is one number."""
    for tensor in (*flat.stored.values(), *flat.constants.values()):
        dims = tuple(size for size in tensor.dims if size != 1)
        if not _is_float(tensor) or len(dims) != 2 or dims[0] < 2 or dims[1] > 2 * _MOST_PAIRS:
            continue
        rows = stored_array(tensor, folder).reshape(dims)[:2].astype(np.float64)
        if np.all(np.abs(rows[0] - rows[0, 0]) < _NEAR):
            yield dims, rows


def _each_once(frequencies: Frequencies) -> Frequencies:
    """The same where each stands twice, for both values of its pair: halves, or neighbours."""
    pairs = len(frequencies) // 2
    if pairs and len(frequencies) == 2 * pairs:
        if np.array_equal(frequencies[:pairs], frequencies[pairs:]):
            return frequencies[:pairs]
        if np.array_equal(frequencies[::2], frequencies[1::2]):
            return frequencies[::2]
    return frequencies


def _alike(one: Frequencies, other: Frequencies) -> bool:
    """Whether two lists are one, but for rounding."""
    if len(one) != len(other):
        return False
    return bool(np.allclose(one, other, rtol=_RELATIVE, atol=_ABSOLUTE))


def _is_float(tensor: onnx.TensorProto) -> bool:
    """Whether a tensor holds floats."""
    kind: tuple[int, Any] = TYPES.get(tensor.data_type, (0, ""))
    return kind[1] in FLOAT_LEVELS


def merged(turns: Sequence[Turns]) -> Turns:
    """What the graphs of one model say together; windows are those of the first that has any."""
    lists = tuple(one for graph in turns for one in graph.frequencies)
    return Turns(lists, next((graph.windows for graph in turns if graph.windows), None))
