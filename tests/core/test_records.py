"""TOML and JSON as typed values: what is refused, with file, key, value and what belongs there."""

from dataclasses import dataclass

import pytest

from harness.core.errors import ModelError, UsageError
from harness.core.records import JsonValues, read_record, read_table


@dataclass(frozen=True, slots=True)
class Wheel:
    size: float
    spokes: int = 32


@dataclass(frozen=True, slots=True)
class Cart:
    name: str
    wheel: tuple[Wheel, ...]
    load: tuple[float, float] | None = None
    spare: Wheel | None = None


WHEEL = {"size": 1}


def test_nested_records_and_pairs_come_out_typed():
    table = {"name": "x", "wheel": [WHEEL, {"size": 2.5, "spokes": 9}], "load": [1, 2]}
    assert read_record(Cart, table, "cart.toml") == Cart(
        "x", (Wheel(1.0), Wheel(2.5, 9)), (1.0, 2.0)
    )


@pytest.mark.parametrize(
    ("table", "problem", "fix"),
    [
        ({"nam": "x"}, "cart.toml: unknown key 'nam'", "did you mean name?"),
        ({"name": "x"}, "cart.toml: key 'wheel' is missing", "add wheel = list"),
        ({"name": "x", "wheel": [{}]}, "cart.toml: wheel: key 'size' is missing", "number"),
        (
            {"name": "x", "wheel": [WHEEL, {"size": 1, "spoke": 2}]},
            "cart.toml: wheel: unknown key 'spoke'",
            "did you mean spokes?",
        ),
        (
            {"name": "x", "wheel": [WHEEL, {"size": 1, "spokes": 2.5}]},
            "cart.toml: wheel: spokes is 2.5",
            "spokes must be of type integer",
        ),
        ({"name": "x", "wheel": [], "load": [1]}, "cart.toml: load has 1 values", "give 2"),
        ({"name": "x", "wheel": [], "spare": 4}, "cart.toml: spare is 4", "of type table"),
        ({"name": True, "wheel": []}, "cart.toml: name is True", "of type string"),
    ],
)
def test_a_wrong_table_is_named_by_file_and_key(table, problem, fix):
    with pytest.raises(ModelError) as caught:
        read_record(Cart, table, "cart.toml")
    assert caught.value.problem == problem
    assert fix in caught.value.fix


def test_the_caller_says_what_a_file_is_called_and_whose_error_it_is(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("= 3")
    with pytest.raises(UsageError, match=r"^plan x is not TOML: ") as caught:
        read_table(path, "plan x", UsageError)
    assert "line 1" in caught.value.problem


@pytest.mark.parametrize("value", [True, "3", 3.5, [3]])
def test_a_json_number_is_not_guessed(value):
    with pytest.raises(ModelError, match="layers must be a whole number"):
        JsonValues({"layers": value}, "config.json").integer("layers")


def test_a_long_wrong_value_is_cut():
    with pytest.raises(ModelError) as caught:
        JsonValues({"layers": "x" * 999}, "config.json").integer("layers")
    assert len(caught.value.problem) < 99
