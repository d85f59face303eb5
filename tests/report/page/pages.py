"""Pages of committed and of small documents, drawn without the libraries of charts, and parsed."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import lxml.html
from lxml.html import HtmlElement

from harness.report.page.draw import draw_runs
from harness.report.page.runs import Refused, Source
from harness.results.document import read_document
from harness.results.schema import Document

ROOT = Path(__file__).resolve().parents[3]
STORED = sorted(
    path
    for path in (ROOT / "results").glob("*/*.json")
    if '"bench.results"' in path.read_text(encoding="utf-8")[:200]
)


@cache
def stored(path: Path) -> Document:
    """A committed document."""
    return read_document(path)


def sources(*documents: Document) -> list[Source]:
    """Files called `a`, `b`, ..."""
    return [Source(chr(ord("a") + place), one) for place, one in enumerate(documents)]


def drawn(*documents: Document, refused: Sequence[Refused] = ()) -> HtmlElement:
    """The page of some documents, without charts."""
    return lxml.html.document_fromstring(draw_runs(sources(*documents), refused, charts=()))


def table_of(page: HtmlElement, name: str) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of one table, as they are read."""
    (table,) = page.xpath(f'//*[@id="{name}"]//table')
    heads = [_words(head) for head in table.xpath("./thead/tr/th")]
    return heads, [
        [_words(cell) for cell in row.xpath("./th|./td")] for row in table.xpath("./tbody/tr")
    ]


def _words(element: HtmlElement) -> str:
    """Text of an element that is seen."""
    return " ".join("".join(_seen(element)).split())


def _seen(element: HtmlElement) -> Iterator[str]:
    """Yield the text of an element without what is hidden."""
    yield element.text or ""
    for child in element:
        if child.get("hidden") is None:
            yield from _seen(child)
        yield child.tail or ""


def words_of(page: HtmlElement, place: str) -> str:
    """What is read in an element."""
    (element,) = page.xpath(f'//*[@id="{place}"]')
    return _words(element)
