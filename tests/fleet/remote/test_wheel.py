"""The wheel that is made of the files that run: what pip needs of one, and the same each time."""

import zipfile
from io import BytesIO

import pytest

from harness.core.version import NOT_INSTALLED, dependencies, installed_version
from harness.fleet.remote.wheel import own_wheel

pytestmark = pytest.mark.skipif(installed_version() == NOT_INSTALLED, reason="a bare checkout")


def test_it_holds_the_package_its_data_and_what_it_needs():
    wheel = own_wheel()
    archive = zipfile.ZipFile(BytesIO(wheel.packed()))
    names = set(archive.namelist())
    assert {"harness/__main__.py", "harness/fleet/remote/host_side.py"} <= names
    assert {"harness/_data/models/smollm2-135m.toml", "harness/_data/configs/ci.toml"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]
    (place,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
    metadata = archive.read(f"{place}/METADATA").decode()
    assert f"Version: {installed_version()}\n" in metadata
    assert all(f"Requires-Dist: {line}\n" in metadata for line in dependencies())
    assert wheel.name == f"{place.removesuffix('.dist-info')}-py3-none-any.whl"


def test_every_file_is_recorded():
    archive = zipfile.ZipFile(BytesIO(own_wheel().packed()))
    (record,) = (name for name in archive.namelist() if name.endswith("/RECORD"))
    lines = archive.read(record).decode().splitlines()
    assert [line.split(",")[0] for line in lines] == archive.namelist()


def test_the_same_files_are_the_same_wheel():
    first, second = own_wheel(), own_wheel()
    assert first.digest == second.digest
    assert first.packed() == second.packed()
