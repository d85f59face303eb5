"""The frame of every page: Jinja with everything escaped, one style, two scripts, no way outside.

Text that reaches a template is escaped there, and what would not be drawn (controls, overrides of
the direction) leaves as a visible escape: names come from files. A page holds all that it needs.
Its Content-Security-Policy lets nothing else in, and no script run whose hash it does not name.
"""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import DeviceError
from harness.report.grid import json_text, one_line

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

INSTALL = "pip install 'ondevice-bench[report]'"
NO_CHARTS = "charts are drawn with vl-convert-python, which is not installed"
TEMPLATES = Path(__file__).with_name("templates")
STYLE, SCRIPT, CHARTS_SCRIPT = "page.css", "page.js", "charts.js"
# What a parser of HTML, or of scripts in it, might take for an end: written as escapes of JSON.
SCRIPT_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
# Puts the libraries where charts.js finds them; vega-embed carries an interpreter of expressions,
# so that no text becomes a program (`unsafe-eval`).
LIBRARIES = "window.vegaEmbed = vegaEmbed;"


@cache
def environment() -> "Environment":
    """The templates of this folder, with autoescape on; a name that is not given is an error.

    Raises:
        DeviceError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise DeviceError("pages are drawn with jinja2, which is not installed", INSTALL) from error
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_drawn,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def check_extra() -> None:
    """Find out before results are read whether a page can be drawn.

    Raises:
        DeviceError: a package of the extra `report` is not installed.
    """
    environment()
    if find_spec("vl_convert") is None:
        raise DeviceError(NO_CHARTS, INSTALL)


def draw_page(template: str, *, title: str, charts: Sequence[Any] = (), **values: Any) -> str:
    """Draw a page that extends `base.html`; ends with a line feed.

    Args:
        template: a file of the folder `templates`.
        title: of the page, as text.
        charts: records of harness.report.charts; with none the libraries are left out.
        values: what the template takes, as text: it is escaped there.

    Raises:
        DeviceError: a package of the extra `report` is not installed.
    """
    from markupsafe import Markup

    style = Markup(_file(STYLE))
    scripts = [Markup(_file(SCRIPT))]
    if charts:
        scripts += [Markup(chart_libraries()), Markup(_file(CHARTS_SCRIPT))]
    return (
        environment()
        .get_template(template)
        .render(
            title=title,
            policy=content_policy([style], scripts),
            style=style,
            scripts=scripts,
            charts=charts,
            script_json=script_json,
            **values,
        )
        .rstrip("\n")
        + "\n"
    )


def content_policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    """The Content-Security-Policy of a page: what stands in it runs, and nothing is fetched."""
    rules = {
        "default-src": "'none'",
        "style-src": " ".join(map(_hash, styles)),
        "script-src": " ".join(map(_hash, scripts)),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def script_json(value: Any) -> "Markup":
    """JSON that may stand in a script element: no text in it ends the element or begins a comment.

    Everything beyond ASCII, line separators among it, is an escape of JSON.
    """
    from markupsafe import Markup

    text = json_text(value, separators=(",", ":"))
    for sign, escape in SCRIPT_ESCAPES.items():
        text = text.replace(sign, escape)
    return Markup(text)


@cache
def chart_libraries() -> str:
    """Vega, Vega-Lite and vega-embed as one script, of the version that draws images too.

    Raises:
        DeviceError: vl-convert-python is not installed.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise DeviceError(NO_CHARTS, INSTALL) from error
    return _as_element(vl_convert.javascript_bundle(LIBRARIES))


def _as_element(script: str) -> str:
    """A script that may stand in an element: the same program, whose names are its own."""
    plain = f"(function () {{\n{script}\n}})();".replace("\r\n", "\n").replace("\r", "\n")
    return plain.replace("</script", "<\\/script").replace("<!--", "<\\!--")


@cache
def _file(name: str) -> str:
    """A style or a script of the folder."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The word of a policy for one element of exactly this text."""
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _drawn(value: Any) -> Any:
    """What a template prints: text with what is not drawn as escapes, and all else as it is."""
    return one_line(value) if type(value) is str else value
