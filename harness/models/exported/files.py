"""Which files of a folder are one model: found by name, before anything is opened.

What describes a model decides first (the `filename`s of genai_config.json); then what lies in the
folder, in its `onnx/`, and in folders below it. The parts of one model may be stored differently:
of each part the copy that was asked for is taken, else the plain one, else the only one.
"""

import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from harness.core import records
from harness.core.errors import ModelError, UsageError
from harness.models.exported.links import link_target
from harness.models.exported.model import Role
from harness.models.naming import is_layout, name_of

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
# Folders of packages that keep each part in one of its own, as `decoder/model.onnx`.
_PART_FOLDERS = {
    "decoder_with_past": Role.DECODER_WITH_PAST,
    "decoder_model": Role.DECODER,
    "decoder": Role.DECODER,
    "encoder_model": Role.ENCODER,
    "encoder": Role.ENCODER,
}
_DEPTH, _MOST_FOLDERS = 3, 500  # how far below a folder graphs are looked for
_SHOWN = 6  # files that an error names


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """The files of one model.

    Attributes:
        name: see harness.models.naming.
        folder: holds the graphs, or the folders of its parts; absolute.
        graphs: file by role, relative to the folder, with `/`; the one that stands for the model
            first.
        config_folders: where config.json and tokenizer.json are looked for, in order.
        variants: graphs that may be chosen instead.
        is_own_copy: whether the files are copies or second names that this package made.
    """

    name: str
    folder: Path
    graphs: Mapping[Role, str]
    config_folders: tuple[Path, ...]
    variants: tuple[str, ...]
    is_own_copy: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    """A graph by its name.

    Attributes:
        file: relative to the folder, with `/`.
        role: what it is for; `model` where its name does not say.
        copy: what tells it from other copies of the part (`q4`); its whole stem where that is no
            name that exporters give; empty: the plain one.
        is_named: whether its name is one that exporters give.
    """

    file: str
    role: Role
    copy: str
    is_named: bool


@dataclass(frozen=True, slots=True)
class Typed:
    """How a folder was asked for.

    Attributes:
        called: what errors call it.
        choice: a graph of it, relative to it -> what is typed after `--model` to get that one.
    """

    called: str
    choice: Callable[[str], str]


def is_exported(path: Path) -> bool:
    """Whether `path` looks like a model that others exported, by its name and what lies in it."""
    if path.is_dir():
        return bool(graphs_in(path))
    return path.suffix == ".onnx"


def graphs_in(path: Path) -> tuple[str, ...]:
    """Return a folder's graphs, those of `onnx/` where it has none, else those further below."""
    inner = tuple(f"{SUBFOLDER}/{file}" for file in _graphs_of(path / SUBFOLDER))
    return _graphs_of(path) or inner or tuple(_graphs_below(path))


def find_files(path: Path) -> FoundFiles:
    """Return the files of the model that `path` means.

    A file chooses itself, and of an encoder–decoder the other half: of the same kind where there
    is one, else the plain one. Of a folder the plain files are taken where quantized copies lie
    beside them.

    Args:
        path: as it was typed: advice is given from there.

    Raises:
        UsageError: no model there, or several and none of them plain.
        ModelError: a genai_config.json that cannot be read.
    """
    typed, path = path, Path(os.path.abspath(path))  # noqa: PTH100  # keeps a link's own name
    if not path.is_dir():
        return _of_file(path)
    named = _named_by_genai(path)
    if named:
        return _found(path, named, graphs_in(path))
    files = graphs_in(path)
    if not files:
        raise UsageError(f"{path.name!r} holds no .onnx file", fix=f"give {WANTED}")
    inner = [str(PurePosixPath(file).parent) for file in files]
    if len(set(inner)) == 1 and inner[0] != ".":  # all in one folder: the model is that folder
        return find_files(typed / inner[0])
    asked = Typed(typed.name or name_of(typed), lambda file: str(typed / file))
    return _found(path, _chosen([_part(file) for file in files], asked), files)


def graphs_among(files: Iterable[str]) -> tuple[str, ...]:
    """Return which of a folder's files are its graphs, as graphs_in does.

    Args:
        files: relative to the folder, with `/`.
    """
    found = sorted(PurePosixPath(file) for file in files if file.endswith(".onnx"))
    at_top = [file for file in found if len(file.parts) == 1]
    inner = [file for file in found if str(file.parent) == SUBFOLDER]
    below = [
        file
        for file in found
        if len(file.parts) <= _DEPTH + 1 and not any(part[0] == "." for part in file.parts[:-1])
    ]
    return tuple(str(file) for file in at_top or inner or below)


