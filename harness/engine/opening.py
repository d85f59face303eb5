"""From the files of a model to what measures it: the one place that knows every kind of graph.

A kind is told by its geometry. What is opened here is used through `Decoder` or `Encoder`.
"""

from collections.abc import Sequence
from pathlib import Path

from harness.builder.graph.geometry import DecoderGeometry, EncoderGeometry
from harness.builder.graph.static.geometry import STEP_FILE, StaticEncoderGeometry, StaticGeometry
from harness.core.errors import UsageError
from harness.devices.device import Device
from harness.devices.session import OpenedSession, open_session
from harness.engine.cached import CachedDecoder
from harness.engine.decoder import DecoderSession
from harness.engine.encoder import EncoderSession
from harness.engine.encoding import EncoderMeasuring
from harness.engine.exported.geometry import ExportedGeometry
from harness.engine.exported.opening import (
    ExportedMeasuring,
    open_exported,
    opened_files,
)
from harness.engine.measuring import Measuring
from harness.engine.protocol import Encoder
from harness.engine.shapes import Shapes
from harness.engine.static import StaticDecoder
from harness.engine.static_encoder import StaticEncoder

Sessions = Sequence[OpenedSession]
AnyMeasuring = Measuring | EncoderMeasuring | ExportedMeasuring


def graph_files(graph: Path, geometry: Shapes) -> tuple[Path, ...]:
    """Every graph that is opened for a model; those of a static model lie in one folder.

    Args:
        graph: the one that stands for the model.
        geometry: of it.
    """
    if isinstance(geometry, ExportedGeometry):
        return opened_files(geometry)
    if isinstance(geometry, StaticGeometry):
        return (graph, graph.with_name(STEP_FILE))
    if isinstance(geometry, StaticEncoderGeometry):
        return tuple(graph.with_name(shape.file) for shape in geometry.shapes)
    return (graph,)


def open_sessions(
    graph: Path,
    geometry: Shapes,
    device: Device,
    threads: int,
    profile_to: Path | None = None,
    stop_spinning: bool = False,
) -> tuple[OpenedSession, ...]:
    """Open every graph of a model on one device, one after another.

    Args:
        graph: the one that stands for the model.
        geometry: of it.
        device: as chosen.
        threads: intra-op threads.
        profile_to: see open_session.
        stop_spinning: see open_session.

    Raises:
        HarnessError: as open_session.
    """
    files = graph_files(graph, geometry)
    return tuple(open_session(file, device, threads, profile_to, stop_spinning) for file in files)


def open_decoder(
    sessions: Sessions,
    geometry: DecoderGeometry | StaticGeometry,
    batch: int,
    capacity_tokens: int,
) -> CachedDecoder:
    """Allocate the cache of a decoder over its open sessions.

    Args:
        sessions: as open_sessions gives them.
        geometry: of the graphs.
        batch: sequences at once.
        capacity_tokens: positions that are needed; a static decoder has those it was built with.

    Raises:
        UsageError: more positions or sequences than the graphs take.
    """
    if not isinstance(geometry, StaticGeometry):
        return DecoderSession(sessions[0], geometry, batch, capacity_tokens)
    if batch != 1 or capacity_tokens > geometry.capacity_tokens:
        raise UsageError(
            f"{capacity_tokens} tokens of {batch} sequences do not fit a static decoder of"
            f" {geometry.capacity_tokens} tokens",
            fix="--batch 1; a build with more capacity",
        )
    return StaticDecoder(sessions[0], sessions[1], geometry)


def open_encoder(sessions: Sessions, geometry: EncoderGeometry | StaticEncoderGeometry) -> Encoder:
    """Bind an encoder over its open sessions, as open_sessions gives them."""
    if isinstance(geometry, StaticEncoderGeometry):
        return StaticEncoder(sessions, geometry)
    return EncoderSession(sessions[0], geometry)


def open_measuring(
    sessions: Sessions, geometry: Shapes, batch: int, capacity_tokens: int, seed: int
) -> AnyMeasuring:
    """Allocate what a model's tests need.

    Args:
        sessions: as open_sessions gives them.
        geometry: of the graphs; tells which kind of model it is.
        batch: sequences of a decoder; an encoder's are those of each test.
        capacity_tokens: positions of a decoder's cache.
        seed: of token ids and cache.

    Raises:
        UsageError: a cache that the model does not take.
    """
    if isinstance(geometry, ExportedGeometry):
        return open_exported(sessions, geometry, batch, capacity_tokens, seed)
    if isinstance(geometry, EncoderGeometry | StaticEncoderGeometry):
        return EncoderMeasuring(open_encoder(sessions, geometry), seed)
    return Measuring(open_decoder(sessions, geometry, batch, capacity_tokens), seed)
