"""One file under a second name: weights of hundreds of MiB are never stored twice."""

import shutil
from pathlib import Path


def link_file(file: Path, name: Path) -> None:
    """Give `file` the second name `name`: a hard link, or a copy where the disk knows no links.

    ONNX Runtime refuses data files that are symbolic links.

    Raises:
        OSError: neither can be made.
    """
    try:
        name.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, name)
