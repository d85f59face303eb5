"""What a server holds, in the place of a built model: nothing lies here."""

from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import ModelError
from harness.models.served import ServedGeometry
from harness.store.artifact import Artifact


@dataclass(frozen=True, slots=True)
class ServedArtifact:
    """A model of a server.

    Attributes:
        name: of the model, as results print it.
        level: as the server says that it is stored.
        geometry: what its worker is told.
        parameters: that the server, or the catalog, counts; 0: nobody does.
        content_hash: what a run is resumed by.
    """

    name: str
    level: str
    geometry: ServedGeometry
    parameters: int
    content_hash: str

    # Nothing is here that could be counted, mapped, compiled or compared.
    files: tuple[Path, ...] = ()
    given_inputs: tuple[tuple[str, float], ...] = ()
    weights_bytes = 0
    kv_bytes_per_token = 0
    state_bytes = 0
    prepacked_bytes = 0
    bits_per_weight = 0.0
    has_steps = False
    recognised = None
    compiled_under = None
    spec = None

    @property
    def weights_identity(self) -> str:
        """The same as its content."""
        return self.content_hash

    @property
    def folder(self) -> Path:
        """None that is used."""
        return Path()

    @property
    def graph(self) -> Path:
        """None that is opened."""
        return Path()

    def for_capacity(self, capacity_tokens: int) -> "ServedArtifact":
        """This one: the server makes its caches itself."""
        return self

    def cache_bytes(self, capacity_tokens: int) -> int:
        """None of this process."""
        return 0

    def built(self) -> Artifact:
        """Refuse: what only graphs of ours are asked for was asked of it."""
        raise ModelError(
            f"{self.name} is held by a server, and has no graph here",
            fix="--runtime ort for what is asked",
        )

    def judged(self) -> Artifact:
        """Refuse likewise."""
        return self.built()

    def geometry_of(self, tokens: int, sequences: int) -> ServedGeometry:
        """The geometry for texts of one shape: that of every text."""
        return self.geometry
