"""The list of faults against the tests that it names."""

import ast
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = tomllib.loads(Path(__file__).with_name("faults.toml").read_text(encoding="utf-8"))
FAULTS = TABLE["fault"]
ROWS = {f"{kind} {number}": row for kind in TABLE for number, row in TABLE[kind].items()}
COUNT = 66


@cache
def functions(file: str) -> frozenset[str]:
    """Names of the test functions of a file."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_every_fault_has_a_row():
    assert list(map(int, FAULTS)) == list(range(1, COUNT + 1))


@pytest.mark.parametrize("name", ROWS)
def test_a_row_names_tests_that_exist_or_says_why_there_is_none(name):
    row = ROWS[name]
    assert row["what"]
    assert row["holds"]
    assert ("tests" in row) != ("why" in row)
    assert row.get("tests") != []
    assert row.get("why") != "open"
    for test in row.get("tests", []):
        file, function = test.split("::")
        assert function in functions(file), test
