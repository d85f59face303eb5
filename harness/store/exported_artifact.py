"""What is measured of a model that others exported: its files as they lie, by their content."""

from dataclasses import dataclass
from pathlib import Path

from harness.engine.exported.geometry import ExportedGeometry
from harness.models.exported.model import ExportedKind, ExportedModel
from harness.models.exported.source import ExportedSource
from harness.store.artifact import Artifact


@dataclass(frozen=True, slots=True)
class ExportedArtifact:
    """A recognised model in the place of a built one; nothing is built.

    Attributes:
        source: the model.
        level: name of what its file holds.
        geometry: the model as it is to be run.
    """

    source: ExportedSource
    level: str
    geometry: ExportedGeometry

    @property
    def name(self) -> str:
        """Of the model, as results print it."""
        return self.source.name

    @property
    def folder(self) -> Path:
        """Holds its graphs."""
        return self.source.folder

    @property
    def graph(self) -> Path:
        """The graph that stands for the model."""
        return self.source.model.path(self.source.model.main)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of the model: graphs and data."""
        model = self.source.model
        data = (model.folder / file.name for file in model.data_files)
        return (*(model.path(graph) for graph in model.graphs), *data)

    @property
    def recognised(self) -> ExportedModel:
        """What was measured: of a level made from a file, what was made."""
        return self.source.model

    @property
    def given_inputs(self) -> tuple[tuple[str, float], ...]:
        """Values of inputs that the user gave."""
        return self.geometry.inputs

    @property
    def compiled_under(self) -> None:
        """None: nothing is kept beside files that are not ours."""
        return None

    @property
    def weights_identity(self) -> str:
        """`sha256:<16 hex digits>` of graphs and data."""
        return self.source.model.content_hash

    @property
    def content_hash(self) -> str:
        """What a run is resumed by."""
        return self.source.model.content_hash

    @property
    def parameters(self) -> int:
        """Trained values, each counted once."""
        return self.source.model.parameters

    @property
    def weights_bytes(self) -> int:
        """As stored."""
        return self.source.model.weights_bytes

    @property
    def bits_per_weight(self) -> float:
        """8 · weights_bytes / parameters; 0 without parameters."""
        return self.source.model.bits_per_weight or 0.0

    @property
    def kv_bytes_per_token(self) -> int:
        """What the cache grows by; 0 without one."""
        caches = (graph.cache for graph in self.source.model.graphs)
        return next((cache.bytes_per_token for cache in caches if cache is not None), 0)

    @property
    def has_steps(self) -> bool:
        """Whether it decodes over a cache, so that its steps can be compared with whole passes."""
        kinds = (ExportedKind.DECODER, ExportedKind.ENCODER_DECODER)
        return self.source.model.kind in kinds and self.source.model.cache_kind != "none"

    def built(self) -> Artifact:
        """Refuse: what only graphs of ours are asked for was asked of it."""
        raise TypeError(f"{self.name} was not built here")

    def geometry_of(self, tokens: int, sequences: int) -> ExportedGeometry:
        """The geometry for texts of one shape: that of every text."""
        return self.geometry


AnyArtifact = Artifact | ExportedArtifact
