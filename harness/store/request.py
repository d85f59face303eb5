"""What is asked to be built: one record that says where the build lies, by a hash of itself."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from harness.builder.graph.geometry import Geometry
from harness.builder.graph.static.geometry import AnyShapes
from harness.builder.quantize.levels import (
    AUTO,
    LEVELS,
    CacheLevel,
    QuantLevel,
    Variant,
    find_cache,
    find_level,
    own_cache,
)
from harness.core.errors import UsageError
from harness.models.weights.source import ModelSource, weights_identity
from harness.store.artifact import built_geometry
from harness.store.hashes import source_hash


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """A model at a level, checked; see build_request.

    Attributes:
        source: the architecture and its weights.
        level: of the weights.
        cache: how keys and values are stored.
        seed: of seeded weights.
        shapes: what a static level is built for; None: of other levels.
        weights: seed, or hash of the checkpoint, taken when the request was made.
    """

    source: ModelSource
    level: QuantLevel
    cache: CacheLevel
    seed: int
    shapes: AnyShapes | None
    weights: str

    @property
    def has_own_cache(self) -> bool:
        """Whether it stores keys and values as its level does."""
        return self.cache == own_cache(self.level)

    @property
    def geometry(self) -> Geometry:
        """Shapes and types of its graphs."""
        return built_geometry(self.source.spec, self.level, self.cache, self.shapes)

    @property
    def content_hash(self) -> str:
        """Digest of everything that decides the bytes of the build, in hexadecimal."""
        return source_hash(self.source, self.level, self.weights, self.cache, self.shapes)

    @property
    def folder_name(self) -> str:
        """What the folder of the build is called."""
        kept = () if self.has_own_cache else (f"kv-{self.cache.name}",)
        return "-".join((plain_name(self.source.name), self.level.name, *kept, self.content_hash))

    def to_json(self) -> dict[str, Any]:
        """What the building child is asked for, as plain values; shapes where there are any."""
        source = source_json(self.source)
        asked: dict[str, Any] = {"source": source, "level": self.level.name, "seed": self.seed}
        return asked if self.shapes is None else {**asked, "shapes": asdict(self.shapes)}


def source_json(source: ModelSource) -> dict[str, Any]:
    """A model as it travels to the building child."""
    return {**asdict(source), "folder": source.folder and str(source.folder)}


def build_request(
    source: ModelSource,
    level: str,
    seed: int = 0,
    kv_cache: str = AUTO,
    shapes: AnyShapes | None = None,
) -> BuildRequest:
    """Check what is asked for, and take the identity of the weights.

    Raises:
        UsageError: an unknown level, a static one without shapes, a negative seed, a cache that
            the level's kernel does not take.
        ModelError: an architecture that cannot be built, or a checkpoint that cannot be read.
    """
    row = find_level(level)
    if row.variant is Variant.STATIC and shapes is None:
        raise UsageError(
            f"{row.name} is built as a static graph, for the tests of a plan",
            fix=f"bench run --device npu --quant {row.name}, or a level of {', '.join(LEVELS)}",
        )
    stored = find_cache(kv_cache, row)
    built_geometry(source.spec, row, stored, shapes)
    return BuildRequest(source, row, stored, seed, shapes, weights_identity(source, seed))


def plain_name(name: str) -> str:
    """Return a model's name as a folder may be called on every system."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip(".")[:64] or "model"
