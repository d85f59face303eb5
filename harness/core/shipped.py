"""Where the data that ships with the package lies: inside the wheel, or beside it in a checkout."""

from pathlib import Path

from harness.core.errors import StorageError

KINDS = ("models", "configs")
_PACKAGE = Path(__file__).resolve().parents[1]


def data_folder(kind: str, package: Path = _PACKAGE) -> Path:
    """Return the folder of one kind of shipped data.

    Args:
        kind: `models` (one architecture per TOML file, trained models) or `configs` (plans).
        package: folder of the import package; a test passes its own.

    Returns:
        `harness/_data/<kind>` where the wheel put it, else the checkout's top-level `<kind>`.

    Raises:
        ValueError: `kind` is not a kind of shipped data: a mistake of the caller.
        StorageError: neither folder exists: the installation is damaged.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not one of {KINDS}")
    for folder in (package / "_data" / kind, package.parent / kind):
        if folder.is_dir():
            return folder
    raise StorageError(
        f"the installed package has lost its data folder {kind!r}",
        fix="install it again: pip install --force-reinstall ondevice-bench",
    )
