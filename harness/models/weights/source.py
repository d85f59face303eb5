"""What the user's word for a model means: a catalog name, a shipped trained model, or a folder.

Of a Hugging Face folder: which files hold the weights, and which file holds which tensor. A set of
weights has one name in caches and results: a seed, or a hash of the bytes.
"""

import hashlib
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from harness.core.encoding import read_json_file
from harness.core.errors import ModelError, UsageError
from harness.core.records import data_folder, read_json
from harness.models.catalog.catalog import alias_names, load_spec, spec_names
from harness.models.configs.config import spec_from_file
from harness.models.configs.encoder import dense_folders
from harness.models.exported.links import SNAPSHOTS
from harness.models.formats import refuse_format
from harness.models.naming import NAMELESS, name_of
from harness.models.specs.model import AnySpec
from harness.models.specs.tensors import dense_beside
from harness.models.unknown import FOLDER_NEEDS, unknown_model
from harness.models.weights.drawn import mixture_of
from harness.models.weights.header import check_layout, read_header

SINGLE, HEAD_NAME = "model.safetensors", "lm_head.weight"
INDEX = "model.safetensors.index.json"


def checkpoint_files(folder: Path, model: str) -> tuple[str, ...]:
    """Return the weight files in `folder`, as the transformers library would choose them.

    Args:
        folder: a Hugging Face folder.
        model: what errors call it.

    Raises:
        ModelError: see weight_files.
    """
    names = {path.name for path in folder.iterdir() if path.is_file()} if folder.is_dir() else set()
    again = "download the index and its files again"
    return weight_files(names, lambda: read_json(folder / INDEX, f"{model}/{INDEX}", again), model)


def weight_files(
    names: Collection[str], index: Callable[[], Any], model: str, fix: str = "download {}"
) -> tuple[str, ...]:
    """Return which files of a folder are its weights.

    `model.safetensors` first, then the files named by `model.safetensors.index.json`, then the
    only other *.safetensors file.

    Args:
        names: of the folder's files.
        index: reads the index.
        model: what errors call the folder.
        fix: the way out where the index names a file that is not there.

    Raises:
        ModelError: no such file, several without an index, or an index that is damaged, names
            a file outside the folder, or one that is not there.
    """
    if SINGLE in names:
        return (SINGLE,)
    if INDEX in names:
        return tuple(sorted(set(_weight_map(index(), f"{model}/{INDEX}", names, fix).values())))
    others = sorted(name for name in names if name.endswith(".safetensors"))
    if len(others) == 1:
        return (others[0],)
    raise ModelError(
        f"{model}: {len(others)} safetensors files but no {INDEX}" if others else _none(model),
        fix=f"download {SINGLE}, or {INDEX} and every file it names",
    )


def dense_files(spec: AnySpec, folder: Path, model: str) -> tuple[Path, ...]:
    """Return the weight files of an encoder's dense layers that lie in folders of their own.

    sentence-transformers keeps each in a folder, a classifier's are part of the checkpoint.

    Raises:
        ModelError: a file is missing.
    """
    if not dense_beside(spec):
        return ()
    files = tuple(folder / step / SINGLE for step in dense_folders(folder, model))
    for file in files:
        if not file.is_file():
            inside = file.relative_to(folder).as_posix()
            raise ModelError(f"{model}/{inside} is not there", fix=f"download {inside}")
    return files


def _none(model: str) -> str:
    """Return the problem of a folder without weights."""
    return f"{model}: no {SINGLE} and no {INDEX}"


def holds_embedding(source: "ModelSource") -> bool:
    """Tell whether a folder's safetensors hold a table of vocabulary × hidden width at all.

    Without one they are not this architecture's weights, whatever its config.json says. Only the
    headers are read, without numpy; a file that cannot be read so counts as weights, so that
    whoever opens it says what is wrong.
    """
    folder = source.folder
    if folder is None:
        return True
    table = [source.spec.vocab_size, source.spec.hidden_size]
    try:
        headers = [read_header(folder / file) for file in checkpoint_files(folder, source.name)]
        shapes = [part.get("shape") for header in headers for part in header.values()]
    except (OSError, ValueError, AttributeError, ModelError):
        return True
    return table in shapes


def _weight_map(index: Any, where: str, names: Collection[str], fix: str) -> dict[str, str]:
    """Return tensor -> file from the index, every file a plain name inside the folder."""
    entries = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(entries, dict) or not entries:
        again = "download the index and its files again"
        raise ModelError(f"{where} has no weight_map", fix=again)
    for tensor, name in entries.items():
        if not isinstance(name, str) or not _is_plain(name):
            raise ModelError(
                f"{where} puts {tensor} into {repr(name)[:80]}, which is not a file of the folder",
                fix="an index may only name files beside it; do not use this checkpoint",
            )
        if name not in names:
            raise ModelError(f"{where} names {name!r}, which is not there", fix=fix.format(name))
    return entries


def _is_plain(name: str) -> bool:
    """Whether `name` is a bare file name on every system: no folder, no drive, no dots."""
    bare = PurePosixPath(name).name == name and PureWindowsPath(name).name == name
    return bare and name not in ("", ".", "..") and "\0" not in name


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


def is_catalog_name(argument: str) -> bool:
    """Whether a word is a name of the catalog, an alias, or a trained model that ships."""
    return argument in (*spec_names(), *alias_names(), *trained_names())


