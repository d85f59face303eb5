"""A results file that ends too early: its whole records are read, and nothing of another file."""

from pathlib import Path

import pytest
from msgspec import structs

from harness.results.cut import cut_document, read_cut
from harness.results.document import encode_document, read_document
from tests.measured_documents import document, record

STORED = Path(__file__).resolve().parents[2] / "results" / "reference" / "default.json"
RUN = document(*(record([10.0, 10.1], level=level) for level in ("fp32", "int8", "int4")))
CONTENT = encode_document(RUN)
ENDS = [place for place in range(len(CONTENT)) if CONTENT.startswith(b"\n", place)]


def test_a_cut_anywhere_leaves_the_whole_records():
    """Behind the line of the k-th record there are k of them; a record without its end is none."""
    first = ENDS[0]
    for place in range(first + 1, len(CONTENT) - len("]}\n"), 97):
        found = cut_document(CONTENT[:place])
        assert found is not None
        whole = sum(end < place for end in ENDS[1:])
        assert found.document == structs.replace(RUN, records=RUN.records[:whole])
        assert f"{whole} whole record{'' if whole == 1 else 's'} used" in found.told


def test_the_record_that_was_cut_is_named():
    place = ENDS[2] + 600
    found = cut_document(CONTENT[:place])
    assert found is not None
    assert "it ends within smollm2-135m int4 tg4 @ d0" in found.told
    barely = cut_document(CONTENT[: ENDS[2] + 5])
    assert barely is not None
    assert "what followed is not known" in barely.told


def test_levels_of_the_plan_without_a_record_are_named():
    """Of a sweep that was cut behind its first level."""
    content = STORED.read_bytes()
    place = content.index(b'"level":"int4"')
    found = cut_document(content[:place])
    assert found is not None
    assert {record.cell.level for record in found.document.records} == {"fp32"}
    assert found.told.endswith("; without any: int4")


@pytest.mark.parametrize(
    "content",
    [
        CONTENT,
        CONTENT.replace(b'"tg4', b'"tg5'),
        CONTENT[: ENDS[0]],
        b"",
        b"{}",
        b'{"records":[\n{"cell":{}},\n',
        b'"records":[\n',
        b'[1,"records":[\n',
        CONTENT[:2000].replace(b'"schema_version":3', b'"schema_version":9'),
    ],
    ids=("whole", "changed", "head", "empty", "other", "no head", "mark", "list", "newer"),
)
def test_what_is_no_cut_document_is_none(content):
    assert cut_document(content) is None


def test_a_file_of_an_older_version_is_upgraded(tmp_path):
    content = STORED.read_bytes()
    path = tmp_path / "cut.json"
    path.write_bytes(content[: len(content) * 2 // 3])
    found = read_cut(path)
    assert found is not None
    whole = read_document(STORED)
    assert 0 < len(found.document.records) < len(whole.records)
    assert found.document.records == whole.records[: len(found.document.records)]
