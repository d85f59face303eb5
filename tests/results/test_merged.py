"""Documents of several runs: what the format keeps, and what older ones did not have."""

import json

import pytest
from msgspec import structs

from harness.core.errors import ResultFormatError
from harness.history.reading import decode_outline
from harness.results.document import decode_document, encode_document
from harness.results.machine_views import on_one_machine
from harness.results.merged import joined, runs_of
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
    assert on_one_machine(TWO[0]) is TWO[0]


@pytest.mark.parametrize("version", [1, 2])
def test_older_formats_are_of_on_one_machine(version):
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


def test_an_index_takes_runs_one_at_a_time():
    with pytest.raises(ResultFormatError, match="merged of 2 runs"):
        decode_outline(encode_document(joined(TWO, "merge-1")))


def test_an_index_takes_machines_one_at_a_time():
    other = structs.replace(TWO[1].environment, cpu_model="another")
    elsewhere = structs.replace(TWO[1], environment=other)
    with pytest.raises(ResultFormatError, match="merged of 2 machines"):
        decode_outline(encode_document(joined([TWO[0], elsewhere], "merge-1")))


def test_an_index_takes_different_cells_of_one_machine_as_one_run():
    row = TWO[1].records[0]
    other = structs.replace(row, cell=structs.replace(row.cell, level="int8"))
    runs = [TWO[0], structs.replace(TWO[1], records=(other,))]
    found = decode_outline(encode_document(joined(runs, "merge-1")))
    assert (found.run_id, len(found.records)) == ("merge-1", 2)


def test_what_all_share_stands_where_it_stood():
    plans = [structs.replace(one.plan, rounds=number) for number, one in enumerate(TWO)]
    same = joined(TWO, "merge-1").plan
    other = joined(
        [structs.replace(one, plan=plan) for one, plan in zip(TWO, plans, strict=True)], "merge-1"
    ).plan
    assert (same.rounds, bool(other.rounds)) == (5, False)
