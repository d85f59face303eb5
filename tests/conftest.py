"""Shared by every test: a tiny checkpoint, a cache of its own, and the devices that tests need."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from harness.devices.probe import Probe, probe_row
from harness.devices.table import find_row
from tests.tiny import write_checkpoint


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder of a two-layer Llama with random weights."""
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def make_tiny() -> Callable[[Path], Path]:
    """Write another such folder where a test wants it."""
    return write_checkpoint


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One artifact cache for the whole test session: each tiny model is built once."""
    return tmp_path_factory.mktemp("cache")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--require-device webgpu,qnn`: a missing one then fails its tests instead of skipping."""
    parser.addoption("--require-device", default="", help="rows that must work here, simulated too")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a device test whose row does not work here, or fail it where the row is required."""
    required = item.config.getoption("--require-device").split(",")
    for marker in item.iter_markers("device"):
        (key,) = marker.args
        found = device(key)
        if not found.works:
            reason = f"device {key}: {found.state}: {found.problem}"
            if key in required:
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)


@cache
def device(key: str) -> Probe:
    """Ask a row once whether it works, on hardware or simulated."""
    return probe_row(find_row(key), allow_simulated=True)
