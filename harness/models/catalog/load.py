"""The catalog: one architecture per file in `models/*.toml`, read strictly."""

from pathlib import Path

from harness.core.errors import ModelError, UsageError
from harness.core.names import suggestion
from harness.core.records import read_record, read_table
from harness.core.shipped import data_folder
from harness.models.specs.check import check_spec
from harness.models.specs.check_encoder import check_encoder
from harness.models.specs.encoder import ENCODER_FAMILIES, AnySpec, EncoderSpec
from harness.models.specs.model import ModelSpec


def spec_names() -> tuple[str, ...]:
    """Return the names of all shipped architectures, in alphabetical order."""
    return tuple(sorted(path.stem for path in data_folder("models").glob("*.toml")))


def load_spec(name: str) -> AnySpec:
    """Return the shipped architecture called `name`.

    Raises:
        UsageError: no such name; the fix names the nearest ones.
        ModelError: the file is damaged.
    """
    names = spec_names()
    if name not in names:
        raise UsageError(f"no model is called {name!r}", fix=suggestion(name, names))
    return read_spec(data_folder("models") / f"{name}.toml")


def read_spec(path: Path) -> AnySpec:
    """Read one architecture file; its keys are the fields of ModelSpec, nothing else.

    Where `family` is an encoder's they are those of EncoderSpec.

    Raises:
        ModelError: not TOML, an unknown or missing key, a value of another type, numbers that
            describe no model, or a name that is not the file's.
    """
    table = read_table(path)
    spec: AnySpec
    if table.get("family") in ENCODER_FAMILIES:
        spec = check_encoder(read_record(EncoderSpec, table, path.name), path.name)
    else:
        spec = check_spec(read_record(ModelSpec, table, path.name), path.name)
    if spec.name != path.stem:
        raise ModelError(
            f"{path.name}: name is {spec.name!r}", fix=f"name must be the file's: {path.stem!r}"
        )
    return spec
