"""Seeded inputs of one pass of any graph: texts, images, sounds, or whatever the shapes say."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.engine.exported.caches import cached_tensors
from harness.engine.exported.feeds import arrays_of, with_sizes
from harness.engine.exported.geometry import ExportedGeometry
from harness.engine.exported.values import dtype_of
from harness.engine.passes import seeded_ids
from harness.models.exported.model import ExportedGraph
from harness.models.exported.ports import Port
from harness.models.exported.sizes import (
    Reading,
    blank_value,
    input_shapes,
    length_of,
)

Arrays = dict[str, NDArray[Any]]
FLOATS = ("float32", "float16", "float64", "bfloat16")


def pass_inputs(
    graph: ExportedGraph, geometry: ExportedGeometry, reading: Reading, seed: int
) -> Arrays:
    """Every input of one pass.

    Args:
        graph: that is run.
        geometry: vocabulary, image size, given dimensions and values.
        reading: what is asked of it.
        seed: of the values.

    Raises:
        UsageError: another size than the file takes, or a free dimension that nothing sizes.
        ModelError: an input that is no tensor of numbers.
    """
    given, dims = dict(geometry.inputs), dict(geometry.dims)
    shapes = input_shapes(graph, geometry.model, dims, reading)
    said = dict(given)
    for port in graph.inputs:
        length = length_of(port, graph, shapes)
        if length is not None:
            said.setdefault(port.name, length)
    known: Arrays = {}
    text = graph.names.ids or graph.names.embeds
    if text is not None:
        texts, tokens = shapes[text][:2]
        ids = seeded_ids(seed, texts, tokens, geometry.vocab_size)
        sized = with_sizes(graph, dims, geometry.model.hidden_size)
        known = {**arrays_of(sized, ids, 0), **_empty_past(graph, texts)}
    return {
        port.name: known[port.name]
        if port.name in known and port.name not in given
        else values_of(port, shapes[port.name], said, (seed, number))
        for number, port in enumerate(graph.inputs)
    }


def values_of(
    port: Port, shape: tuple[int, ...], said: Mapping[str, float], seeds: tuple[int, ...]
) -> NDArray[Any]:
    """The number that is said of an input; else normal floats, and 0 or 1 for other types."""
    dtype = dtype_of(port)
    if port.name in said or port.element_type not in FLOATS:
        return np.full(shape, said.get(port.name, blank_value(port)), dtype)
    values = np.random.default_rng(seeds).standard_normal(shape, dtype=np.float32)
    return values.astype(dtype, copy=False)


def _empty_past(graph: ExportedGraph, sequences: int) -> Arrays:
    """A cache that holds no token: of a decoder that is run as an encoder of texts."""
    return {
        tensor.past: np.zeros(tensor.room(0), tensor.dtype)
        for tensor in cached_tensors(graph, sequences)
    }
