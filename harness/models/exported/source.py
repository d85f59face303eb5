"""A recognised model and the word that named it."""

from dataclasses import dataclass
from pathlib import Path

from harness.models.exported.model import ExportedModel
from harness.models.specs.model import AnySpec

WEIGHTS = "exported"  # nobody here knows whether they were trained


@dataclass(frozen=True, slots=True)
class ExportedSource:
    """A recognised model and the word that named it.

    Attributes:
        argument: what the user typed.
        model: as recognised.
    """

    argument: str
    model: ExportedModel

    @property
    def name(self) -> str:
        """The last component of its folder or file; never a path."""
        return self.model.name

    @property
    def spec(self) -> AnySpec | None:
        """The architecture, where a configuration beside the files tells one that is known."""
        return self.model.spec

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return self.model.folder

    @property
    def weights_kind(self) -> str:
        """What a record says of its weights."""
        return WEIGHTS
