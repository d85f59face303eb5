"""Draw the pictures of the README again: `python docs/pictures.py`, after any change of charts.

Each is one chart of a committed document, as `bench report DOCUMENT --images DIR` draws it, light
and dark and without a background of its own. A test compares what the files hold with what this
script would write: marks, data and words, not pixels.
"""

from collections.abc import Mapping
from pathlib import Path

from harness.report.charts.chart import NamedDocument
from harness.report.charts.images import DARK, draw_svg
from harness.report.charts.table import charts_of
from harness.report.charts.themes import dark_config, light_config
from harness.results.document import read_document

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
# name of the picture -> document, chart
PICTURES = {"levels": ("results/reference/sweep-smollm2-135m.json", "rates")}


def pictures() -> Mapping[Path, str]:
    """Return each picture's file and its content."""
    found = {}
    for name, (document, wanted) in PICTURES.items():
        path = ROOT / document
        charts = charts_of([NamedDocument(path.stem, read_document(path))])
        (chart,) = (chart for chart in charts if chart.name == wanted)
        for suffix, config in (("", light_config(None)), (DARK, dark_config(None))):
            found[DOCS / "pictures" / f"{name}{suffix}.svg"] = draw_svg(chart, config=config)
    return found


if __name__ == "__main__":
    for path, content in pictures().items():
        path.write_text(f"{content}\n", encoding="utf-8")
