"""A built model: its folder, what is in it, and the record of it that lies beside the graphs."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from harness.errors import StorageError
from harness.graph.geometry import DecoderGeometry, EncoderGeometry, Geometry, geometry_of
from harness.graph.rules import ALL_LOGITS_FILE, BUILDER_VERSION, DATA_FILE, GRAPH_FILE
from harness.quantize.cache import AUTO, SCALE_METHOD, CacheLevel, find_cache, own_cache
from harness.quantize.levels import Method, QuantLevel, Variant, find_level
from harness.quantize.size import bits_per_weight, stored_bytes
from harness.specs.count import kv_values_per_token, parameters
from harness.specs.encoder import AnySpec, EncoderSpec, spec_type
from harness.specs.model import ModelSpec
from harness.texts.tokens import CALIBRATION, TOKENIZER_FILE, bundled_text
from harness.weights.source import ModelSource

RECORD_FILE = "artifact.json"
HASH_DIGITS = 16
# Fields of a level that came after the first builds: left out of the hash at these values, with
# which nothing changes, so that what was built before is still found.
_LATER: dict[str, object] = {
    "zero_points": False,
    "method": Method.NEAREST,
    "sensitive": None,
    "variant": Variant.FUSED,
    "fixed_point": False,
}
# Fields of a spec that describe the model and leave its graph as it is.
_DESCRIPTION = frozenset(
    {"name", "published_parameters", "expected_delta", "expected_delta_reason", "hf_id"}
    | {"license", "source", "family"}
)


_GEOMETRIES: dict[type, type] = {ModelSpec: DecoderGeometry, EncoderSpec: EncoderGeometry}


@dataclass(frozen=True, slots=True)
class Artifact:
    """One model at one level, built.

    Attributes:
        folder: holds the graphs, their data, a decoder's genai_config.json and this record.
        name: of the model, as results print it.
        spec: the architecture.
        level: name of the quantization level.
        weights_kind: `seeded` or `trained`.
        weights_identity: seed, or hash of the checkpoint.
        parameters: trained values, a tied head counted once.
        weights_bytes: of the initializers, scales included.
        bits_per_weight: 8 · weights_bytes / parameters.
        kv_bytes_per_token: what the cache grows by, at its stored type.
        geometry: shapes of inputs and outputs.
        content_hash: of everything that decides the files' content.
        builder_version: of the rules it was built by.
        build_seconds: wall time of the build.
        build_peak_bytes: high-water mark of the building process above its start.
    """

    folder: Path
    name: str
    spec: AnySpec
    level: str
    weights_kind: str
    weights_identity: str
    parameters: int
    weights_bytes: int
    bits_per_weight: float
    kv_bytes_per_token: int
    geometry: Geometry
    content_hash: str
    builder_version: str
    build_seconds: float
    build_peak_bytes: int

    @property
    def cache(self) -> CacheLevel:
        """How its graphs store keys and values; of an encoder, which has none, its float type."""
        if isinstance(self.geometry, DecoderGeometry):
            return self.geometry.cache
        return own_cache(find_level(self.level))

    @property
    def graph(self) -> Path:
        """The graph that is timed: logits of the last token, or an encoder's outputs."""
        return self.folder / GRAPH_FILE

    @property
    def all_logits_graph(self) -> Path:
        """The graph whose logits are those of every token; encoders have none."""
        return self.folder / ALL_LOGITS_FILE

    @property
    def data(self) -> Path:
        """The weights of both graphs."""
        return self.folder / DATA_FILE


def describe_artifact(
    source: ModelSource,
    level_name: str,
    weights_identity: str,
    folder: Path,
    build_seconds: float,
    build_peak_bytes: int,
    cache_name: str = AUTO,
) -> Artifact:
    """Return the record of a build whose files lie in `folder`."""
    level = find_level(level_name)
    cache = find_cache(cache_name, level)
    return Artifact(
        folder=folder,
        name=source.name,
        spec=source.spec,
        level=level.name,
        weights_kind=source.weights_kind,
        weights_identity=weights_identity,
        parameters=parameters(source.spec),
        weights_bytes=stored_bytes(source.spec, level),
        bits_per_weight=bits_per_weight(source.spec, level),
        kv_bytes_per_token=cache.stored_bytes(kv_values_per_token(source.spec)),
        geometry=geometry_of(source.spec, level, cache),
        content_hash=source_hash(source, level, weights_identity, cache),
        builder_version=BUILDER_VERSION,
        build_seconds=build_seconds,
        build_peak_bytes=build_peak_bytes,
    )


