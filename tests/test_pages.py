"""Generated pages are what docs/pages.py writes, and documents are what the schema says."""

import importlib.util
import json
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator

from harness.results.document import encode_document, read_document
from harness.results.schema import SCHEMA_VERSION, Document

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


def load_script():
    """docs/pages.py as a module; docs is no package."""
    spec = importlib.util.spec_from_file_location("pages", ROOT / "docs" / "pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = load_script()
STORED = sorted(
    path
    for path in (ROOT / "results").glob("*/*.json")
    if '"bench.results"' in path.read_text(encoding="utf-8")[:200]
)


@pytest.fixture(scope="module")
def validator():
    schema = json.loads((ROOT / "docs" / "results.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


PAGES = SCRIPT.pages()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_what_the_script_writes(path):
    """Write them again: python docs/pages.py."""
    assert path.read_text(encoding="utf-8") == PAGES[path]


def test_the_first_page_is_drawn():
    assert ROOT / "README.md" in PAGES


def test_every_field_of_every_record_is_described():
    """A field is described where it is declared: in the docstring's Attributes."""
    for struct in SCRIPT.structs(Document):
        described = SCRIPT.attributes(struct)
        for field in msgspec.structs.fields(struct):
            assert described.get(field.name), f"{struct.__name__}.{field.name}"


def test_the_example_is_a_document(validator):
    """What the page shows can be read, though it leaves out what has its usual value."""
    shown = PAGE.split("```json\n")[1].split("```")[0]
    validator.validate(json.loads(shown))
    assert msgspec.json.decode(shown, type=Document) == SCRIPT.example()


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_committed_documents_are_what_the_schema_says(validator, path):
    """As they are read; and as they lie there, where they are of this version."""
    validator.validate(json.loads(encode_document(read_document(path))))
    stored = json.loads(path.read_text(encoding="utf-8"))
    if stored["schema_version"] == SCHEMA_VERSION:
        validator.validate(stored)


def test_there_are_committed_documents():
    assert len(STORED) >= 6


@pytest.mark.parametrize(
    ("where", "value"),
    [(("records", 0, "status"), 5), (("run_id",), None), (("records", 0, "cell", "gen"), "32")],
)
def test_the_schema_refuses_what_is_none(validator, where, value):
    document = json.loads(encode_document(SCRIPT.example()))
    *path, last = where
    place = document
    for key in path:
        place = place[key]
    place[last] = value
    assert not validator.is_valid(document)
