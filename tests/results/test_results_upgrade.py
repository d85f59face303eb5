"""Documents and journals of format 1 are read in the words of format 2."""

import json
from pathlib import Path

import pytest
from msgspec import to_builtins

from harness.results.document import decode_document, read_document
from harness.results.entries import SamplesEntry
from harness.results.journal import encode_line, read_journal
from harness.results.upgrade import upgrade, upgrade_entry
from tests.results.results_samples import cell, document, record

ROOT = Path(__file__).resolve().parents[2]
JOURNAL = ROOT / "tests" / "fixtures" / "journals" / "format-1.journal.jsonl"
DOCUMENTS = sorted((ROOT / "results" / "reference").glob("*.json"))
OLD_REASONS = [
    {"code": "FOREIGN_CPU", "detail": "9%"},
    {"code": "SHIFT", "detail": "slower"},
]
OPEN = {"load_ns": 1, "first_ns": 2, "first": "run", "placement": None}


def old_record() -> dict[str, object]:
    """A record of a graph of no known kind, as 0.1.0 wrote it."""
    return {
        **to_builtins(record()),
        "cell": {**to_builtins(cell(gen=0)), "workload": "run"},
        "trust": {"grade": "C", "reasons": OLD_REASONS},
        "quality": {"reason": "its fp32 twin could not be built"},
        "samples": [{"open": OPEN, "watch": {"wall_ns": 5, "foreign_cpu_ns": 3}}],
        "sustain": {"peak": 1.0, "windows": [{"rate": 1.0, "foreign_cpu_share": 0.1}]},
    }


def old_document() -> dict[str, object]:
    return {**to_builtins(document()), "schema_version": 1, "records": [old_record()]}


def test_a_record_of_format_1_has_the_words_of_format_2():
    (new,) = upgrade(old_document())["records"]
    assert new["cell"]["workload"] == "graph"
    assert [one["code"] for one in new["trust"]["reasons"]] == ["BACKGROUND_CPU", "DRIFT"]
    assert [one["detail"] for one in new["trust"]["reasons"]] == ["9%", "slower"]
    assert new["quality"] == {"reason": "its fp32 reference could not be built"}
    assert new["samples"][0]["open"]["first"] == "graph"
    assert new["samples"][0]["watch"] == {"wall_ns": 5, "background_cpu_ns": 3}
    assert new["sustain"]["windows"] == [{"rate": 1.0, "background_cpu_share": 0.1}]


def test_what_was_stored_is_left_as_it_was():
    stored = old_document()
    upgrade(stored)
    assert stored == old_document()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_no_committed_document_keeps_an_old_word(path):
    """They are of format 1 on the disk, and read without its words."""
    assert json.loads(path.read_bytes())["schema_version"] == 1
    text = json.dumps(to_builtins(read_document(path)))
    assert "foreign" not in text.lower()
    assert "background_cpu_ns" in text


def test_an_entry_is_asked_for_itself():
    """A run that began in format 1 is resumed in 2, in one journal."""
    old = {"kind": "failure", "group": "g", "workload": "run", "reason": "no fp32 twin"}
    new = {"kind": "failure", "group": "g", "workload": "graph", "reason": "no fp32 reference"}
    assert upgrade_entry(old) == upgrade_entry(new) == new


def test_a_journal_of_format_1_is_read(tmp_path):
    entries = read_journal(JOURNAL)
    tests = [entry for entry in entries if isinstance(entry, SamplesEntry)]
    assert len(tests) == 4
    assert all(entry.watch.background_cpu_ns > 0 for entry in tests)
    again = tmp_path / "again.jsonl"
    again.write_bytes(b"".join(encode_line(entry) for entry in entries))
    assert read_journal(again) == entries


def test_a_document_of_format_1_that_lacks_a_part_is_refused_in_a_sentence():
    table = old_document()
    del table["records"][0]["cell"]
    with pytest.raises(Exception, match="format 1 cannot be brought to 2"):
        decode_document(json.dumps(table).encode())
