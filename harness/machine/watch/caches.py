"""The last-level cache of the processor, as far as the system tells. Pure but for reading files."""

import re
from pathlib import Path

from harness.core.units import GIB, KIB, MIB

CACHES = "sys/devices/system/cpu/cpu0/cache"
UNITS = {"": 1, "K": KIB, "M": MIB, "G": GIB}


def last_level_bytes(root: Path = Path("/")) -> int | None:
    """Return the size of the largest cache of the first processor; None: nothing tells.

    Args:
        root: of the file system; tests give another one.
    """
    sizes = [_size(path) for path in (root / CACHES).glob("index*/size")]
    return max((size for size in sizes if size is not None), default=None)


def _size(path: Path) -> int | None:
    """Read `266240K`; None: it is no size, or may not be read."""
    try:
        found = re.fullmatch(r"(\d+)([KMG]?)", path.read_text(encoding="ascii").strip())
    except (OSError, UnicodeDecodeError):
        return None
    return int(found[1]) * UNITS[found[2]] if found else None
