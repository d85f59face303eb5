"""Seeded inputs of one pass of any graph: texts, images, sounds, or whatever the shapes say."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import UsageError
from harness.engine.exported.caches import cached_tensors
from harness.engine.exported.feeds import arrays_of, with_sizes
from harness.engine.exported.geometry import CHANNELS, ExportedGeometry
from harness.engine.exported.values import dtype_of
from harness.engine.passes import seeded_ids
from harness.models.exported.model import ExportedGraph
from harness.models.exported.ports import Port

Arrays = dict[str, NDArray[Any]]
TEXT_TOKENS = 8  # of the text beside an image, where a graph wants both


def pass_inputs(
    graph: ExportedGraph, geometry: ExportedGeometry, sequences: int, tokens: int, seed: int
) -> Arrays:
    """Every input of one pass.

    Args:
        graph: that is run.
        geometry: vocabulary, image size, given dimensions.
        sequences: texts, images or sounds at once.
        tokens: of each text; 0: there are none, or their number is the graph's own.
        seed: of the values.

    Raises:
        UsageError: a free dimension that nothing says the size of.
        ModelError: an input that is no tensor of numbers.
    """
    given = dict(geometry.dims)
    texts = 1 if graph.names.pixel_values and graph.names.ids else sequences
    ids = seeded_ids(seed, texts, tokens or TEXT_TOKENS, geometry.vocab_size)
    known: Arrays = {}
    if graph.names.ids is not None or graph.names.embeds is not None:
        sized = with_sizes(graph, given, geometry.model.hidden_size)
        known = {**arrays_of(sized, ids, 0), **_empty_past(graph, texts)}
    if graph.names.pixel_values is not None:
        port = graph.port(graph.names.pixel_values)
        shape = _sized(port, given, (sequences, CHANNELS, *geometry.image_pixels))
        known[port.name] = normal(shape, port, seed)
    if graph.names.input_features is not None:
        port = graph.port(graph.names.input_features)
        known[port.name] = normal(_sized(port, given, (sequences,)), port, seed)
    for number, port in enumerate(graph.inputs):
        if port.name not in known:
            known[port.name] = any_values(port, given, (seed, number))
    return known


def any_values(port: Port, given: dict[str, int], seeds: tuple[int, ...]) -> NDArray[Any]:
    """Normal floats; integers 0, which every table has; masks and truths 1.

    Raises:
        UsageError: a free dimension without a size, or no shape at all.
    """
    dtype, shape = dtype_of(port), _sized(port, given, ())
    if dtype.kind == "f":
        return normal(shape, port, seeds)
    is_seen = dtype.kind == "b" or "mask" in port.name
    return np.full(shape, is_seen, dtype)


def normal(shape: tuple[int, ...], port: Port, seeds: int | tuple[int, ...]) -> NDArray[Any]:
    """Standard normal values of a port's type."""
    values = np.random.default_rng(seeds).standard_normal(shape, dtype=np.float32)
    return values.astype(dtype_of(port), copy=False)


def _empty_past(graph: ExportedGraph, sequences: int) -> Arrays:
    """A cache that holds no token: of a decoder that is run as an encoder of texts."""
    return {
        tensor.past: np.zeros(tensor.room(0), tensor.dtype)
        for tensor in cached_tensors(graph, sequences)
    }


def _sized(port: Port, given: dict[str, int], usual: tuple[int, ...]) -> tuple[int, ...]:
    """A port's shape: stated sizes, then those that the user gave, then the usual ones by place.

    Raises:
        UsageError: names what is left open.
    """
    if port.shape is None:
        raise UsageError(
            f"{port.name} has no stated shape, so no input can be made for it",
            fix="a graph whose inputs have shapes",
        )
    sizes: list[int] = []
    for place, size in enumerate(port.shape):
        if isinstance(size, int):
            sizes.append(size)
        elif size in given:
            sizes.append(given[size])
        elif place < len(usual):
            sizes.append(usual[place])
        else:
            raise UsageError(
                f"{port.name} leaves the dimension {size!r} open", fix=f"--dim {size!r}=1"
            )
    return tuple(sizes)
