"""The models that ship: those that are built here, their aliases, and those only described.

`models/*.toml` holds one architecture per file, `configs/catalog/aliases.toml` names that share
one, `models/catalog/` what is only described. All are read strictly.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.core.errors import ModelError, UsageError, suggestion
from harness.core.records import data_folder, read_record, read_table
from harness.models.catalog.encoders import (
    clip_structure,
    parts_structure,
    t5_structure,
    vit_structure,
    whisper_structure,
)
from harness.models.specs.check import check_any
from harness.models.specs.dissect import decoder_structure, spec_structure
from harness.models.specs.model import AnySpec, spec_type
from harness.models.specs.shapes import (
    ClipShape,
    DecoderShape,
    PartsShape,
    T5Shape,
    VitShape,
    WhisperShape,
)
from harness.models.specs.structure import ModelStructure


@dataclass(frozen=True, slots=True)
class Alias:
    """A model with the architecture of a catalog model, and weights of its own.

    Attributes:
        name: the word the user types.
        like: the catalog model.
        hf_id: `organisation/name` on the Hugging Face hub.
        license: of the published weights.
        source: where the numbers were read.
        published_parameters: the count that its makers state, or None.
        expected_delta: as of a CatalogModel.
        expected_delta_reason: likewise.
    """

    name: str
    like: str
    hf_id: str
    license: str
    source: str
    published_parameters: int | None = None
    expected_delta: int = 0
    expected_delta_reason: str = ""


@cache
def spec_names() -> tuple[str, ...]:
    """Return the names of all shipped architectures, in alphabetical order."""
    return tuple(sorted(path.stem for path in data_folder("models").glob("*.toml")))


def alias_names() -> tuple[str, ...]:
    """Return the words for models that share the architecture of a shipped one."""
    return tuple(_aliases())


def listed_names() -> tuple[str, ...]:
    """Return the names of all models with an architecture of their own, in alphabetical order.

    Those of the catalog, and the aliases that differ from what they are like.
    """
    own = (name for name, row in _aliases().items() if row.get("differs"))
    return tuple(sorted((*catalog_names(), *own)))


@cache
def load_spec(name: str) -> AnySpec:
    """Return the shipped architecture called `name`, or the one that an alias stands for.

    Raises:
        UsageError: no such name; the fix names the nearest ones.
        ModelError: the file is damaged.
    """
    path = data_folder("models") / f"{name}.toml"
    if name in spec_names():
        return read_spec(path)
    if name in _aliases():
        return _aliased(_aliases()[name], ALIASES_FILE)
    raise UsageError(f"no model is called {name!r}", fix=suggestion(name, spec_names()))


def likened_names() -> frozenset[str]:
    """Return the names of models that aliases are like."""
    return frozenset(row["like"] for row in _aliases().values())


ALIASES_FILE = "aliases.toml"


@cache
def _aliases() -> dict[str, dict[str, Any]]:
    """Return the rows of the shipped aliases by name; an architecture is made when it is asked."""
    return _alias_rows(data_folder("configs") / "catalog" / ALIASES_FILE)


def read_aliases(path: Path) -> dict[str, AnySpec]:
    """Read a file of aliases: the architecture of each by its name.

    Raises:
        ModelError: not TOML, an unknown or missing key, a value of another type, a name that is
            one of the catalog or stands twice, or numbers that describe no model.
    """
    return {name: _aliased(row, path.name) for name, row in _alias_rows(path).items()}


def _alias_rows(path: Path) -> dict[str, dict[str, Any]]:
    """Return the tables of a file of aliases by name."""
    found: dict[str, dict[str, Any]] = {}
    for row in read_table(path).get("alias", []):
        name = row.get("name", "")
        if name in found or name in spec_names():
            raise ModelError(f"{path.name}: {name!r} names two models", fix="rename one")
        found[name] = row
    return found


def _aliased(row: dict[str, Any], where: str) -> AnySpec:
    """Return the architecture of an alias: that of the model it is like, and what differs."""
    own_keys = {key: value for key, value in row.items() if key != "differs"}
    alias = read_record(Alias, own_keys, where)
    if alias.like not in spec_names():
        raise ModelError(
            f"{where}: {alias.name} is like {alias.like!r}, which is not in the catalog",
            fix=suggestion(alias.like, spec_names()),
        )
    known = _as_table(load_spec(alias.like))
    own = {key: value for key, value in asdict(alias).items() if key != "like"}
    return _spec_of({**known, **own, **row.get("differs", {})}, f"{where}: {alias.name}")


def _as_table(record: Any) -> dict[str, Any]:
    """Return a record as TOML would have written it: tuples as lists, nothing without a value."""

    def written(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in pairs
            if value is not None
        }

    return asdict(record, dict_factory=written)


def read_spec(path: Path) -> AnySpec:
    """Read one architecture file; its keys are the fields of ModelSpec, nothing else.

    Of an encoder they are those of EncoderSpec or RotaryEncoderSpec; see spec_type.

    Raises:
        ModelError: not TOML, an unknown or missing key, a value of another type, numbers that
            describe no model, or a name that is not the file's.
    """
    spec = _spec_of(read_table(path), path.name)
    if spec.name != path.stem:
        raise ModelError(
            f"{path.name}: name is {spec.name!r}", fix=f"name must be the file's: {path.stem!r}"
        )
    return spec


def _spec_of(table: dict[str, Any], where: str) -> AnySpec:
    """Read one architecture from its table, of the record of its family."""
    return check_any(read_record(spec_type(table), table, where), where)


# kind in the file, its record, how it is taken apart
KINDS: dict[str, tuple[type[Any], Callable[[str, Any], ModelStructure]]] = {
    "decoder": (DecoderShape, decoder_structure),
    "whisper": (WhisperShape, whisper_structure),
    "t5": (T5Shape, t5_structure),
    "vit": (VitShape, vit_structure),
    "clip": (ClipShape, clip_structure),
    "parts": (PartsShape, parts_structure),
}


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """One published architecture.

    Attributes:
        name: the word the user types.
        hf_id: `organisation/name` on the Hugging Face hub, or empty.
        license: of the published weights.
        structure: the architecture, taken apart; its counts are ours.
        published_parameters: the count its makers or independent public code state, or None.
        expected_delta: our exact count minus the published one, where known to differ.
        expected_delta_reason: why it differs, or why there is no published count.
        notes: what a count alone does not tell.
        source: where the numbers were read.
    """

    name: str
    hf_id: str
    license: str
    structure: ModelStructure
    published_parameters: int | None = None
    expected_delta: int = 0
    expected_delta_reason: str = ""
    notes: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class _Described:
    """A file of `models/catalog/` without its shape; fields as in CatalogModel."""

    name: str
    kind: str
    hf_id: str
    license: str
    source: str
    published_parameters: int | None = None
    expected_delta: int = 0
    expected_delta_reason: str = ""
    notes: tuple[str, ...] = ()


@cache
def catalog_names() -> tuple[str, ...]:
    """Return the names of all models of the catalog, in alphabetical order; without aliases."""
    described = (path.stem for path in _folder().glob("*.toml"))
    return tuple(sorted({*described, *spec_names()}))


def is_described(name: str) -> bool:
    """Whether the catalog knows the architecture of a model called so; aliases are known."""
    return name in catalog_names() or name in alias_names()


def catalog_models() -> tuple[CatalogModel, ...]:
    """Return all models that are listed, by size."""
    models = (catalog_model(name) for name in listed_names())
    return tuple(sorted(models, key=lambda model: model.structure.parameters))


@cache
def catalog_model(name: str) -> CatalogModel:
    """Return the model called `name`, which may be an alias.

    Raises:
        UsageError: no such name; the fix names the nearest ones.
        ModelError: its file is damaged.
    """
    if name in catalog_names():
        path = _folder() / f"{name}.toml"
        return read_catalog_model(path) if path.is_file() else _built(load_spec(name))
    if name in alias_names():
        return _built(load_spec(name))
    known = (*catalog_names(), *alias_names())
    raise UsageError(f"no model is called {name!r}", fix=suggestion(name, known))


def read_catalog_model(path: Path) -> CatalogModel:
    """Read one file of `models/catalog/`; its keys are those of the records, nothing else.

    Raises:
        ModelError: not TOML, an unknown kind, an unknown or missing key, a value of another
            type, a number that is not positive, or a name that is not the file's.
    """
    table = read_table(path)
    shape_table = table.pop("shape", None)
    described = read_record(_Described, table, path.name)
    if described.kind not in KINDS:
        raise ModelError(
            f"{path.name}: kind is {described.kind!r}", fix=suggestion(described.kind, KINDS)
        )
    if not isinstance(shape_table, dict):
        raise ModelError(f"{path.name}: the table [shape] is missing", fix="add it")
    if described.name != path.stem:
        raise ModelError(
            f"{path.name}: name is {described.name!r}", fix=f"name must be {path.stem!r}"
        )
    _refuse_impossible(shape_table, path.name)
    record, take_apart = KINDS[described.kind]
    shape = read_record(record, shape_table, f"{path.name} [shape]")
    return CatalogModel(
        name=described.name,
        hf_id=described.hf_id,
        license=described.license,
        structure=take_apart(described.name, shape),
        published_parameters=described.published_parameters,
        expected_delta=described.expected_delta,
        expected_delta_reason=described.expected_delta_reason,
        notes=described.notes,
        source=described.source,
    )


def _built(spec: AnySpec) -> CatalogModel:
    """Return the catalog's view of an architecture that is built here."""
    return CatalogModel(
        name=spec.name,
        hf_id=spec.hf_id,
        license=spec.license,
        structure=spec_structure(spec),
        published_parameters=spec.published_parameters,
        expected_delta=spec.expected_delta,
        expected_delta_reason=spec.expected_delta_reason,
        source=spec.source,
    )


def _folder() -> Path:
    """Return the folder of described models."""
    return data_folder("models") / "catalog"


def _refuse_impossible(shape: dict[str, Any], where: str) -> None:
    """Refuse numbers that are not positive."""
    for key, value in shape.items():
        if isinstance(value, dict):
            _refuse_impossible(value, where)
        elif isinstance(value, list):
            for row in value:
                _refuse_impossible(row if isinstance(row, dict) else {key: row}, where)
        elif type(value) in (int, float) and value <= 0:
            raise ModelError(f"{where}: {key} is {value}", fix=f"{key} must be positive")