def is_built_here(argument: str) -> bool:
    """Whether a word means a model of the catalog, a shipped one, or a folder of safetensors."""
    if is_catalog_name(argument):
        return True
    path = existing(argument)
    return path is not None and _has_weights(path)


def trained_names() -> tuple[str, ...]:
    """Return the trained models that ship with the package, in alphabetical order."""
    return tuple(sorted(path.parent.name for path in data_folder("models").glob(f"*/{CONFIG}")))


def existing(argument: str) -> Path | None:
    """Return the path when something is there, None when not, or when it cannot be a path.

    A repository's folder in a Hugging Face cache (`models--org--name`) means one snapshot of it.
    """
    path = Path(os.path.expanduser(argument))  # noqa: PTH111  # leaves an unknown ~user alone
    try:
        return _snapshot(path) if argument.strip() and path.exists() else None
    except OSError:  # too long a name, a folder one may not enter
        return None


def _snapshot(path: Path) -> Path:
    """Return the snapshot that `main` names, else the newest; of any other path the path."""
    home = path.parent if path.name == SNAPSHOTS else path
    whole = Path(os.path.abspath(home))  # noqa: PTH100  # keeps a link's own name
    if not whole.name.startswith("models--") or not (home / SNAPSHOTS).is_dir():
        return path
    main = home / "refs" / "main"
    commit = main.read_text(encoding="utf-8", errors="replace").strip() if main.is_file() else ""
    if commit and _is_plain(commit) and (home / SNAPSHOTS / commit).is_dir():
        return home / SNAPSHOTS / commit
    found = [folder for folder in (home / SNAPSHOTS).iterdir() if folder.is_dir()]
    return max(found, key=lambda folder: folder.stat().st_mtime_ns, default=path)


def _from_folder(argument: str, folder: Path) -> ModelSource:
    """Read a Hugging Face folder; its weights are looked at when they are opened."""
    name, config = name_of(folder), folder / CONFIG
    missing = [] if config.is_file() else [CONFIG]
    # An index without its files is told apart later, by the name of the file that is not there.
    missing += [] if _has_weights(folder) else ["*.safetensors"]
    other = refuse_format(folder) if missing else None
    if other is not None:
        raise other
    # A class that is not built is said first: weights would be of no use.
    spec = None
    if config.is_file():
        spec = spec_from_file(config, name, lambda: _stored_names(folder, name))
    if spec is None or missing:
        called = argument if name == NAMELESS else name
        raise UsageError(
            f"the folder {called!r} has no {' and no '.join(missing)}", fix=FOLDER_NEEDS
        )
    return ModelSource(argument, name, spec, folder)


def _stored_names(folder: Path, name: str) -> set[str]:
    """Return the names of a folder's tensors as far as its headers can be read."""
    try:
        return {
            key for file in checkpoint_files(folder, name) for key in read_header(folder / file)
        }
    except (OSError, ValueError, ModelError):
        return {HEAD_NAME}  # whoever opens the file says what is wrong with it


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


# Raised when the same seed gives other values: v1 = 16 bits of SFC64 through a normal table.
STREAM_VERSION = 1


def weights_identity(source: ModelSource, seed: int) -> str:
    """Return what tells these weights from all others, without numpy.

    Returns:
        `seeded-v1-<seed>`, of a mixture `seeded-v1-<seed>-drawn`; or `sha256:<16 hex digits>` over
        the config.json and every weight file, each with its name and length. The files are
        streamed; a folder is hashed anew at every call, because its files may have changed.

    Raises:
        UsageError: a negative seed.
        ModelError: the folder's files cannot be read or are not those its index names.
    """
    if source.folder is None:
        return seeded_identity(seed, source.spec)
    return checkpoint_identity(source.spec, source.folder, source.name)


def seeded_identity(seed: int, spec: AnySpec) -> str:
    """Return `seeded-v1-<seed>`, or raise UsageError for a negative seed.

    Of a mixture `seeded-v1-<seed>-drawn`: see harness.models.weights.drawn.
    """
    if seed < 0:
        raise UsageError(f"the seed is {seed}", fix="a seed is a whole number from 0 on")
    return f"seeded-v{STREAM_VERSION}-{seed}{'' if mixture_of(spec) is None else '-drawn'}"


def checkpoint_identity(spec: AnySpec, folder: Path, model: str) -> str:
    """Return `sha256:<16 hex digits>` of a Hugging Face folder; `model` is named in errors.

    A file is hashed only where its header fits its size.
    """
    total = hashlib.sha256()
    dense = (path.relative_to(folder).as_posix() for path in dense_files(spec, folder, model))
    for name in (CONFIG, *checkpoint_files(folder, model), *dense):
        path = folder / name
        if name != CONFIG:
            check_layout(path, model)
        total.update(f"{name}\0{_size_bytes(path, model)}\0".encode())
        total.update(_digest(path, model))
    return f"sha256:{total.hexdigest()[:16]}"


def _digest(path: Path, model: str) -> bytes:
    """Return the SHA-256 of one file, read in pieces."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise _unreadable(path, model, error) from error


def _size_bytes(path: Path, model: str) -> int:
    """Return the length of one file."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise _unreadable(path, model, error) from error


def _unreadable(path: Path, model: str, error: OSError) -> ModelError:
    """Return the error for a file that vanished or may not be read."""
    return ModelError(
        f"{model}/{path.name} cannot be read: {error.strerror}", fix="check the file and its rights"
    )
