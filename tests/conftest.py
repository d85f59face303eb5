"""Shared by every test: the checkout's root and a cache that no test shares with the user."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One artifact cache for the whole test session: each tiny model is built once."""
    return tmp_path_factory.mktemp("cache")
