"""Fault: a run of hundreds of cells, of which each leaves a little behind.

What must remain true: memory and open files of the process that runs the plan stay where they were
after its first cells.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINE = re.compile(r"^ *(\d+) cells +([\d.]+) MiB +([+-][\d.]+)% +(\d+) files", re.MULTILINE)
CELLS = 400
MOST_GROWTH_PERCENT = 5.0


@pytest.mark.slow
def test_memory_and_files_of_the_parent_stay_where_they_were(tmp_path):
    """As benchmarks/soak.py tells them after every hundred cells; its times are the machine's."""
    words = [sys.executable, "benchmarks/soak.py", "--cells", str(CELLS)]
    env = {"PATH": "", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, env=env)
    blocks = LINE.findall(done.stdout)
    assert [int(cells) for cells, *_ in blocks] == list(range(100, CELLS + 1, 100)), done.stderr
    assert all(float(growth) <= MOST_GROWTH_PERCENT for _, _, growth, _ in blocks), done.stdout
    assert all(int(files) <= int(blocks[0][3]) for *_, files in blocks), done.stdout
