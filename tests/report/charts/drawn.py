"""Committed documents and their charts, read once."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from harness.report.charts.chart import Chart, NamedDocument
from harness.report.charts.table import charts_of
from harness.results.document import read_document
from harness.results.schema import Document

ROOT = Path(__file__).resolve().parents[3]
NAMES = (
    *("reference/default", "reference/kv-smollm2-135m", "reference/levels"),
    *("reference/sweep-bytelm", "reference/sweep-smollm2-135m", "reference/three-ways"),
    *("validation/first", "validation/modern", "validation/scaling"),
)


@cache
def stored(name: str) -> Document:
    """A committed document, which may lie compressed."""
    path = ROOT / "results" / f"{name}.json"
    return read_document(path if path.is_file() else path.with_suffix(".json.xz"))


@cache
def charts(*names: str) -> Mapping[str, Chart]:
    """The charts of committed documents by their names."""
    named = [NamedDocument(name.split("/")[-1], stored(name)) for name in names]
    return {chart.name: chart for chart in charts_of(named)}


def of(*documents: Document) -> Mapping[str, Chart]:
    """The charts of some documents by their names."""
    named = [NamedDocument(f"file-{place}", one) for place, one in enumerate(documents)]
    return {chart.name: chart for chart in charts_of(named)}


def data(chart: Chart) -> list[dict[str, Any]]:
    """The rows that all layers share."""
    return chart.spec["data"]["values"]


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key and value of a specification, however deep; items of lists under the key."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key, item
            yield from walk(item)
    if isinstance(value, list):
        for item in value:
            yield from walk(item)
