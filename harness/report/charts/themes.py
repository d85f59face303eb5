"""Colours, shapes and configurations of charts, light and dark. Pure."""

from typing import Any

# Told apart with normal sight and without one kind of cone, and at least three to one against both
# backgrounds (WCAG 2.2, 1.4.11), so that one palette serves both themes. The first two are Okabe
# and Ito's, https://jfly.uni-koeln.de/color/; the others were searched for at the largest distance
# that simulated colour vision leaves, as tests/report/charts/test_themes.py computes it.
PALETTE = ("#0072B2", "#D55E00", "#AA71FC", "#9B4B66", "#C07AAF", "#5B6730", "#59926F")
GREY = "#777777"  # of what is no series of measurements
# As many as have no common divisor with the colours: 56 series differ in one or the other.
SHAPES = (
    *("circle", "square", "triangle-up", "diamond", "cross", "triangle-down"),
    *("triangle-right", "triangle-left"),
)
LIGHT_BACKGROUND, DARK_BACKGROUND = "#ffffff", "#0d1117"
FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"
LABEL_LIMIT, LEGEND_LIMIT = 260, 300  # px; what is longer ends in an ellipsis


def light_config(background: str | None = LIGHT_BACKGROUND) -> dict[str, Any]:
    """The configuration of Vega-Lite for a light page.

    Args:
        background: a colour; None: none, the page's own is seen.
    """
    return _config(background, text="#1f2328", quiet="#59636e", line="#d1d9e0")


def dark_config(background: str | None = DARK_BACKGROUND) -> dict[str, Any]:
    """The same for a dark page."""
    return _config(background, text="#e6edf3", quiet="#9198a1", line="#3d444d")


def _config(background: str | None, text: str, quiet: str, line: str) -> dict[str, Any]:
    """Everything that has a colour of a theme.

    Args:
        background: of the whole chart.
        text: of titles.
        quiet: of labels, and of marks that stand for nothing measured.
        line: of axes and grids.
    """
    return {
        "background": background,
        "font": FONT,
        "padding": 12,
        "range": {"category": list(PALETTE), "symbol": list(SHAPES)},
        "view": {"stroke": None},
        "title": {
            "color": text,
            "subtitleColor": quiet,
            "anchor": "start",
            "fontSize": 15,
            "subtitleFontSize": 11.5,
            "subtitleLineHeight": 15,
            "subtitlePadding": 5,
            "offset": 12,
        },
        "axis": {
            "labelColor": quiet,
            "titleColor": text,
            "titleFontWeight": "normal",
            "titleFontSize": 12,
            "labelFontSize": 11,
            "labelLimit": LABEL_LIMIT,
            "gridColor": line,
            "gridOpacity": 0.7,
            "domainColor": line,
            "tickColor": line,
        },
        "legend": {
            "labelColor": text,
            "titleColor": quiet,
            "titleFontWeight": "normal",
            "labelFontSize": 11,
            "labelLimit": LEGEND_LIMIT,
            "orient": "bottom",
            "columnPadding": 14,
            "symbolBaseFillColor": quiet,
            "symbolBaseStrokeColor": quiet,
            "symbolLimit": 0,
            "symbolSize": 90,
        },
        # What is drawn without a series: rules, text, bands.
        "rule": {"color": quiet},
        "text": {"color": text, "fontSize": 11},
        "style": {"quiet": {"color": quiet}, "strong": {"color": text}},
    }
