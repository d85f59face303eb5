"""Every committed document is drawn as it always was, but for words that the field says otherwise.

`tests/fixtures/renders` holds what version 0.1.0 printed. Words renamed since are put back before
the columns are laid out, so that all else is compared byte for byte. Base and new of comparisons
are geometric means here, as their ratio is; 0.1.0 printed medians, which did not agree with it.
Nor did it choose a level by intervals, bound what a half-width says, or doubt a calibration.
"""

import lzma
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import tabulate
from click.testing import CliRunner

from harness.cli.main import bench
from harness.results.metrics import differences

ROOT = Path(__file__).resolve().parent.parent.parent
RENDERS = ROOT / "tests" / "fixtures" / "renders"
RESULTS = ROOT / "results"
# Measured by a later version: tests/test_docs.py holds what stands beside the document.
LATER = {"modern"}
DOCUMENTS = {
    name: path
    for folder, names in (("reference", "*"), ("validation", "[!e]*"))
    for path in sorted((RESULTS / folder).glob(f"{names}.json*"))
    for name, _, ending in (path.name.partition("."),)
    if name not in LATER and ending in ("json", "json.xz")
}
REPORTS = [(name, style) for name in DOCUMENTS for style in ("table", "md")]
COMPARISONS = {
    "default": ("default", "--axis", "quant"),
    "bytelm": ("sweep-bytelm", "--axis", "quant"),
    "again": ("first", "again"),
}
# column as it is called now -> in 0.1.0; a line feed stands before its unit
HEADERS: dict[str, str] = {
    "meas/est": "×",
    "meas/params": "params\n×",
    "MDE": "sure to\nshow",
    "Pareto front": "front",
    "Pareto\nfront": "front",
}
# cell, and as it was
CELLS: dict[str, str] = {"INCONCLUSIVE": "CANNOT_TELL"}
# in the lines around a table: words now, words then
PROSE: tuple[tuple[str, str], ...] = (
    (
        "base, new: geometric means; ratio: new / base, with",
        "ratio: new / base, a geometric mean, with",
    ),
    ("INCONCLUSIVE", "CANNOT_TELL"),
    ("est.: the calibrated estimate (measured here)", "est. calibrated: measured here"),
    ("meas/est: time measured", "×: time measured"),
    ("meas/params: the same beside", "params ×: the same beside"),
    ("(meas/est ", "(× "),
    ("BACKGROUND", "FOREIGN"),
    ("MDE (minimum detectable effect): a difference", "sure to show: a difference"),
    (
        "not confirmed by the correction for multiple comparisons (Holm); one of 20 equal lines",
        "alone, not beside the other lines (one of 20 equal ones",
    ),
    ("looks so; equal sizes", "looks so); equal sizes"),
    ("of the hardware peaks measured here", "of the ceilings measured here"),
    ("(bench explain MDE)", "(bench explain verdict)"),
    (f"new - base for {differences()}", "new - base for kld_nats, top1_agreement and nll_delta"),
)
# what a note that is new since then begins with, after the mark of a list
NEW_NOTES = "KLD cannot rank these"


@pytest.fixture(autouse=True)
def old_words_in_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lay tables out with the headers and the verdicts that they had."""
    layout: Callable[..., str] = tabulate.tabulate

    def with_old_words(
        rows: Sequence[Sequence[str]], *, headers: Sequence[str], tablefmt: str, **others: object
    ) -> str:
        old = [HEADERS.get(name, name) for name in headers]
        if tablefmt == "pipe":
            old = [name.replace("\n", " ") for name in old]
        cells = [[CELLS.get(cell, cell) for cell in row] for row in rows]
        return layout(cells, headers=old, tablefmt=tablefmt, **others)

    monkeypatch.setattr(tabulate, "tabulate", with_old_words)


def printed(*arguments: str) -> str:
    """What a command prints, in the words of 0.1.0."""
    text = CliRunner().invoke(bench, arguments, catch_exceptions=False).stdout
    for new, old in PROSE:
        text = text.replace(new, old)
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.removeprefix("- ").startswith(NEW_NOTES))


def stored(name: str) -> str:
    """What 0.1.0 printed; what is large lies compressed."""
    whole = RENDERS / name
    if whole.is_file():
        return whole.read_text(encoding="utf-8")
    return lzma.decompress((RENDERS / f"{name}.xz").read_bytes()).decode()


@pytest.mark.parametrize(("name", "style"), REPORTS)
def test_a_report_is_drawn_as_it_was(name: str, style: str) -> None:
    assert printed("report", str(DOCUMENTS[name]), "--wide", "--format", style) == stored(
        f"report.{name}.{style}"
    )


@pytest.mark.parametrize("name", COMPARISONS)
def test_a_comparison_comes_out_as_it_did(name: str) -> None:
    sides, options = COMPARISONS[name], ()
    if "--axis" in sides:
        sides, options = sides[:1], sides[1:]
    files = (str(DOCUMENTS[side]) for side in sides)
    assert printed("compare", *files, *options, "--wide") == stored(f"compare.{name}.table")


def test_a_scaling_study_is_drawn_as_it_was() -> None:
    assert printed("scaling", str(DOCUMENTS["scaling"]), "--wide") == stored("scaling.table")


def test_an_explanation_is_drawn_as_it_was() -> None:
    found = printed("explain", str(DOCUMENTS["default"]), "--row", "int4 tg32", "--wide")
    assert found == stored("explain.table")


def test_every_committed_document_is_held() -> None:
    held = {path.name.split(".")[1] for path in RENDERS.glob("report.*")}
    assert held == DOCUMENTS.keys()
