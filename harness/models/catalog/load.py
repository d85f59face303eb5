"""The catalog: one architecture per file in `models/*.toml`, and its aliases; read strictly."""

from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.core.errors import ModelError, UsageError, suggestion
from harness.core.records import data_folder, read_record, read_table
from harness.models.specs.check import check_encoder, check_spec
from harness.models.specs.model import ENCODER_FAMILIES, AnySpec, EncoderSpec, ModelSpec


@dataclass(frozen=True, slots=True)
class Alias:
    """A model with the architecture of a catalog model, and weights of its own.

    Attributes:
        name: the word the user types.
        like: the catalog model.
        hf_id: `organisation/name` on the Hugging Face hub.
        license: of the published weights.
        source: where the numbers were read.
        published_parameters: the count that its makers state.
    """

    name: str
    like: str
    hf_id: str
    license: str
    source: str
    published_parameters: int


def spec_names() -> tuple[str, ...]:
    """Return the names of all shipped architectures, in alphabetical order."""
    return tuple(sorted(path.stem for path in data_folder("models").glob("*.toml")))


def alias_names() -> tuple[str, ...]:
    """Return the words for models that share the architecture of a shipped one."""
    return tuple(_aliases())


def load_spec(name: str) -> AnySpec:
    """Return the shipped architecture called `name`, or the one that an alias stands for.

    Raises:
        UsageError: no such name; the fix names the nearest ones.
        ModelError: the file is damaged.
    """
    names = spec_names()
    if name in names:
        return read_spec(data_folder("models") / f"{name}.toml")
    if name in _aliases():
        return _aliases()[name]
    raise UsageError(f"no model is called {name!r}", fix=suggestion(name, names))


@cache
def _aliases() -> dict[str, AnySpec]:
    """Return the shipped aliases by name, read once."""
    return read_aliases(data_folder("configs") / "catalog" / "aliases.toml")


def read_aliases(path: Path) -> dict[str, AnySpec]:
    """Read a file of aliases: the architecture of each by its name.

    Raises:
        ModelError: not TOML, an unknown or missing key, a value of another type, a name that is
            one of the catalog or stands twice, or numbers that describe no model.
    """
    found: dict[str, AnySpec] = {}
    for row in read_table(path).get("alias", []):
        differs = row.pop("differs", {})
        alias = read_record(Alias, row, path.name)
        if alias.name in (*found, *spec_names()):
            raise ModelError(f"{path.name}: {alias.name!r} names two models", fix="rename one")
        if alias.like not in spec_names():
            raise ModelError(
                f"{path.name}: {alias.name} is like {alias.like!r}, which is not in the catalog",
                fix=suggestion(alias.like, spec_names()),
            )
        known = _as_table(load_spec(alias.like))
        own = {key: value for key, value in asdict(alias).items() if key != "like"}
        counted = {"expected_delta": 0, "expected_delta_reason": ""}
        where = f"{path.name}: {alias.name}"
        found[alias.name] = _spec_of({**known, **counted, **own, **differs}, where)
    return found


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

    Where `family` is an encoder's they are those of EncoderSpec.

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
    if table.get("family") in ENCODER_FAMILIES:
        return check_encoder(read_record(EncoderSpec, table, where), where)
    return check_spec(read_record(ModelSpec, table, where), where)
