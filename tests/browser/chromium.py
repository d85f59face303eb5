"""A page in Debian's Chromium, offline, with everything that it says or asks for kept."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
WIDE, PHONE = (1280, 900), (380, 800)
READY_MS = 30_000  # for all charts of a page, on a busy machine


@dataclass
class Opened:
    """A page that was opened from its file.

    Attributes:
        page: of Playwright.
        errors: what it said on the console, and errors of scripts.
        requests: addresses that it asked for, its own file left out.
        dialogs: texts of those that it opened.
    """

    page: "Page"
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


def find_chromium() -> str | None:
    """The browser on PATH; None: there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def open_page(
    browser: "Browser", path: Path, size: tuple[int, int] = WIDE, dark: bool = False
) -> Opened:
    """Open a file, without a network, and wait until its charts stand.

    Args:
        browser: running.
        path: of a page.
        size: of the window, pixels.
        dark: what the system prefers.
    """
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        offline=True,
    )
    page = context.new_page()
    page.set_default_timeout(READY_MS)
    found = Opened(page)
    own = path.as_uri()

    def asked(url: str) -> None:
        if url.partition("#")[0] != own and not url.startswith("data:"):
            found.requests.append(url)

    def told(dialog: "Dialog") -> None:
        found.dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("request", lambda request: asked(request.url))
    page.on(
        "console",
        lambda line: found.errors.append(line.text) if line.type == "error" else None,
    )
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    page.on("dialog", told)
    page.goto(own)
    if page.locator(".view[data-spec]").count():
        page.wait_for_selector(":root[data-ready]")
    return found