def chosen_of(files: Sequence[str], typed: Typed, asked: str | None = None) -> tuple[str, ...]:
    """Return which of the graphs of a folder are its model, as find_files would choose.

    Args:
        files: graphs, relative to the folder, with `/`.
        typed: how the folder was asked for.
        asked: the one that was given by its name; None: the folder was.

    Raises:
        UsageError: several models; the fix names one of them.
    """
    parts = [_part(file) for file in files]
    part = None if asked is None else _part(asked)
    if part is None:
        return tuple(_chosen(parts, typed).values())
    if part.role is Role.MODEL:
        return (part.file,)
    others = [other for other in parts if other.file != part.file]
    return tuple(_halves([part, *others], part).values())


def _of_file(path: Path) -> FoundFiles:
    """Return the model that one file belongs to: of two halves by genai_config.json, or by name."""
    if path.suffix != ".onnx":
        raise UsageError(f"{path.name!r} is no model", fix=f"give {WANTED}")
    if not path.exists() and not path.is_symlink():
        raise UsageError(f"there is no {path.name!r} in that folder", fix=f"give {WANTED}")
    folder, files = path.parent, _graphs_of(path.parent)
    named = _named_by_genai(folder)
    if len(named) > 1 and path.name in named.values():
        return _found(folder, named, files, path.stem)
    part = _part(path.name)
    if part.role is Role.MODEL:
        return _found(folder, {Role.MODEL: path.name}, files, path.stem)
    parts = [part, *(_part(file) for file in files if file != path.name)]
    return _found(folder, _halves(parts, part), files, path.stem)


def _found(
    folder: Path, graphs: Mapping[Role, str], files: Sequence[str], stem: str = ""
) -> FoundFiles:
    """Return the record of a choice among `files`."""
    others = tuple(file for file in files if file not in graphs.values())
    own = {folder / PurePosixPath(file).parent: None for file in graphs.values()}
    configs = dict.fromkeys((*own, folder))
    if is_layout(folder.name):  # what describes the model lies above it
        configs[folder.parent] = None
        if is_layout(folder.parent.name):
            configs[folder.parent.parent] = None
    return FoundFiles(name_of(folder, stem), folder, graphs, tuple(configs), others)


def _graphs_of(folder: Path) -> tuple[str, ...]:
    """Return the names of a folder's graphs, in alphabetical order."""
    try:
        return tuple(sorted(entry.name for entry in folder.glob("*.onnx")))
    except OSError:  # a folder one may not enter
        return ()


def _graphs_below(folder: Path) -> Iterator[str]:
    """Every graph some folders below, nearest first, hidden folders left out."""
    for count, (place, folders, _) in enumerate(os.walk(folder)):
        inner = Path(place).relative_to(folder)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if len(inner.parts) >= _DEPTH or count > _MOST_FOLDERS:
            folders[:] = []
        yield from ((inner / file).as_posix() for file in _graphs_of(Path(place)))


def _part(file: str) -> _Part:
    """Return what a graph's name says of it; the folder says it of one that is called `model`."""
    path = PurePosixPath(file)
    match = _STEM.fullmatch(path.stem)
    if match is None:
        return _Part(file, Role.MODEL, path.stem, is_named=False)
    role, copy = _HALVES[match[1]], match[2] or ""
    if role is Role.MODEL:
        role = _PART_FOLDERS.get(path.parent.name, role)
    other = role is Role.MODEL and path.parent.name not in ("", SUBFOLDER)
    return _Part(file, role, f"{path.parent}/{copy}" if other else copy, is_named=not other)


def _chosen(parts: Sequence[_Part], typed: Typed) -> dict[Role, str]:
    """Return the files of a folder that are its model.

    Raises:
        UsageError: several models; the fix names one of them from where the user stands.
    """
    halves = [part for part in parts if part.role is not Role.MODEL]
    whole = [part for part in parts if part.role is Role.MODEL]
    named = [part for part in whole if part.is_named]
    if halves and (any(part.role is Role.ENCODER for part in halves) or not named):
        decoders = [part for part in halves if part.role is not Role.ENCODER] or halves
        copies = {part.copy for part in decoders}
        if "" in copies:
            return _halves(halves, None)
        known = copies if len(copies) == 1 else _shared_copies(halves)
        if len(known) == 1:
            of_it = [part for part in decoders if part.copy in known]
            return _halves(
                halves, min(of_it, key=lambda part: part.role is not Role.DECODER_MERGED)
            )
        raise _several(decoders, typed)
    candidates = named or whole
    plain = [part for part in candidates if part.is_named and not part.copy]
    if not plain and len(candidates) > 1:
        raise _several(candidates, typed)
    return {Role.MODEL: (plain or candidates)[0].file}


