"""What models answer alike that somebody else made, and that are measured as their files lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from harness.builder.quantize.levels import CacheLevel, QuantLevel, find_cache
from harness.core.errors import UsageError
from harness.models.exported.model import ExportedSource
from harness.models.gguf.source import GgufSource
from harness.models.served import ServedSource
from harness.models.weights.source import ModelSource
from harness.runner.models.model import Stored

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
        raise self._quality_error()

    def refuse_quality(self, settings: "Settings") -> None:
        """Refuse a plan that asks for losses.

        Raises:
            UsageError: see above.
        """
        named = (settings.reference, settings.tasks)
        if settings.quality or settings.sensitivity or any(one is not None for one in named):
            raise self._quality_error()

    def _quality_error(self) -> UsageError:
        """Why no quality is measured of it."""
        return UsageError(
            f"quality is measured of models that are built here, and {self.source.name}"
            f" {self.made_as}",
            fix="leave --quality, --sensitivity, --reference and --tasks out",
        )


@dataclass(frozen=True, slots=True)
class RunElsewhere(AsItLies):
    """A decoder that another program runs, at the one level that it has: no graph of ours."""

    active_parameters = None
    read_parameters = None
    free_dimensions = ()
    input_names = ()
    input_weights = 0

    def levels(self) -> tuple[QuantLevel, ...]:
        """Its own alone."""
        raise NotImplementedError

    def levels_asked(
        self, settings: "Settings", devices: Sequence["Device"]
    ) -> tuple[QuantLevel, ...]:
        """Its own."""
        return self.levels()

    def stored(self, settings: "Settings", devices: Sequence["Device"]) -> tuple[Stored, ...]:
        """Its level with each cache."""
        (own,) = self.levels()
        return tuple((own, find_cache(name, own)) for name in settings.kv_cache)

    def batches(self, settings: "Settings") -> tuple[int, ...]:
        """Those of the plan; more than one is refused with the runtime."""
        return settings.batch

    def dims(self, settings: "Settings") -> tuple[tuple[str, int], ...]:
        """None: there is no graph."""
        return ()

    def inputs(self, settings: "Settings") -> tuple[tuple[str, float], ...]:
        """None: there is no graph."""
        return ()

    def kernels(self, level: QuantLevel) -> str | None:
        """None: those of another program are none of ours."""
        return None

    def operators(self, level: QuantLevel, cache: CacheLevel | None) -> tuple[str, ...]:
        """None: nothing is estimated by operator."""
        return ()
