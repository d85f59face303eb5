"""The systems of the source documents, and counts as people write them."""

import pytest

from harness.core.errors import ModelError, UsageError
from harness.models.catalog.catalog import catalog_names
from harness.models.catalog.devices import device_keys
from harness.models.catalog.systems import (
    documents,
    read_systems,
    stated_count,
    statements_about,
    systems,
)
from harness.models.catalog.target import parse_bytes, parse_parameters, size_class


def test_every_row_of_the_documents_is_there():
    assert len(systems()) == 114
    assert len(documents()) == 5
    assert sum(row.parameters is not None for row in systems()) == 29


def test_links_lead_to_catalog_rows():
    models = {row.model for row in systems() if row.model}
    devices = {row.device for row in systems() if row.device}
    assert models <= set(catalog_names())
    assert {"solar-10.7b", "mixtral-8x22b", "phi-1.5"} <= models
    assert devices <= set(device_keys())
    assert len(devices) == 11


def test_contradictions_are_notes():
    """1.76 trillion is a plain statement, more than 1 trillion a bound: the first is taken."""
    count = stated_count("GPT-4")
    assert count is not None
    assert count.parameters == 1_760_000_000_000
    assert any("more than 1 trillion" in note for note in count.notes)
    assert any("unofficial" in note for note in count.notes)


def test_a_count_without_its_unit_is_a_note():
    """3000개 lacks 억: 3000 * 1e8 = 3e11."""
    count = stated_count("exaone-2.0")
    assert count is not None
    assert count.parameters == 300_000_000_000
    assert any("억" in note for note in count.notes)


def test_nothing_is_invented_where_nothing_is_stated():
    assert stated_count("sora") is None
    assert stated_count("no-such-system") is None
    assert stated_count("human-brain-synapses") is None
    assert stated_count("snapdragon-x-elite") is None
    assert len(statements_about("gpt-4")) == 3


def test_small_is_under_ten_billion():
    assert size_class(9_999_999_999) == "sLLM"
    assert size_class(10_000_000_000) == "LLM"


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("7.6B", 7_600_000_000),
        ("135M", 135_000_000),
        ("1.76 trillion", 1_760_000_000_000),
        ("1조 7600억", 1_760_000_000_000),
        ("3000억개", 300_000_000_000),
        ("760만", 7_600_000),
        ("7,600,000,000", 7_600_000_000),
        ("1e9", 1_000_000_000),
        ("1000T", 10**15),
        ("1M", 10**6),
    ],
)
def test_counts_are_read(text, parameters):
    assert parse_parameters(text) == parameters


@pytest.mark.parametrize(
    "text", ["3000", "3000개", "", "-5B", "7.6X", "B", "nan", "inf", "9" * 400, "999999", "1001T"]
)
def test_implausible_counts_are_refused(text):
    with pytest.raises(UsageError):
        parse_parameters(text)


def test_sizes_are_read():
    """GB is 1e9, GiB is 2**30."""
    assert parse_bytes("8GB", "--memory") == 8_000_000_000
    assert parse_bytes("8 GiB", "--memory") == 8 * 2**30
    for text in ("8", "0GB", "-1GB", "GB", "8 bits", "0.0000001MB", "9" * 400 + "GB"):
        with pytest.raises(UsageError, match="--memory"):
            parse_bytes(text, "--memory")


@pytest.mark.parametrize(
    "row", ['document = "009"', 'document = "000"\nparameters = 0', 'document = "000"\nsize = 1']
)
def test_a_damaged_file_is_refused(tmp_path, row):
    path = tmp_path / "systems.toml"
    head = '[[document]]\nkey = "000"\ntitle = "t"\n[[system]]\nkey = "a"\nname = "A"\n'
    path.write_text(f'{head}kind = "model"\nstatement = "s"\n{row}\n')
    with pytest.raises(ModelError, match=r"systems\.toml"):
        read_systems(path)


@pytest.mark.parametrize(("text", "advised"), [("0B", "135M"), ("7", "7B")])
def test_a_count_too_small_is_told_one_that_can_be_read(text, advised):
    """Nought times any unit is nought: a unit is not what `0B` lacks."""
    with pytest.raises(UsageError) as caught:
        parse_parameters(text)
    assert advised in caught.value.fix
    assert "0M" not in caught.value.fix
    assert parse_parameters(advised) >= 10**6
