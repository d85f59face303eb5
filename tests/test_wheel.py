"""The built wheel in an empty folder: data shipped, command works, the checkout out of sight."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "-o",
        str(out),
        str(ROOT),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = out.glob("ondevice_bench-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The wheel's content on a path of its own, away from the checkout."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(installed, tmp_path, *arguments):
    """`python -m harness` from the wheel, in an empty folder."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "harness", *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed), "PATH": "", "BENCH_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_ships_specs_plans_and_the_trained_model(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in ("models/smollm2-135m.toml", "configs/default.toml", "models/bytelm/config.json"):
        assert f"harness/_data/{path}" in names
    assert "harness/_data/models/bytelm/model.safetensors" in names
    assert "harness/_data/models/texts/korean.txt" in names
    assert not [name for name in names if name.startswith("tests/")]


def test_it_runs_without_the_checkout(installed, tmp_path):
    done = run(installed, tmp_path, "--config", "ci", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "bytelm/int4/cpu/ort" in done.stdout


@pytest.mark.slow
def test_it_measures_the_trained_model(installed, tmp_path):
    done = run(installed, tmp_path, "--config", "ci", "--rounds", "1", "--format", "csv")
    assert done.returncode == 0, done.stderr
    assert "trained" in done.stdout
