"""A built model: its folder, what is in it, and the record of it that lies beside the graphs."""

import json
from dataclasses import asdict, dataclass, fields, replace
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.builder.graph.geometry import Geometry, geometry_of, geometry_type
from harness.builder.graph.rules import (
    BUILDER_VERSION,
    DATA_FILE,
)
from harness.builder.graph.static.geometry import (
    AnyShapes,
    EncoderShapes,
    StaticShapes,
    refuse_rotary_encoder,
    static_encoder_geometry,
    static_geometry,
)
from harness.builder.quantize.layout import bits_per_weight, stored_bytes
from harness.builder.quantize.levels import CacheLevel, QuantLevel, find_level, own_cache
from harness.core.encoding import read_json_file
from harness.core.errors import StorageError
from harness.models.specs.model import AnySpec, EncoderSpec, ModelSpec, RotaryEncoderSpec, spec_type
from harness.models.specs.tensors import kv_values_per_token, parameters

if TYPE_CHECKING:
    from harness.store.request import BuildRequest

RECORD_FILE = "artifact.json"
LATER = ("prepacked",)  # fields that older records lack


@dataclass(frozen=True, slots=True)
class Prepacked:
    """The copies of weights that lie beside a graph, for the kernels that made them.

    Attributes:
        instructions: of the processor.
        onnxruntime: release.
        saved_bytes: of all copies.
    """

    instructions: tuple[str, ...]
    onnxruntime: str
    saved_bytes: int


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
        prepacked: copies of weights that its timed graph maps; None: they are made at each load.
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
    prepacked: Prepacked | None = None

    @property
    def cache(self) -> CacheLevel:
        """How its graphs store keys and values; of an encoder, which has none, its float type."""
        return self.geometry.cache_beside(own_cache(find_level(self.level)))

    @property
    def state_bytes(self) -> int:
        """Bytes that it keeps of one sequence besides keys and values, whatever its depth."""
        return self.geometry.state_bytes

    @property
    def prepacked_bytes(self) -> int:
        """Bytes of the copies of weights that its timed graph maps."""
        return 0 if self.prepacked is None else self.prepacked.saved_bytes

    @property
    def graph(self) -> Path:
        """The graph that is timed: logits of the last token, or an encoder's outputs.

        A static decoder's step is timed beside it, and a static encoder's graphs of other shapes;
        see harness.engine.opening.
        """
        return self.folder / self.geometry.main_file

    def for_capacity(self, capacity_tokens: int) -> "Artifact":
        """This one with the least caches for so many positions.

        A folder from before there was a graph for them has whole ones.
        """
        sized = replace(self, geometry=self.geometry.for_capacity(capacity_tokens))
        return sized if sized.graph.is_file() else self

    def cache_bytes(self, capacity_tokens: int) -> int:
        """Bytes of the keys and values of one sequence, bound for so many positions."""
        return self.geometry.cache_bytes(capacity_tokens)

    def built(self) -> "Artifact":
        """Return this one: its graphs are ours."""
        return self

    def judged(self) -> "Artifact":
        """Return this one: what its level loses can be told."""
        return self

    def geometry_of(self, tokens: int, sequences: int) -> Geometry:
        """The geometry for texts of one shape: of a static encoder that of one graph."""
        return self.geometry.of_texts(tokens, sequences)

    @property
    def all_logits_graph(self) -> Path:
        """The graph whose logits are those of every token; encoders have none."""
        return self.folder / self.geometry.all_logits_file

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of its folder."""
        return tuple(self.folder.glob("*"))

    @property
    def recognised(self) -> None:
        """None: nothing had to be recognised in files that were built here."""
        return None

    @property
    def has_steps(self) -> bool:
        """Whether its steps are to be compared with whole passes; those built here are by tests."""
        return False

    @property
    def compiled_under(self) -> str | None:
        """What its compiled graphs are kept by."""
        return self.content_hash

    @property
    def data(self) -> Path:
        """The weights of both graphs."""
        return self.folder / DATA_FILE


def describe_artifact(
    request: "BuildRequest", folder: Path, build_seconds: float, build_peak_bytes: int
) -> Artifact:
    """Return the record of a build whose files lie in `folder`."""
    spec, level = request.source.spec, request.level
    return Artifact(
        folder=folder,
        name=request.source.name,
        spec=spec,
        level=level.name,
        weights_kind=request.source.weights_kind,
        weights_identity=request.weights,
        parameters=parameters(spec),
        weights_bytes=stored_bytes(spec, level),
        bits_per_weight=bits_per_weight(spec, level),
        kv_bytes_per_token=request.cache.stored_bytes(kv_values_per_token(spec)),
        geometry=request.geometry,
        content_hash=request.content_hash,
        builder_version=BUILDER_VERSION,
        build_seconds=build_seconds,
        build_peak_bytes=build_peak_bytes,
    )


def built_geometry(
    spec: AnySpec, level: QuantLevel, cache: CacheLevel, shapes: AnyShapes | None
) -> Geometry:
    """Return the geometry of a build.

    Args:
        spec: the architecture.
        level: of its weights.
        cache: how keys and values are stored.
        shapes: of a static level; None: of any other.

    Raises:
        ModelError, UsageError: the model cannot be built so.
    """
    if shapes is None:
        return geometry_of(spec, level, cache)
    return _static_geometry(spec, level, shapes)


@singledispatch
def _static_geometry(spec: AnySpec, level: QuantLevel, shapes: Any) -> Geometry:
    """Return the geometry of a static build, by the kind of its architecture."""
    raise TypeError(f"{spec!r} is no architecture")


@_static_geometry.register
def _static_encoder(spec: EncoderSpec, level: QuantLevel, shapes: EncoderShapes) -> Geometry:
    return static_encoder_geometry(spec, shapes.shapes)


@_static_geometry.register
def _static_rotary_encoder(
    spec: RotaryEncoderSpec, level: QuantLevel, shapes: EncoderShapes
) -> Geometry:
    refuse_rotary_encoder(spec)


@_static_geometry.register
def _static_decoder(spec: ModelSpec, level: QuantLevel, shapes: StaticShapes) -> Geometry:
    return static_geometry(spec, level, shapes.prefill_tokens, shapes.capacity_tokens)


def write_record(artifact: Artifact, folder: Path) -> None:
    """Write the record into `folder`, with the size of every file that lies there now."""
    table = asdict(artifact)
    del table["folder"]
    if artifact.prepacked is None:  # the record of a plain build is what it always was
        del table["prepacked"]
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
        table: dict[str, Any] = read_json_file(folder / RECORD_FILE)
        sizes = msgspec.convert(table.pop("files"), dict[str, int])
        types = _types_of(table)
        values = {
            field.name: msgspec.convert(table[field.name], types.get(field.name, field.type))
            for field in fields(Artifact)
            if field.name != "folder" and not (field.name in LATER and field.name not in table)
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
    spec = spec_type(table["spec"])
    return {"spec": spec, "geometry": geometry_type(table["geometry"])}


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
