"""From the files of an exported model to what measures it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.core.errors import UsageError
from harness.devices.session import OpenedSession
from harness.engine.exported.caches import cached_tensors, presents_of
from harness.engine.exported.decoder import ExportedDecoder
from harness.engine.exported.feeds import Feeds, with_sizes
from harness.engine.exported.geometry import AS_IS, DECODERS, ExportedGeometry
from harness.engine.exported.inputs import Arrays, pass_inputs
from harness.engine.exported.pair import PairMeasuring
from harness.engine.exported.single import PassMeasuring, SinglePass
from harness.engine.exported.values import array_of, as_float32, dtype_of, value_of
from harness.engine.measuring import Measuring
from harness.models.exported.model import ExportedGraph, Role
from harness.models.exported.ports import Port
from harness.models.exported.sizes import Reading
from harness.models.exported.skeleton import frozen

ExportedMeasuring = Measuring | PassMeasuring | PairMeasuring
# Which graphs are opened, the first of those that there are: both halves, or all in one.
_BEGINS = (Role.MODEL, Role.DECODER_MERGED, Role.DECODER)


def opened_graphs(geometry: ExportedGeometry) -> tuple[ExportedGraph, ...]:
    """The graphs of a model that are opened: an encoder, what begins a text, what goes on.

    A decoder in two files that has a merged one beside them is run from that one.
    """
    model = geometry.model
    found = [model.graph(role) for role in (Role.ENCODER,) if model.graph(role)]
    begins = next((g for g in map(model.graph, _BEGINS) if g is not None), None)
    found.append(begins)
    if begins is not None and begins.role is Role.DECODER:
        found.append(model.graph(Role.DECODER_WITH_PAST))
    return tuple(graph for graph in found if graph is not None)


def opened_files(geometry: ExportedGeometry) -> tuple[Path, ...]:
    """Where these graphs lie."""
    return tuple(geometry.model.path(graph) for graph in opened_graphs(geometry))


def frozen_content(geometry: ExportedGeometry, file: Path) -> bytes | None:
    """A graph whose weights that are inputs too are fixed, as it is opened in place of its file.

    What may be fed is not constant, so kernels neither pack it nor fold it, although no test feeds
    it. Large tensors stay in their files. None: there are no such weights, or the file is measured
    as it is.
    """
    graphs = {geometry.model.path(graph): graph for graph in geometry.model.graphs}
    graph = graphs.get(file)
    if graph is None or not graph.input_weights or geometry.graph_inputs == AS_IS:
        return None
    return frozen(file, frozenset(graph.input_weights))


def read_files(geometry: ExportedGeometry) -> tuple[Path, ...]:
    """Every file that opening them reads: the graphs and their data."""
    data = (geometry.model.folder / file.name for file in geometry.model.data_files)
    return (*opened_files(geometry), *data)


def open_exported(
    sessions: Sequence[OpenedSession],
    geometry: ExportedGeometry,
    batch: int,
    capacity_tokens: int,
    seed: int,
) -> ExportedMeasuring:
    """Allocate what an exported model's tests need.

    Args:
        sessions: of opened_graphs, in their order.
        geometry: of the model.
        batch: sequences of a decoder.
        capacity_tokens: positions of its cache.
        seed: of inputs and cache.

    Raises:
        ModelError: an input that nothing is known of.
        UsageError: a free dimension that nothing says the size of.
    """
    graphs, kind = opened_graphs(geometry), geometry.model.kind
    if kind not in DECODERS:
        return PassMeasuring(SinglePass(sessions[0], graphs[0]), geometry, seed)
    decoder = open_steps(sessions, geometry, batch, capacity_tokens, seed)
    if graphs[0].role is not Role.ENCODER:
        return Measuring(decoder, seed)
    encoder = SinglePass(sessions[0], graphs[0])
    return PairMeasuring(PassMeasuring(encoder, geometry, seed), Measuring(decoder, seed))


def open_steps(
    sessions: Sequence[OpenedSession],
    geometry: ExportedGeometry,
    batch: int,
    capacity_tokens: int,
    seed: int,
) -> ExportedDecoder:
    """The decoder of a model that has one; of two halves over what the encoder gives.

    Arguments and errors are those of open_exported.
    """
    graphs = opened_graphs(geometry)
    if graphs[0].role is not Role.ENCODER:
        return open_exported_decoder(sessions, geometry, batch, capacity_tokens, None)
    encoder = SinglePass(sessions[0], graphs[0])
    *others, last = _encoded(encoder, graphs, geometry, batch, seed)
    for source in others:
        decoder = open_exported_decoder(sessions, geometry, batch, capacity_tokens, source)
        if _takes_source(decoder, seed):
            return decoder
    return open_exported_decoder(sessions, geometry, batch, capacity_tokens, last)


def _takes_source(decoder: ExportedDecoder, seed: int) -> bool:
    """Whether a decoder runs over what it was given of its encoder; it is empty again after."""
    try:
        decoder.read_whole(np.zeros((decoder.batch, 1), np.int64))
        decoder.fill(0, seed)
    except Exception:  # ONNX Runtime's errors share no class of their own
        return False
    return True


def open_exported_decoder(
    sessions: Sequence[OpenedSession],
    geometry: ExportedGeometry,
    batch: int,
    capacity_tokens: int,
    source: Feeds | None,
) -> ExportedDecoder:
    """The decoder among a model's sessions, over what its encoder gave."""
    pairs = zip(sessions, opened_graphs(geometry), strict=True)
    chosen = [pair for pair in pairs if pair[1].role is not Role.ENCODER]
    limit = geometry.model.max_context_tokens
    if limit is not None and capacity_tokens > limit:
        raise UsageError(
            f"a cache of {capacity_tokens} tokens does not fit this model, which takes {limit}",
            fix="ask for less depth, prompt or gen",
        )
    dims, hidden_size = dict(geometry.dims), geometry.model.hidden_size
    return ExportedDecoder(
        [opened for opened, _ in chosen],
        [with_sizes(graph, dims, hidden_size) for _, graph in chosen],
        batch,
        geometry.vocab_size,
        capacity_tokens,
        source,
        limit or 0,
    )


