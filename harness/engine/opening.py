"""From the files of a model to what measures it: the one place that knows every kind of graph.

A kind is told by its geometry. What is opened here is used through `Decoder` or `Encoder`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from harness.builder.graph.geometry import DecoderGeometry, EncoderGeometry
from harness.builder.graph.static.geometry import (
    STEP_FILE,
    StaticEncoderGeometry,
    StaticGeometry,
    TextShape,
)
from harness.core.errors import UsageError
from harness.devices.device import Device
from harness.devices.session import OpenedSession, open_session
from harness.engine.cached import CachedDecoder
from harness.engine.decoder import DecoderSession
from harness.engine.encoder import EncoderSession
from harness.engine.encoding import EncoderMeasuring
from harness.engine.exported.geometry import ExportedGeometry
from harness.engine.measuring import Measuring
from harness.engine.shapes import Shapes
from harness.engine.static import StaticDecoder
from harness.engine.static_encoder import StaticEncoder
from harness.engine.trial import SHORT_TEXTS
from harness.machine.process.phase import tell_phase
from harness.models.gguf.source import GgufGeometry
from harness.models.served import ServedGeometry

# What only some models need is imported with them: every worker waits for its imports.
if TYPE_CHECKING:
    from harness.engine.exported.opening import ExportedMeasuring
    from harness.engine.loaded import LoadedModel
    from harness.engine.loaded_encoder import LoadedEncoder

Sessions = Sequence[OpenedSession]
AnyMeasuring: TypeAlias = "Measuring | EncoderMeasuring | ExportedMeasuring"


class GraphKind(ABC):
    """What is known of graphs by their kind: which files are opened, and what measures them."""

    @property
    def is_for_genai(self) -> bool:
        """Whether onnxruntime-genai may run it too."""
        return False

    def files(self, graph: Path) -> tuple[Path, ...]:
        """Every graph that is opened, given the one that stands for the model."""
        return (graph,)

    def data_files(self) -> tuple[Path, ...]:
        """Files besides that opening them reads, where these do not lie beside them."""
        return ()

    def content(self, file: Path) -> bytes | None:
        """What is opened in place of a graph file; None: the file."""
        return None

    def trial_texts(self) -> TextShape:
        """The largest pass of texts that is tried when two devices are compared."""
        return SHORT_TEXTS

    def recognised(self) -> ExportedGeometry | None:
        """The model as it was recognised; None: it was built here."""
        return None

    @abstractmethod
    def measuring(
        self, sessions: Sessions, batch: int, capacity_tokens: int, seed: int
    ) -> AnyMeasuring:
        """Allocate what the tests need; see open_measuring."""

    def loaded(
        self, graph: Path, device: Device, threads: int, context_tokens: int
    ) -> "LoadedModel | LoadedEncoder":
        """Something to call from Python; nothing is opened yet.

        Args:
            graph: the one that stands for the model.
            device: where it runs.
            threads: intra-op threads.
            context_tokens: longest sequence of a decoder's `prefill` and `step`.

        Raises:
            UsageError: graphs that are measured only.
        """
        raise UsageError(
            f"{graph.parent.name} is built as static graphs, which are measured only",
            fix="a level of `bench levels` that CPUs and GPUs run",
        )

    def decoder(self, sessions: Sessions, batch: int, capacity_tokens: int) -> CachedDecoder:
        """Allocate the cache of a decoder; see open_decoder."""
        raise TypeError(f"{type(self).__name__} is opened as no decoder of ours")


@dataclass(frozen=True, slots=True)
class FusedDecoder(GraphKind):
    """One graph over a cache that is written in place."""

    geometry: DecoderGeometry

    @property
    def is_for_genai(self) -> bool:
        """A configuration for it lies beside the graphs."""
        return True

    def decoder(self, sessions: Sessions, batch: int, capacity_tokens: int) -> CachedDecoder:
        """Bind a cache of as many positions as are needed."""
        return DecoderSession(sessions[0], self.geometry, batch, capacity_tokens)

    def loaded(
        self, graph: Path, device: Device, threads: int, context_tokens: int
    ) -> "LoadedModel | LoadedEncoder":
        """Logits of whole texts, or prompts and steps."""
        from harness.engine.loaded import LoadedDecoder

        graphs = (graph, graph.with_name(self.geometry.all_logits_file))
        return LoadedDecoder(graphs, self.geometry, device, threads, context_tokens)

    def measuring(
        self, sessions: Sessions, batch: int, capacity_tokens: int, seed: int
    ) -> AnyMeasuring:
        """Measure its prompts and steps."""
        return Measuring(self.decoder(sessions, batch, capacity_tokens), seed)


@dataclass(frozen=True, slots=True)
class FixedDecoder(GraphKind):
    """A static decoder: a graph of whole passes, and one of steps."""

    geometry: StaticGeometry

    def files(self, graph: Path) -> tuple[Path, ...]:
        """Both lie in one folder."""
        return (graph, graph.with_name(STEP_FILE))

    def decoder(self, sessions: Sessions, batch: int, capacity_tokens: int) -> CachedDecoder:
        """Take the cache that it was built with.

        Raises:
            UsageError: more positions or sequences than that.
        """
        if batch != 1 or capacity_tokens > self.geometry.capacity_tokens:
            raise UsageError(
                f"{capacity_tokens} tokens of {batch} sequences do not fit a static decoder of"
                f" {self.geometry.capacity_tokens} tokens",
                fix="--batch 1; a build with more capacity",
            )
        return StaticDecoder(sessions[0], sessions[1], self.geometry)

    def measuring(
        self, sessions: Sessions, batch: int, capacity_tokens: int, seed: int
    ) -> AnyMeasuring:
        """Measure its prompts and steps."""
        return Measuring(self.decoder(sessions, batch, capacity_tokens), seed)


@dataclass(frozen=True, slots=True)
class FusedEncoder(GraphKind):
    """One graph for texts of every shape."""

    geometry: EncoderGeometry

    def loaded(
        self, graph: Path, device: Device, threads: int, context_tokens: int
    ) -> "LoadedModel | LoadedEncoder":
        """Embeddings."""
        from harness.engine.loaded_encoder import LoadedTextEncoder

        return LoadedTextEncoder(graph, self.geometry, device, threads)

    def measuring(
        self, sessions: Sessions, batch: int, capacity_tokens: int, seed: int
    ) -> AnyMeasuring:
        """Measure its passes."""
        return EncoderMeasuring(EncoderSession(sessions[0], self.geometry), seed)


@dataclass(frozen=True, slots=True)
class FixedEncoder(GraphKind):
    """A static encoder: a graph for every shape."""

    geometry: StaticEncoderGeometry

    def files(self, graph: Path) -> tuple[Path, ...]:
        """They lie in one folder."""
        return tuple(graph.with_name(shape.file) for shape in self.geometry.shapes)

    def trial_texts(self) -> TextShape:
        """Its largest graph, filled."""
        return max(self.geometry.shapes, key=lambda shape: shape.tokens * shape.sequences)

    def measuring(
        self, sessions: Sessions, batch: int, capacity_tokens: int, seed: int
    ) -> AnyMeasuring:
        """Measure its passes."""
        return EncoderMeasuring(StaticEncoder(sessions, self.geometry), seed)


@dataclass(frozen=True, slots=True)
class ExportedGraphs(GraphKind):
    """What others exported; its own table of kinds is in harness.engine.exported.opening."""

    geometry: ExportedGeometry

    @property
    def is_for_genai(self) -> bool:
        """Every decoder may; the runtime itself says which it does not take."""
        return True

    def files(self, graph: Path) -> tuple[Path, ...]:
        """Those that were recognised, wherever they lie."""
        from harness.engine.exported.opening import opened_files

        return opened_files(self.geometry)

    def data_files(self) -> tuple[Path, ...]:
        """Graphs and data."""
        from harness.engine.exported.opening import read_files

        return read_files(self.geometry)

    def content(self, file: Path) -> bytes | None:
        """Its structure with fixed weights, where some are inputs too and are not kept so."""
        from harness.engine.exported.opening import frozen_content

        return frozen_content(self.geometry, file)

    def recognised(self) -> ExportedGeometry | None:
        """The model."""
        return self.geometry

    def loaded(
        self, graph: Path, device: Device, threads: int, context_tokens: int
    ) -> "LoadedModel | LoadedEncoder":
        """What its kind does."""
        from harness.engine.exported.loaded import load_exported

        return load_exported(self.geometry, device, threads, context_tokens)

    def measuring(
        self, sessions: Sessions, batch: int, capacity_tokens: int, seed: int
    ) -> AnyMeasuring:
        """Measure what its kind does."""
        from harness.engine.exported.opening import open_exported

        return open_exported(sessions, self.geometry, batch, capacity_tokens, seed)


@dataclass(frozen=True, slots=True)
class GgufFile(GraphKind):
    """A file that llama.cpp runs, in workers of its own."""

    geometry: GgufGeometry

    def measuring(
        self, sessions: Sessions, batch: int, capacity_tokens: int, seed: int
    ) -> AnyMeasuring:
        """Refuse: no session of ours opens it."""
        raise TypeError("a GGUF file is opened by harness.engine.llamacpp")

    def loaded(
        self, graph: Path, device: Device, threads: int, context_tokens: int
    ) -> "LoadedModel | LoadedEncoder":
        """Refuse: it is measured only."""
        raise UsageError(
            f"{graph.name} is a GGUF file, which is measured only",
            fix="a level of `bench levels` that ONNX Runtime runs",
        )


@singledispatch
def kind_of(geometry: Shapes | ServedGeometry) -> GraphKind:
    """Return the kind of graphs that have this geometry: the one table of them."""
    raise TypeError(f"{geometry!r} is no geometry")


kind_of.register(DecoderGeometry, FusedDecoder)
kind_of.register(StaticGeometry, FixedDecoder)
kind_of.register(EncoderGeometry, FusedEncoder)
kind_of.register(StaticEncoderGeometry, FixedEncoder)
kind_of.register(ExportedGeometry, ExportedGraphs)
kind_of.register(GgufGeometry, GgufFile)


def graph_files(graph: Path, geometry: Shapes) -> tuple[Path, ...]:
    """Every graph that is opened for a model; those of a static model lie in one folder.

    Args:
        graph: the one that stands for the model.
        geometry: of it.
    """
    return kind_of(geometry).files(graph)


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
    kind = kind_of(geometry)
    tell_phase("creating the session")
    return tuple(
        open_session(file, device, threads, profile_to, stop_spinning, content=kind.content(file))
        for file in kind.files(graph)
    )


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
    return kind_of(geometry).decoder(sessions, batch, capacity_tokens)


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
    return kind_of(geometry).measuring(sessions, batch, capacity_tokens, seed)
