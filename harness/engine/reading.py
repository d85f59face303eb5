"""Files that a session will open, brought into the page cache before it is timed."""

import os
from pathlib import Path

from harness.core.units import MIB

READ_BYTES = MIB
WEIGHTS = ("*.data", "*.bin")  # of built models, and of compiled ones
PREPACKED_DATA = "prepacked.data"  # the copies of weights that kernels compute on
WHOLE = (PREPACKED_DATA, "*.gguf")  # every page is computed on at every step


def read_through(graph: Path, *graphs: Path) -> None:
    """Read a model's files once, so that its load is timed with warm files and not with the disk.

    The files are the graphs and all WEIGHTS beside the first one. Where the system can be told so,
    they are read without looking ahead: what is read ahead lies in pieces of up to its size
    in the page cache, and a mapping of one row brings in the whole piece. Those of WHOLE are used
    as they are mapped, and large pieces are what makes that fast.
    """
    buffer = bytearray(READ_BYTES)
    beside = (path for pattern in WEIGHTS for path in sorted(graph.parent.glob(pattern)))
    for path in (graph, *graphs, *beside):
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                if hasattr(os, "posix_fadvise"):
                    whole = any(path.match(pattern) for pattern in WHOLE)
                    advice = os.POSIX_FADV_SEQUENTIAL if whole else os.POSIX_FADV_RANDOM
                    os.posix_fadvise(file.fileno(), 0, 0, advice)
                while file.readinto(buffer):
                    pass