def source_hash(
    source: ModelSource, level: QuantLevel, weights_identity: str, cache: CacheLevel
) -> str:
    """Return the digest of all that decides the bytes of a build of `source`."""
    stored = None if cache == own_cache(level) else _stored_cache(source, cache)
    return content_hash(source.spec, level.name, weights_identity, stored)


def content_hash(
    spec: AnySpec, level_name: str, weights_identity: str, cache: dict[str, Any] | None = None
) -> str:
    """Return the digest of all that decides a build's bytes, in hexadecimal.

    Args:
        spec: the architecture.
        level_name: of the weights.
        weights_identity: seed, or hash of the checkpoint.
        cache: what stands for another cache than the level's own; None, which changes nothing,
            for that one: such builds are older than caches of a choice.
    """
    architecture = {key: value for key, value in asdict(spec).items() if key not in _DESCRIPTION}
    table = {
        "architecture": architecture,
        "level": asdict(find_level(level_name), dict_factory=_without_later),
        "weights": weights_identity,
        "builder": BUILDER_VERSION,
    }
    if cache is not None:
        table["cache"] = cache
    text = json.dumps(table, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]


def _stored_cache(source: ModelSource, cache: CacheLevel) -> dict[str, Any]:
    """Return what decides a cache: its level, and for integers all that decides their scales."""
    if not cache.is_integer:
        return asdict(cache)
    text = bundled_text(CALIBRATION).encode() if source.folder is not None else b""
    tokenizer = source.folder / TOKENIZER_FILE if source.folder is not None else None
    if tokenizer is not None and tokenizer.is_file():
        text += tokenizer.read_bytes()
    digest = hashlib.sha256(text).hexdigest()[:HASH_DIGITS]
    return {**asdict(cache), "method": SCALE_METHOD, "calibration": digest}


def _without_later(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return the fields of a level but the later ones that change nothing."""
    return {key: value for key, value in pairs if key not in _LATER or value != _LATER[key]}


def write_record(artifact: Artifact, folder: Path) -> None:
    """Write the record into `folder`, with the size of every file that lies there now."""
    table = asdict(artifact)
    del table["folder"]
    table["files"] = _file_sizes(folder)
    text = json.dumps(table, indent=2) + "\n"
    (folder / RECORD_FILE).write_text(text, encoding="utf-8")


def read_artifact(folder: Path) -> Artifact:
    """Read a built folder and check that every file is there with the size it was built with.

    Raises:
        StorageError: no record, a damaged one, or a file of another size.
    """
    import msgspec  # only this needs it

    try:
        table: dict[str, Any] = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        sizes = msgspec.convert(table.pop("files"), dict[str, int])
        types = _types_of(table)
        values = {
            field.name: msgspec.convert(table[field.name], types.get(field.name, field.type))
            for field in fields(Artifact)
            if field.name != "folder"
        }
        artifact = Artifact(folder=folder, **values)
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise _damaged(folder, f"its {RECORD_FILE} cannot be read ({error})") from error
    present = _file_sizes(folder)
    for name, size_bytes in sizes.items():
        if present.get(name) != size_bytes:
            raise _damaged(folder, f"{name} has {present.get(name, 0)} of {size_bytes} bytes")
    return artifact


def _types_of(table: dict[str, Any]) -> dict[str, type]:
    """Return the record of a stored spec, and of its geometry."""
    spec = spec_type(table["spec"]["family"])
    return {"spec": spec, "geometry": _GEOMETRIES[spec]}


def _file_sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of each file but the record, by name."""
    files = sorted(path for path in folder.iterdir() if path.name != RECORD_FILE)
    return {path.name: path.stat().st_size for path in files}


def _damaged(folder: Path, problem: str) -> StorageError:
    """Return the error for a folder that cannot be used."""
    return StorageError(
        f"the built model {folder.name!r} is damaged: {problem}",
        fix="delete the folder; the next run builds it again",
    )
