"""One browser and a few pages for every test that looks at one; skipped without a browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import find_chromium
from tests.browser.shown import write_pages

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MISSING = "no Chromium on PATH: apt-get install chromium"


@pytest.fixture(scope="session")
def browser(request: pytest.FixtureRequest) -> "Iterator[Browser]":
    """Chromium without a window."""
    found = find_chromium()
    if found is None:
        if request.config.getoption("--require-browser"):
            pytest.fail(MISSING, pytrace=False)
        pytest.skip(MISSING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every page in a file of its own, by name."""
    return write_pages(tmp_path_factory.mktemp("pages"))