def _encoded(
    encoder: SinglePass,
    graphs: Sequence[ExportedGraph],
    geometry: ExportedGeometry,
    batch: int,
    seed: int,
) -> list[Feeds]:
    """What the encoder gives for a seeded input, by the names under which the decoder takes it.

    Several where the length of the decoder's mask is open, the likeliest first.
    """
    reading = Reading("--batch", batch, geometry.source_tokens)
    arrays = pass_inputs(encoder.graph, geometry, reading, seed)
    outputs = encoder.run_whole(arrays)
    hidden = as_float32(array_of(outputs[encoder.judged])).copy()
    given = {key: outputs[name] for name, key in presents_of(encoder.graph).items()}
    feeds: Feeds = {}
    masks: dict[str, Port] = {}
    lengths: list[int] = []
    for graph in graphs[1:]:
        names = graph.names
        for tensor in cached_tensors(graph, batch):
            if tensor.key in given:
                feeds[tensor.past] = given[tensor.key]
        if names.encoder_hidden_states is not None:
            dtype = dtype_of(graph.port(names.encoder_hidden_states))
            feeds[names.encoder_hidden_states] = value_of(hidden.astype(dtype))
        if names.encoder_mask is not None:
            masks[names.encoder_mask] = graph.port(names.encoder_mask)
            lengths += _source_lengths(graph, encoder.graph, arrays, hidden.shape[1])
    return [
        {
            **feeds,
            **{
                name: value_of(np.ones((len(hidden), length), dtype_of(port)))
                for name, port in masks.items()
            },
        }
        for length in dict.fromkeys(lengths or [0])
    ]


def _source_lengths(
    graph: ExportedGraph, encoder: ExportedGraph, arrays: Arrays, hidden_tokens: int
) -> list[int]:
    """How long a decoder's mask of its source may be, the likeliest first.

    It is as long as what has the same free dimension: the vectors, or an input of the encoder.
    Where that reads sounds, the mask may be as long as they are, whatever the names of dimensions
    say (Moonshine): the decoder thins it out as the encoder did them.
    """
    names = graph.names
    size = (graph.port(names.encoder_mask or "").shape or (0, hidden_tokens))[-1]
    if isinstance(size, int):
        return [size]
    sound = encoder.names.input_values or encoder.names.input_features
    heard = [] if sound is None else [arrays[sound].shape[-1]]
    hidden = names.encoder_hidden_states
    if hidden is not None and size in graph.port(hidden).free:
        return [hidden_tokens, *heard]
    alike = [port for port in encoder.inputs if size in port.free]
    named = [arrays[port.name].shape[(port.shape or ()).index(size)] for port in alike]
    raw = heard if encoder.names.input_values else []
    return [*named[:1], *raw, hidden_tokens, *heard]
