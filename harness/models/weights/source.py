"""What the user's word for a model means: a catalog name, a shipped trained model, or a folder."""

import os
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UsageError
from harness.core.records import data_folder, read_json_file
from harness.models.catalog.catalog import alias_names, load_spec, spec_names
from harness.models.configs.config import spec_from_file
from harness.models.formats import refuse_format
from harness.models.naming import name_of
from harness.models.specs.model import AnySpec
from harness.models.unknown import FOLDER_NEEDS, unknown_model
from harness.models.weights.shards import INDEX

CONFIG = "config.json"
HUB_FILE = "hub.json"  # lies in a folder that was fetched, and says from where


@dataclass(frozen=True, slots=True)
class ModelSource:
    """An architecture and where its weights come from.

    Attributes:
        argument: what the user typed.
        name: the catalog name, or what the folder's path names; never a path.
        spec: the architecture.
        folder: the Hugging Face folder of trained weights; None: seeded random weights.
    """

    argument: str
    name: str
    spec: AnySpec
    folder: Path | None

    @property
    def weights_kind(self) -> str:
        """`trained` where a folder holds the weights, else `seeded`."""
        return "seeded" if self.folder is None else "trained"


def resolve_model(argument: str) -> ModelSource:
    """Find the model that `argument` means; reads at most its config.json.

    A catalog name or alias comes first, then a trained model shipped with the package, then a path;
    `./name` means the folder where a folder is called like a catalog name.

    Raises:
        UsageError: nothing of these; the fix names the nearest models and what a folder holds.
        ModelError: the folder's config.json is damaged or of an unsupported architecture.
    """
    if argument in spec_names() or argument in alias_names():
        return ModelSource(argument, argument, load_spec(argument), None)
    if argument in trained_names():
        return _from_folder(argument, data_folder("models") / argument)
    path = existing(argument)
    if path is not None and path.is_dir():
        return _from_folder(argument, path)
    if path is not None:
        raise refuse_format(path) or UsageError(
            f"{path.name!r} is a file, not a model folder", fix=f"give the folder: {FOLDER_NEEDS}"
        )
    raise unknown_model(argument)


def is_built_here(argument: str) -> bool:
    """Whether a word means a model of the catalog, a shipped one, or a folder of safetensors."""
    if argument in (*spec_names(), *alias_names(), *trained_names()):
        return True
    path = existing(argument)
    return path is not None and _has_weights(path)


def trained_names() -> tuple[str, ...]:
    """Return the trained models that ship with the package, in alphabetical order."""
    return tuple(sorted(path.parent.name for path in data_folder("models").glob(f"*/{CONFIG}")))


def existing(argument: str) -> Path | None:
    """Return the path when something is there, None when not, or when it cannot be a path."""
    path = Path(os.path.expanduser(argument))  # noqa: PTH111  # leaves an unknown ~user alone
    try:
        return path if argument.strip() and path.exists() else None
    except OSError:  # too long a name, a folder one may not enter
        return None


def _from_folder(argument: str, folder: Path) -> ModelSource:
    """Read a Hugging Face folder; its weights are looked at when they are opened."""
    name = name_of(folder)
    missing = [] if (folder / CONFIG).is_file() else [CONFIG]
    # An index without its files is told apart later, by the name of the file that is not there.
    missing += [] if _has_weights(folder) else ["*.safetensors"]
    if missing:
        raise refuse_format(folder) or UsageError(
            f"the folder {name!r} has no {' and no '.join(missing)}", fix=FOLDER_NEEDS
        )
    return ModelSource(argument, name, spec_from_file(folder / CONFIG, name), folder)


def _has_weights(folder: Path) -> bool:
    """Whether a folder holds weights in the form of Hugging Face."""
    return (folder / INDEX).is_file() or any(folder.glob("*.safetensors"))


def hub_origin(folder: Path | None) -> str | None:
    """Return where a folder was fetched from, `hf:org/name@commit[:inside]`; None: from nowhere."""
    if folder is None or not (folder / HUB_FILE).is_file():
        return None
    record = read_json_file(folder / HUB_FILE)
    inside = f":{record['inside']}" if record["inside"] else ""
    return f"hf:{record['repo']}@{record['commit']}{inside}"
