"""The built wheel in an empty folder: data shipped, command works, the checkout out of sight."""

import re
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_string
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


@pytest.fixture(scope="module")
def metadata(wheel):
    """The wheel's METADATA: headers, and the README as the body."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("dist-info/METADATA"))
        return message_from_string(archive.read(name).decode("utf-8"))


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
    for path in (
        *("models/smollm2-135m.toml", "configs/default.toml", "models/bytelm/config.json"),
        *("configs/catalog/devices.toml", "configs/catalog/devices/phones.toml"),
        *("models/bytelm/tasks.jsonl", "models/texts/tasks.jsonl"),
    ):
        assert f"harness/_data/{path}" in names
    for path in ("base.html", "runs.html", "page.css", "page.js", "charts.js"):
        assert f"harness/report/page/templates/{path}" in names
    assert "harness/_data/models/bytelm/model.safetensors" in names
    assert "harness/_data/models/texts/korean.txt" in names
    assert not [name for name in names if name.startswith("tests/")]


def test_the_wheel_is_typed(wheel):
    """Type checkers ignore the annotations of a package without this file."""
    assert "harness/py.typed" in zipfile.ZipFile(wheel).namelist()


def test_the_metadata_says_where_the_source_is(metadata):
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL"))
    assert urls.keys() == {"Source", "Issues", "Changelog"}
    assert all(url.startswith(urls["Source"]) for url in urls.values())


def test_links_of_the_description_work_outside_the_repository(metadata):
    """An index page shows the README far from the files beside it."""
    (source,) = (
        line.split(", ")[1] for line in metadata.get_all("Project-URL") if "Source" in line
    )
    targets = re.findall(r"\]\(([^)]+)\)", metadata.get_payload())
    assert targets
    for target in targets:
        assert target.startswith((f"{source}/blob/main/", "#")), target


def test_the_installed_version_is_the_projects(installed, tmp_path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert run(installed, tmp_path, "--version").stdout == f"bench {project['version']}\n"


def test_it_runs_without_the_checkout(installed, tmp_path):
    done = run(installed, tmp_path, "--config", "ci", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "bytelm/int4/cpu/ort" in done.stdout


@pytest.mark.slow
def test_it_measures_the_trained_model(installed, tmp_path):
    """A level of the shipped plan from an installed package; .ci/run has a user's whole run."""
    plan = ("--config", "ci", "--rounds", "1", "--no-calibrate", "--quant", "int4")
    done = run(installed, tmp_path, *plan, "--format", "csv")
    assert done.returncode == 0, done.stderr
    assert "trained" in done.stdout
