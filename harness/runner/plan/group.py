"""What one worker process opens."""

from dataclasses import dataclass

from harness.builder.graph.static.geometry import AnyShapes, StaticShapes
from harness.builder.quantize.levels import CacheLevel, QuantLevel, own_cache
from harness.devices.device import Device
from harness.engine.workload import Workload
from harness.models.exported.source import ExportedSource
from harness.models.weights.source import ModelSource
from harness.runner.models import Model
from harness.runner.plan.runtimes import ORT, WORKERS


@dataclass(frozen=True, slots=True)
class SessionGroup:
    """What one worker process opens: one session, and the tests that run in it."""

    model: Model
    level: QuantLevel
    cache: CacheLevel
    device: Device
    threads: int
    batch: int
    workloads: tuple[Workload, ...]
    shapes: AnyShapes | None = None  # of a static model
    dims: tuple[tuple[str, int], ...] = ()  # free ones of an exported graph
    inputs: tuple[tuple[str, float], ...] = ()  # values that the user gave
    runtime: str = ORT

    @property
    def source(self) -> ModelSource | ExportedSource:
        """Where the model comes from."""
        return self.model.source

    @property
    def key(self) -> str:
        """The identity of the group inside one plan."""
        words = (self.source.argument, self.stored_name, self.device.key, self.runtime)
        count = f"b{self.batch}"
        if self.has_one_shape:
            count = self.workloads[0].test
        return "/".join((*words, f"t{self.threads}", count))

    @property
    def has_one_shape(self) -> bool:
        """Whether its session reads texts of one shape alone: a static encoder's."""
        return self.model.has_one_shape(self.level)

    @property
    def built(self) -> ModelSource:
        """The source of a model that is built here; one that others exported is refused."""
        return self.model.built()

    @property
    def worker(self) -> str:
        """The module of commands that its process serves."""
        return WORKERS[self.runtime]

    @property
    def stored_name(self) -> str:
        """The level, and a cache that is not its own: `int4`, `int4/kv-int8`."""
        if self.cache == own_cache(self.level):
            return self.level.name
        return f"{self.level.name}/kv-{self.cache.name}"

    @property
    def capacity_tokens(self) -> int:
        """Positions of the KV cache that serve every test of the group."""
        if isinstance(self.shapes, StaticShapes):
            return self.shapes.capacity_tokens
        return max(workload.cache_tokens for workload in self.workloads)
