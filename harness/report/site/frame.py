"""The frame of a site's pages: that of every page, with styles and scripts in files of the site.

A hundred pages that each carry the libraries of charts would be a hundred megabytes. Links are
relative, so that a site works under any address and from a disk; a page loads files of its site
and nothing else, and runs nothing that stands in a page.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.report.page.frame import (
    CHARTS_SCRIPT,
    SCRIPT,
    STYLE,
    TEMPLATES,
    chart_libraries,
    environment,
    script_json,
)

if TYPE_CHECKING:
    from jinja2 import Environment

ASSETS = "assets"
OWN_TEMPLATES = Path(__file__).with_name("templates")
OWN_STYLE = "site.css"
LIBRARIES = "libraries.js"
# `file:` besides, for browsers to which the files of a folder are not of one origin.
OWN_FILES = "'self' file:"
CONTENT_POLICY = "; ".join(
    f"{name} {value}"
    for name, value in (
        ("default-src", "'none'"),
        ("style-src", OWN_FILES),
        ("script-src", OWN_FILES),
        ("img-src", "data:"),
        ("base-uri", "'none'"),
        ("form-action", "'none'"),
    )
)


def draw_site_page(template: str, path: str, *, has_charts: bool = False, **values: Any) -> bytes:
    """Draw a page that extends `site.html`, in UTF-8.

    Args:
        template: a file of this package's templates.
        path: of the page, from the folder of the site.
        has_charts: it needs the libraries.
        values: what the template takes, as text: it is escaped there.

    Raises:
        DeviceError: a package of the extra `report` is not installed.
    """
    scripts = [SCRIPT, *((LIBRARIES, CHARTS_SCRIPT) if has_charts else ())]
    text: str = (
        _environment()
        .get_template(template)
        .render(
            policy=CONTENT_POLICY,
            root=root_of(path),
            styles=[f"{ASSETS}/{name}" for name in (STYLE, OWN_STYLE)],
            scripts=[f"{ASSETS}/{name}" for name in scripts],
            script_json=script_json,
            sections=(),
            **values,
        )
    )
    return (text.rstrip("\n") + "\n").encode("utf-8")


def assets() -> dict[str, bytes]:
    """Files that all pages share, by their paths; the libraries of charts are the largest.

    Raises:
        DeviceError: a package of the extra `report` is not installed.
    """
    found = {name: _read(TEMPLATES / name) for name in (STYLE, SCRIPT, CHARTS_SCRIPT)}
    found |= {OWN_STYLE: _read(OWN_TEMPLATES / OWN_STYLE), LIBRARIES: chart_libraries()}
    return {f"{ASSETS}/{name}": text.encode("utf-8") for name, text in found.items()}


def root_of(path: str) -> str:
    """What leads from a page to the folder of the site: `../` for each folder above it."""
    return "../" * path.count("/")


@cache
def _environment() -> "Environment":
    """The templates of pages, and those of a site before them."""
    from jinja2 import ChoiceLoader, FileSystemLoader

    both = ChoiceLoader([FileSystemLoader(OWN_TEMPLATES), FileSystemLoader(TEMPLATES)])
    return environment().overlay(loader=both)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