def _several(parts: Sequence[_Part], typed: Typed) -> UsageError:
    """Return the error for several models in one folder."""
    files = sorted(part.file for part in parts)
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    return UsageError(
        f"{typed.called!r} holds several models: {', '.join(files[:_SHOWN])}{more}",
        fix=f"choose one by its file: --model {shlex.quote(typed.choice(files[0]))}",
    )


def _shared_copies(halves: Sequence[_Part]) -> set[str]:
    """Return the copies that there are of every part."""
    roles = {part.role for part in halves}
    copies = ({part.copy for part in halves if part.role is role} for role in roles)
    return set.intersection(*copies) - {""}


def _halves(parts: Sequence[_Part], asked: _Part | None) -> dict[Role, str]:
    """Return the halves that are needed, the decoder's first.

    Args:
        parts: all of the folder.
        asked: the one that was given by its file; None: the folder was.
    """
    by_role: dict[Role, dict[str, str]] = {}
    for part in parts:
        if part.role is not Role.MODEL:
            by_role.setdefault(part.role, {}).setdefault(part.copy, part.file)
    wished = "" if asked is None else asked.copy
    merged, split = by_role.get(Role.DECODER_MERGED, {}), by_role.get(Role.DECODER, {})
    if asked is not None and asked.role is not Role.ENCODER:
        is_merged = asked.role is Role.DECODER_MERGED
    else:
        is_merged = bool(merged) and (wished in merged or wished not in split)
    halves = (Role.DECODER_MERGED,) if is_merged else (Role.DECODER, Role.DECODER_WITH_PAST)
    found: dict[Role, str] = {}
    for role in (*halves, Role.ENCODER):
        copies = by_role.get(role)
        if copies:
            copy = next((each for each in (wished, "") if each in copies), min(copies))
            found[role] = copies[copy]
    return found


def _named_by_genai(folder: Path) -> dict[Role, str]:
    """Return the graphs that a folder's genai_config.json names; empty without one.

    It may leave out the encoder, which is then the one below the folder that is called so.
    """
    where = f"{name_of(folder)}/{GENAI_CONFIG}"
    config = read_json(folder / GENAI_CONFIG, where)
    found = named_by_genai(config, where, lambda file: (folder / file).exists())
    if found and Role.ENCODER not in found:
        parts = [_part(each) for each in graphs_in(folder)]
        halves = [part for part in parts if part.role is Role.ENCODER and not part.copy]
        if halves:
            found[Role.ENCODER] = halves[0].file
    return found


def named_by_genai(config: Any, where: str, exists: Callable[[str], bool]) -> dict[Role, str]:
    """Return the graphs that a genai_config.json names, the decoder first; empty: it names none.

    Args:
        config: decoded.
        where: names it in errors.
        exists: whether its folder holds a file.

    Raises:
        ModelError: it names a graph that is not in the folder.
    """
    model = config.get("model") if isinstance(config, dict) else None
    found: dict[Role, str] = {}
    for part, role in (("decoder", Role.MODEL), ("encoder", Role.ENCODER)):
        table = model.get(part) if isinstance(model, dict) else None
        file = table.get("filename") if isinstance(table, dict) else None
        if file is None and role is Role.MODEL:
            return {}
        if file is not None:
            found[role] = _inside(file, where, exists)
    return found


def _inside(file: object, where: str, exists: Callable[[str], bool]) -> str:
    """Return a file that a configuration names, where it is one of the folder."""
    path = PurePosixPath(str(file).replace("\\", "/"))
    outside = path.is_absolute() or ".." in path.parts or ":" in str(path) or not path.parts
    if not isinstance(file, str) or outside or not exists(str(path)):
        raise ModelError(
            f"{where} names the graph {repr(file)[:60]}, which is not in the folder",
            fix="download the folder again",
        )
    return str(path)


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
