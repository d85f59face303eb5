"""The catalog: one architecture per file in `models/*.toml`, read strictly."""

from pathlib import Path

from harness.errors import ModelError, UsageError
from harness.specs.check import check_spec
from harness.specs.model import ModelSpec
from harness.specs.names import suggestion
from harness.specs.shipped import data_folder
from harness.specs.toml_records import read_record, read_table


def spec_names() -> tuple[str, ...]:
    """Return the names of all shipped architectures, in alphabetical order."""
    return tuple(sorted(path.stem for path in data_folder("models").glob("*.toml")))


def load_spec(name: str) -> ModelSpec:
    """Return the shipped architecture called `name`.

    Raises:
        UsageError: no such name; the fix names the nearest ones.
        ModelError: the file is damaged.
    """
    names = spec_names()
    if name not in names:
        raise UsageError(f"no model is called {name!r}", fix=suggestion(name, names))
    return read_spec(data_folder("models") / f"{name}.toml")


def read_spec(path: Path) -> ModelSpec:
    """Read one architecture file; its keys are the fields of ModelSpec, nothing else.

    Raises:
        ModelError: not TOML, an unknown or missing key, a value of another type, numbers that
            describe no decoder, or a name that is not the file's.
    """
    spec = check_spec(read_record(ModelSpec, read_table(path), path.name), path.name)
    if spec.name != path.stem:
        raise ModelError(
            f"{path.name}: name is {spec.name!r}", fix=f"name must be the file's: {path.stem!r}"
        )
    return spec
