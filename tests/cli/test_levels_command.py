"""`bench levels`: every level with what it stores and where it runs."""

import json

import pytest
from click.testing import CliRunner

from harness.builder.quantize.levels import GGUF_LEVELS, LEVELS, STATIC_LEVELS, Form, Method
from harness.cli.levels import command
from harness.devices.table import ROWS
from harness.report.levels_table import FORMS, METHODS


def rows():
    text = CliRunner().invoke(command, ["--format", "json"], catch_exceptions=False).output
    return {row["level"]: row for row in json.loads(text)}


def test_every_level_form_and_method_has_its_words():
    assert list(rows()) == [*LEVELS, *STATIC_LEVELS, *GGUF_LEVELS]
    assert set(FORMS) == set(Form)
    assert set(METHODS) == set(Method)


@pytest.mark.parametrize(
    ("level", "bits", "layers", "tables"),
    [
        ("fp16", 16.0, "float16", "float16"),
        ("int8", 8.0, "int8, scale per output", "int8, block 32"),
        ("int4", 5.0, "int4, block 32", "int4, block 32"),
        ("int4-b128-asym", 4.28125, "int4, block 128, zero points", "int4, block 128, zero points"),
        ("int8-fast", 8.25, *["int8, block 128 or less"] * 2),
        ("int4-fast", 4.28125, *["int4, block 128 or less, zero points"] * 2),
        ("int4-mixed", 5.0, "int4, block 32", "int8, block 32"),
        ("a16w8", 8.0, "int8, scale per output", "int8, one scale"),
    ],
)
def test_what_a_level_stores(level, bits, layers, tables):
    row = rows()[level]
    assert (row["bits_per_weight"], row["layers"], row["tables"]) == (bits, layers, tables)


def test_static_levels_run_where_shapes_are_fixed_and_on_the_cpu():
    static = {row.key for row in ROWS if row.needs_static}
    found = rows()
    assert set(found["a16w8"]["runs_on"]) == {"cpu", *static}
    assert set(found["int4"]["runs_on"]) == {row.key for row in ROWS} - static
    assert "cpu" in found["int4"]["runs_on"]


@pytest.mark.parametrize("style", ["table", "md", "csv", "jsonl"])
def test_every_format_draws(style):
    result = CliRunner().invoke(command, ["--format", style], catch_exceptions=False)
    assert result.exit_code == 0
    assert "int4-kquant" in result.output
