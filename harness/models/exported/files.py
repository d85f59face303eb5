"""Which files of a folder are one model: found by name, before anything is opened."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core import records
from harness.core.errors import ModelError, UsageError
from harness.models.exported.links import link_target
from harness.models.exported.model import Role

GENAI_CONFIG = "genai_config.json"
SUBFOLDER = "onnx"  # where repositories of a hub keep their graphs
WANTED = (
    "a .onnx file, a folder with one, a repository with its files in onnx/, or a folder with"
    " genai_config.json"
)
# The names that exporters give, and what follows them in quantized copies (`model_q4.onnx`).
_HALVES = {
    "decoder_with_past_model": Role.DECODER_WITH_PAST,
    "decoder_model_merged": Role.DECODER_MERGED,
    "decoder_model": Role.DECODER,
    "encoder_model": Role.ENCODER,
    "model": Role.MODEL,
}
_STEM = re.compile(f"({'|'.join(_HALVES)})(?:_(.+))?")


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """The files of one model.

    Attributes:
        name: of the folder, or of the file where its folder has no name of its own.
        folder: holds the graphs; absolute.
        graphs: file name by role; the one that stands for the model first.
        config_folders: where config.json and tokenizer.json are looked for, in order.
        variants: names of the graphs that may be chosen instead.
        is_own_copy: whether the files are copies or second names that this package made.
    """

    name: str
    folder: Path
    graphs: Mapping[Role, str]
    config_folders: tuple[Path, ...]
    variants: tuple[str, ...]
    is_own_copy: bool = False


def is_exported(path: Path) -> bool:
    """Whether `path` looks like a model that others exported, by its name and what lies in it."""
    if path.is_dir():
        return bool(_graphs_of(path)) or bool(_graphs_of(path / SUBFOLDER))
    return path.suffix == ".onnx"


def find_files(path: Path) -> FoundFiles:
    """Return the files of the model that `path` means.

    A file chooses itself, and of an encoder–decoder the other half of the same kind. Of a folder
    the plain files are taken where quantized copies lie beside them.

    Raises:
        UsageError: no model there, or several and none of them plain.
        ModelError: a genai_config.json that cannot be read.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100  # keeps a link's own name
    if not path.is_dir():
        return _of_file(path)
    folder = path if _graphs_of(path) else path / SUBFOLDER
    files = _graphs_of(folder)
    if not files:
        raise UsageError(f"{path.name!r} holds no .onnx file", fix=f"give {WANTED}")
    named = _named_by_genai(folder, path.name)
    if named is not None:
        return _found(path.name, folder, {Role.MODEL: named}, files)
    groups = _groups(files)
    if "" not in groups and len(groups) > 1:
        raise UsageError(
            f"{path.name!r} holds several models: {', '.join(files)}",
            fix=f"choose one by its file: --model {path.name}/{files[0]}",
        )
    return _found(path.name, folder, _whole(groups.get("", next(iter(groups.values())))), files)


def _of_file(path: Path) -> FoundFiles:
    """Return the model that one file belongs to."""
    if path.suffix != ".onnx":
        raise UsageError(f"{path.name!r} is no model", fix=f"give {WANTED}")
    if not path.exists() and not path.is_symlink():
        raise UsageError(f"there is no {path.name!r} in that folder", fix=f"give {WANTED}")
    folder = path.parent
    files = _graphs_of(folder)
    role, suffix = _role(path.name)
    group = dict(_groups(files).get(suffix, {}))
    group[role] = path.name
    whole = group if role is not Role.MODEL else {Role.MODEL: path.name}
    graphs = _whole(whole)
    outer = folder.parent if folder.name == SUBFOLDER else folder
    name = outer.name if path.stem == "model" and outer.name else path.stem
    return _found(name, folder, graphs, files)


def _found(
    name: str, folder: Path, graphs: Mapping[Role, str], files: tuple[str, ...]
) -> FoundFiles:
    """Return the record of a choice among `files`."""
    others = tuple(file for file in files if file not in graphs.values())
    configs = (folder, folder.parent) if folder.name == SUBFOLDER else (folder,)
    return FoundFiles(name or "model", folder, graphs, configs, others)


def _graphs_of(folder: Path) -> tuple[str, ...]:
    """Return the names of a folder's graphs, in alphabetical order."""
    try:
        return tuple(sorted(entry.name for entry in folder.glob("*.onnx")))
    except OSError:  # a folder one may not enter
        return ()


def _role(file: str) -> tuple[Role, str]:
    """Return what a file is for, and what tells its copy from others; its stem where unknown."""
    stem = file.removesuffix(".onnx")
    match = _STEM.fullmatch(stem)
    if match is None:
        return Role.MODEL, stem
    return _HALVES[match[1]], match[2] or ""


def _groups(files: tuple[str, ...]) -> dict[str, dict[Role, str]]:
    """Return the files by what tells copies apart, then by role."""
    groups: dict[str, dict[Role, str]] = {}
    for file in files:
        role, suffix = _role(file)
        groups.setdefault(suffix, {})[role] = file
    return groups


def _whole(group: Mapping[Role, str]) -> dict[Role, str]:
    """Return the files of one copy that are needed, the decoder's first."""
    if Role.MODEL in group and Role.ENCODER not in group:
        return {Role.MODEL: group[Role.MODEL]}
    merged = Role.DECODER_MERGED in group
    halves = (Role.DECODER_MERGED,) if merged else (Role.DECODER, Role.DECODER_WITH_PAST)
    wanted = (*halves, Role.ENCODER)
    return {role: group[role] for role in wanted if role in group}


def _named_by_genai(folder: Path, name: str) -> str | None:
    """Return the graph that genai_config.json names, or None without one."""
    config = read_json(folder / GENAI_CONFIG, f"{name}/{GENAI_CONFIG}")
    if config is None:
        return None
    try:
        file = config["model"]["decoder"]["filename"]
    except (KeyError, TypeError):
        return None
    if not isinstance(file, str) or "/" in file or "\\" in file or not (folder / file).exists():
        raise ModelError(
            f"{name}/{GENAI_CONFIG} names the graph {repr(file)[:60]}, which is not in the folder",
            fix="download the folder again",
        )
    return file


def read_json(path: Path, where: str) -> Any:
    """Return a decoded file, or None where there is none.

    Raises:
        ModelError: not readable, not JSON, longer than a megabyte, or a link that leads elsewhere.
    """
    if not path.is_file():
        return None
    if path.is_symlink():
        link_target(path, path.parent, where)
    if path.stat().st_size > _JSON_BYTES:
        raise ModelError(f"{where} is longer than 1 MB", fix="download it again")
    return records.read_json(path, where)


_JSON_BYTES = 1_000_000
