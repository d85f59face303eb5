"""What a level loses and the sum behind an estimate: read as records, written as they were."""

import json
from pathlib import Path

import pytest

from harness.results.document import plain, read_document

REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference"


def without_nulls(value):
    """The same with fields that say nothing left out."""
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("field", ["quality", "explanation"])
@pytest.mark.parametrize("path", sorted(REFERENCE.glob("*.json")), ids=lambda path: path.stem)
def test_a_field_is_written_as_it_was_read(path, field):
    """Every key, in its order, with its value; only nulls may be left out."""
    stored = [record.get(field) for record in json.loads(path.read_bytes())["records"]]
    again = [record.get(field) for record in plain(read_document(path))["records"]]
    assert json.dumps(without_nulls(again)) == json.dumps(without_nulls(stored))
