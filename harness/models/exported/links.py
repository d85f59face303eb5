"""Where the symbolic links of a model folder may lead: no further than the model itself."""

import os
from pathlib import Path

from harness.core.errors import ModelError

BLOBS, SNAPSHOTS = "blobs", "snapshots"  # of a Hugging Face cache


def link_target(path: Path, folder: Path, where: str) -> Path:
    """Return the regular file that a symbolic link of a model folder leads to.

    Args:
        path: the link.
        folder: of the model.
        where: names it in errors.

    Raises:
        ModelError: it leads out of the folder, and not into the `blobs` of the Hugging Face cache
            that the folder is part of.
    """
    target = Path(os.path.realpath(path))
    inside = target.is_relative_to(os.path.realpath(folder))
    if not (inside or is_blob(target, folder)):
        raise ModelError(
            f"{where} is a link that leads out of the model's folder",
            fix="copy the file there in its place",
        )
    if not target.is_file():
        raise ModelError(f"{where} is a link to no regular file", fix="download the model again")
    return target


def is_blob(target: Path, folder: Path) -> bool:
    """Whether a file lies in `blobs` of the Hugging Face cache whose snapshots hold `folder`."""
    home = target.parent.parent
    return target.parent.name == BLOBS and Path(os.path.realpath(folder)).is_relative_to(
        home / SNAPSHOTS
    )
