"""The pages that are looked at: a sweep, two machines, failures, and hostile names."""

from collections.abc import Iterator
from pathlib import Path

from msgspec import structs

from harness.report.page.draw import draw_runs
from harness.report.page.runs import Source
from harness.results.document import read_document
from harness.results.schema import Document
from tests.report.report_documents import ENVIRONMENT, document, group, sweep

REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference"
HOSTILE = (
    "<script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    '"onload="window.hit=1" autofocus onfocus="window.hit=1',
    "</script><script>window.hit=1</script>",
    "javascript:window.hit=1",
    "{{constructor.constructor('window.hit=1')()}}",
    "datum['x'] || alert(1)",
)


def write_pages(folder: Path) -> dict[str, Path]:
    """Write every page with its charts, and `NAME-tables` without them; return where each lies."""
    found = {}
    for name, documents in _documents():
        sources = [Source(f"{name}-{place}", one) for place, one in enumerate(documents)]
        for charts, called in ((None, name), ((), f"{name}-tables")):
            found[called] = folder / f"{called}.html"
            found[called].write_text(draw_runs(sources, charts=charts), encoding="utf-8")
    return found


def _documents() -> Iterator[tuple[str, list[Document]]]:
    """Yield what each page is of."""
    yield "sweep", [read_document(REFERENCE / "sweep-bytelm.json")]
    run = read_document(REFERENCE / "default.json")
    other = structs.replace(run.environment, cpu_model="M9")
    yield "machines", [run, structs.replace(run, run_id="run-b", environment=other)]
    yield "failures", [sweep()]
    yield "hostile", [_hostile()]


def _hostile() -> Document:
    """A run whose models, levels, processor and packages are called like programs."""
    records = [one for name in HOSTILE for one in group(model=name, level=name, level_label=name)]
    machine = {"cpu_model": HOSTILE[0], "os": HOSTILE[1], "packages": {HOSTILE[3]: HOSTILE[2]}}
    return document(*records, environment={**ENVIRONMENT, **machine}, run_id=HOSTILE[3])
