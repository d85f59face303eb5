"""A file system root with as much of /proc and /sys as a test asks for."""

import os
from pathlib import Path

TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 10**7
FILES = {
    "proc/self/cgroup": "0::/\n",
    "proc/vmstat": "nr_free_pages 1\npswpin 0\npswpout 0\n",
}


def write(root: Path, files: dict[str, str]) -> Path:
    """Write `files` (path -> text) below `root`; returns `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def stat(*processors: str) -> str:
    """/proc/stat with one line per processor: user nice system idle iowait irq softirq steal."""
    lines = [f"cpu{number} {counts} 0 0" for number, counts in enumerate(processors)]
    return "\n".join(["cpu  0 0 0 0 0 0 0 0 0 0", *lines, "intr 1"]) + "\n"
