"""Charts as pictures: SVG and PNG, drawn by vl-convert without a browser or a network."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from harness.core.errors import DeviceError
from harness.report.charts.chart import NOMINAL_WIDTH, Chart, Spec
from harness.report.charts.themes import dark_config, light_config

INSTALL = "pip install 'ondevice-bench[report]'"
PNG_SCALE = 2.0  # dots of a picture for each of the drawing: sharp on dense screens
TITLE_LETTERS, WORDS_LETTERS = 84, 124  # of a line above a picture
DARK = "-dark"


def draw_svg(chart: Chart, *, dark: bool = False, config: Spec | None = None) -> str:
    """A chart as SVG, its title, source, caption and notes above it.

    Args:
        chart: which.
        dark: for a dark page.
        config: of Vega-Lite, in place of a theme's.

    Raises:
        DeviceError: vl-convert-python is not installed.
    """
    theme = config or (dark_config() if dark else light_config())
    drawn: str = _library().vegalite_to_svg(pictured(chart), config=theme, allowed_base_urls=[])
    return drawn


def png_of(svg: str) -> bytes:
    """The same picture in dots."""
    drawn: bytes = _library().svg_to_png(svg, scale=PNG_SCALE)
    return drawn


def pictures(charts: Sequence[Chart], *, dark: bool = False) -> Iterator[tuple[str, str | bytes]]:
    """Yield name and content of the files of each chart: NAME.svg, NAME.png, or NAME-dark.svg.

    Raises:
        DeviceError: vl-convert-python is not installed.
    """
    for chart in charts:
        name = chart.name + DARK * dark
        svg = draw_svg(chart, dark=dark)
        yield f"{name}.svg", svg
        yield f"{name}.png", png_of(svg)


def pictured(chart: Chart) -> Spec:
    """The specification of a picture: of one width, with its words above it."""
    told = (chart.source, chart.caption, *chart.notes)
    lines = [line for text in told for line in textwrap.wrap(text, WORDS_LETTERS)]
    title = {
        "text": textwrap.wrap(chart.title, TITLE_LETTERS),
        "subtitle": lines,
        "frame": "bounds",
    }
    width = chart.spec.get("width")
    fixed = {"width": NOMINAL_WIDTH} if width == "container" else {}
    return {**chart.spec, **fixed, "title": title}


def _library() -> Any:
    """The library that draws.

    Raises:
        DeviceError: it is not installed.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise DeviceError("pictures of charts need vl-convert-python", fix=INSTALL) from error
    return vl_convert
