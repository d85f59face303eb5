"""What models answer alike that somebody else made, and that are measured as their files lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from harness.builder.quantize.levels import CacheLevel, QuantLevel
from harness.core.errors import UsageError
from harness.models.exported.model import ExportedSource
from harness.models.gguf.source import GgufSource
from harness.models.served import ServedSource
from harness.models.weights.source import ModelSource

if TYPE_CHECKING:
    from harness.builder.graph.static.geometry import AnyShapes
    from harness.devices.device import Device
    from harness.engine.workload import Workload
    from harness.runner.settings import Settings


@dataclass(frozen=True, slots=True)
class AsItLies:
    """A model in files that are not built here.

    Attributes:
        source: what it is and the word that named it.
    """

    source: ExportedSource | GgufSource | ServedSource

    embeds = False
    is_own_plan = True
    made_as: ClassVar[str]  # as a sentence about it goes on behind its name

    @property
    def argument(self) -> str:
        """What the user typed."""
        return self.source.argument

    def measured(self) -> Self:
        """Return this model."""
        return self

    def runs_on(self, settings: "Settings", level: QuantLevel, device: "Device") -> bool:
        """On every device: what does not run is refused with its runtime, or is a row's reason."""
        return True

    def shapes(self, level: QuantLevel, tests: Sequence["Workload"]) -> "AnyShapes | None":
        """None: nothing is built."""
        return None

    def has_one_shape(self, level: QuantLevel) -> bool:
        """No: it takes what it takes."""
        return False

    def is_ranked(self, level: QuantLevel, kept: CacheLevel) -> bool:
        """No: which matrices are which is not known."""
        return False

    def built(self) -> ModelSource:
        """Refuse."""
        raise UsageError(
            f"quality is measured of models that are built here, and {self.source.name}"
            f" {self.made_as}",
            fix="leave --quality, --sensitivity and --reference out",
        )
