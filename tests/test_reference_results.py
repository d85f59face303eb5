"""The committed results: readable, complete, nameless, and each beside the table drawn from it."""

import re
from pathlib import Path

import pytest

from harness.report.render import render
from harness.results.document import read_document

FOLDER = Path(__file__).resolve().parent.parent / "results" / "reference"
FILES = sorted(FOLDER.glob("*.json"))


def test_there_is_a_reference():
    assert [path.stem for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_table_beside_it_is_drawn_from_it(path):
    drawn = render(read_document(path), "md")
    assert path.with_suffix(".md").read_text(encoding="utf-8") == drawn


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_cell_was_measured_in_at_least_five_processes(path):
    for record in read_document(path).records:
        assert record.status == "ok"
        assert len(record.samples) >= 5


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_names_no_place(path):
    """No absolute path of any system: nothing between quotes begins with a slash or a drive."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r'"(/[a-z]|[A-Z]:\\\\)', text)
