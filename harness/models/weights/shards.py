"""Which files of a Hugging Face folder hold the weights, and which file holds which tensor."""

from pathlib import Path, PurePosixPath, PureWindowsPath

from harness.core.errors import ModelError
from harness.core.records import read_json

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


def checkpoint_files(folder: Path, model: str) -> tuple[str, ...]:
    """Return the weight files in `folder`, as the transformers library would choose them.

    `model.safetensors` first, then the files named by `model.safetensors.index.json`, then the
    only other *.safetensors file.

    Args:
        folder: a Hugging Face folder.
        model: what errors call it.

    Raises:
        ModelError: no such file, several without an index, or an index that is damaged, names
            a file outside the folder, or one that is not there.
    """
    if (folder / SINGLE).is_file():
        return (SINGLE,)
    if (folder / INDEX).is_file():
        return tuple(sorted(set(_weight_map(folder, model).values())))
    others = sorted(path.name for path in folder.glob("*.safetensors") if path.is_file())
    if len(others) == 1:
        return (others[0],)
    raise ModelError(
        f"{model}: {len(others)} safetensors files but no {INDEX}" if others else _none(model),
        fix=f"download {SINGLE}, or {INDEX} and every file it names",
    )


def _none(model: str) -> str:
    """Return the problem of a folder without weights."""
    return f"{model}: no {SINGLE} and no {INDEX}"


def _weight_map(folder: Path, model: str) -> dict[str, str]:
    """Return tensor -> file from the index, every file a plain name inside the folder."""
    where = f"{model}/{INDEX}"
    again = "download the index and its files again"
    index = read_json(folder / INDEX, where, again)
    entries = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(entries, dict) or not entries:
        raise ModelError(f"{where} has no weight_map", fix=again)
    for tensor, name in entries.items():
        if not isinstance(name, str) or not _is_plain(name):
            raise ModelError(
                f"{where} puts {tensor} into {repr(name)[:80]}, which is not a file of the folder",
                fix="an index may only name files beside it; do not use this checkpoint",
            )
        if not (folder / name).is_file():
            raise ModelError(f"{where} names {name!r}, which is not there", fix=f"download {name}")
    return entries


def _is_plain(name: str) -> bool:
    """Whether `name` is a bare file name on every system: no folder, no drive, no dots."""
    bare = PurePosixPath(name).name == name and PureWindowsPath(name).name == name
    return bare and name not in ("", ".", "..") and "\0" not in name
