"""Documents of several runs: what the format keeps, and what older ones did not have."""

import json

import pytest
from msgspec import structs

from harness.core.errors import ResultFormatError
from harness.history.reading import decode_outline
from harness.results.document import decode_document, encode_document
from harness.results.merged import each_run_once, joined, runs_of
from harness.results.schema import SCHEMA_VERSION
from tests.results.results_samples import document, record, unchecked

TWO = [document(record(), run_id=f"run-{name}", environment={"new_fact": name}) for name in "ab"]


def test_keys_of_a_newer_version_are_kept_of_every_run():
    """As they are in a document of one run."""
    again = decode_document(encode_document(joined(TWO, "merge-1")))
    assert runs_of(again) == tuple(TWO)
    assert [one.environment.others for one in again.sources] == [
        {"new_fact": name} for name in "ab"
    ]


def test_a_document_of_one_run_says_nothing_of_several():
    content = encode_document(TWO[0])
    assert b'"source' not in content
    assert runs_of(decode_document(content)) == (TWO[0],)


@pytest.mark.parametrize("version", [1, 2])
def test_older_formats_are_of_one_run(version):
    table = json.loads(unchecked(encode_document(TWO[0]))) | {"schema_version": version}
    table["records"][0]["source"] = None
    found = decode_document(json.dumps(table | {"sources": [1]}).encode())
    assert (found.sources, found.schema_version) == ((), SCHEMA_VERSION)


@pytest.mark.parametrize("source", [None, -1, 2])
def test_a_record_of_no_run_is_refused(source):
    merged = joined(TWO, "merge-1")
    table = json.loads(unchecked(encode_document(merged)))
    table["records"][1]["source"] = source
    with pytest.raises(ResultFormatError, match=r"records\[1\]\.source"):
        decode_document(json.dumps(table).encode())


def test_an_index_reads_a_merged_document_whole():
    merged = joined(TWO, "merge-1")
    assert runs_of(decode_outline(encode_document(merged))) == tuple(TWO)


def test_a_run_counts_once_though_a_merged_document_has_it_too():
    other = structs.replace(TWO[0], created_utc="2026-01-01T00:00:00+00:00")
    assert each_run_once([joined(TWO, "merge-1"), *TWO]) == tuple(TWO)
    assert each_run_once([TWO[0], other]) == (TWO[0], other)
