"""The whole catalog: architectures built here, and those only described in `models/catalog/`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.core.errors import ModelError, UsageError, suggestion
from harness.core.records import data_folder, read_record, read_table
from harness.models.catalog.decoder import decoder_structure, spec_structure
from harness.models.catalog.encoders import (
    clip_structure,
    modernbert_structure,
    t5_structure,
    vit_structure,
    whisper_structure,
)
from harness.models.catalog.load import alias_names, load_spec, spec_names
from harness.models.catalog.shapes import (
    ClipShape,
    DecoderShape,
    ModernBertShape,
    T5Shape,
    VitShape,
    WhisperShape,
)
from harness.models.specs.model import AnySpec
from harness.models.specs.structure import ModelStructure

# kind in the file, its record, how it is taken apart
KINDS: dict[str, tuple[type[Any], Callable[[str, Any], ModelStructure]]] = {
    "decoder": (DecoderShape, decoder_structure),
    "modernbert": (ModernBertShape, modernbert_structure),
    "whisper": (WhisperShape, whisper_structure),
    "t5": (T5Shape, t5_structure),
    "vit": (VitShape, vit_structure),
    "clip": (ClipShape, clip_structure),
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


def catalog_models() -> tuple[CatalogModel, ...]:
    """Return all models of the catalog, by size."""
    models = (catalog_model(name) for name in catalog_names())
    return tuple(sorted(models, key=lambda model: model.structure.parameters))


@cache
def catalog_model(name: str) -> CatalogModel:
    """Return the model called `name`, which may be an alias.

    Raises:
        UsageError: no such name; the fix names the nearest ones.
        ModelError: its file is damaged.
    """
    if name in alias_names():
        return _built(load_spec(name))
    if name not in catalog_names():
        raise UsageError(f"no model is called {name!r}", fix=suggestion(name, catalog_names()))
    path = _folder() / f"{name}.toml"
    return read_catalog_model(path) if path.is_file() else _built(load_spec(name))


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
        elif type(value) in (int, float) and value <= 0:
            raise ModelError(f"{where}: {key} is {value}", fix=f"{key} must be positive")
