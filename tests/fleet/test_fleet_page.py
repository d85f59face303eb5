"""What docs/fleet.md gives to other queues: each line takes one cell after the other."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "fleet.md").read_text(encoding="utf-8")
STUB = '#!/bin/sh\nprintf "%s\\n" "$@"\n'
CELLS = [f"cells/cell-{number:016x}.json" for number in range(3)]


@pytest.fixture
def shell(tmp_path):
    """Run a line of the page where `bench` says what it was given; returns its words."""
    if sys.platform == "win32":
        pytest.skip("the lines are for a POSIX shell")
    (tmp_path / "cells").mkdir()
    for cell in CELLS:
        (tmp_path / cell).write_text("{}")
    stub = tmp_path / "bench"
    stub.write_text(STUB)
    stub.chmod(0o755)

    def run(line, **variables):
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, **variables}
        done = subprocess.run(
            ["sh", "-c", line], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    return run


def quoted(begins):
    """The part of a line that its queue runs: what stands between its single quotes."""
    (found,) = re.findall(rf"`{begins}[^`']*'([^']*)'`", PAGE)
    return found


@pytest.mark.parametrize("number", range(3))
def test_a_task_of_slurm_takes_the_cell_of_its_number(shell, number):
    words = shell(quoted("sbatch"), SLURM_ARRAY_TASK_ID=str(number + 1))
    assert words == ["cell", CELLS[number], "--out", "results"]


def test_a_task_of_hyperqueue_takes_the_cell_of_its_line(shell):
    words = shell(quoted("hq submit"), HQ_ENTRY=CELLS[1])
    assert words == ["cell", CELLS[1], "--out", "results"]
