"""What a build is found by: a digest of everything that decides its bytes."""

import hashlib
import json
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from harness.builder.graph.rules import BUILDER_VERSION, STATIC_VERSION
from harness.builder.graph.static.geometry import AnyShapes
from harness.builder.quantize.levels import (
    SCALE_METHOD,
    CacheLevel,
    Method,
    QuantLevel,
    Variant,
    find_level,
    own_cache,
)
from harness.models.specs.layers import LATER
from harness.models.specs.model import AnySpec, ModelSpec
from harness.models.texts.tokens import CALIBRATION, TOKENIZER_FILE, bundled_text
from harness.models.weights.source import ModelSource

HASH_DIGITS = 16
# Raise it with any change of how a model writes, or of what is made of it.
WRITING_METHOD = 1
# Fields of a level that came after the first builds: left out of the hash at these values, with
# which nothing changes, so that what was built before is still found.
_LATER: dict[str, object] = {
    "zero_points": False,
    "method": Method.NEAREST,
    "sensitive": None,
    "variant": Variant.FUSED,
    "fixed_point": False,
    "shared_bits": 0,
    "stands_for": (),
    "fits": False,
}
# Fields of a spec that describe the model and leave its graph as it is.
_DESCRIPTION = frozenset(
    {"name", "published_parameters", "expected_delta", "expected_delta_reason", "hf_id"}
    | {"license", "source", "family", "part_of"}
)


def source_hash(
    source: ModelSource,
    level: QuantLevel,
    weights_identity: str,
    cache: CacheLevel,
    shapes: AnyShapes | None = None,
) -> str:
    """Return the digest of all that decides the bytes of a build of `source`."""
    stored = None if cache == own_cache(level) else _stored_cache(source, cache)
    static = None if shapes is None else _static(source, level, shapes)
    writes = WRITING_METHOD if is_compensated(source, level) else None
    return content_hash(source.spec, level.name, weights_identity, stored, static, writes)


def is_compensated(source: ModelSource, level: QuantLevel) -> bool:
    """Tell whether a build is rounded by what a model writes: trained decoders at some levels."""
    return level.compensates and source.folder is not None and type(source.spec) is ModelSpec


def content_hash(
    spec: AnySpec,
    level_name: str,
    weights_identity: str,
    cache: dict[str, Any] | None = None,
    static: dict[str, Any] | None = None,
    writes: int | None = None,
) -> str:
    """Return the digest of all that decides a build's bytes, in hexadecimal.

    Args:
        spec: the architecture.
        level_name: of the weights.
        weights_identity: seed, or hash of the checkpoint.
        cache: what stands for another cache than the level's own; None, which changes nothing,
            for that one: such builds are older than caches of a choice.
        static: what stands for the shapes and the ranges of a static level; None: of others.
        writes: version of how a model writes what its weights are rounded by; None: by nothing.
    """
    architecture = {key: value for key, value in _fields(spec).items() if key not in _DESCRIPTION}
    table: dict[str, Any] = {
        "architecture": architecture,
        "level": asdict(find_level(level_name), dict_factory=_without_later),
        "weights": weights_identity,
        "builder": BUILDER_VERSION,
    }
    if cache is not None:
        table["cache"] = cache
    if static is not None:
        table["static"] = static
    if writes is not None:
        table["writes"] = writes
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()[:HASH_DIGITS]


def _fields(record: Any) -> dict[str, Any]:
    """Return the fields of a spec; of those that came later the ones that say something."""
    return {
        field.name: _plain(value)
        for field in fields(record)
        for value in (getattr(record, field.name),)
        if not (field.metadata == LATER and value == field.default)
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON writes it, records and lists of them included."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return _fields(value) if is_dataclass(value) else value


def _stored_cache(source: ModelSource, cache: CacheLevel) -> dict[str, Any]:
    """Return what decides a cache: its level, and for integers all that decides their scales."""
    if not cache.is_integer:
        return asdict(cache)
    return {**asdict(cache), "method": SCALE_METHOD, "calibration": _calibration(source)}


def _static(source: ModelSource, level: QuantLevel, shapes: AnyShapes) -> dict[str, Any]:
    """Return what decides a static build beside its model and level."""
    ranges = _calibration(source) if level.fixed_point else None
    return {**asdict(shapes), "builder": STATIC_VERSION, "calibration": ranges}


def _calibration(source: ModelSource) -> str:
    """Return the digest of the text that a model reads to find its ranges, and of its tokenizer."""
    text = bundled_text(CALIBRATION).encode() if source.folder is not None else b""
    tokenizer = source.folder / TOKENIZER_FILE if source.folder is not None else None
    if tokenizer is not None and tokenizer.is_file():
        text += tokenizer.read_bytes()
    return hashlib.sha256(text).hexdigest()[:HASH_DIGITS]


def _without_later(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return the fields of a level but the later ones that change nothing."""
    return {key: value for key, value in pairs if key not in _LATER or value != _LATER[key]}
