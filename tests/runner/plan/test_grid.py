"""Grids: what each form stands for, and one clear message for each bad form."""

import pytest

from harness.core.errors import UsageError
from harness.core.ranges import parse_grid, parse_names, parse_pair


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("128", (128,)),
        ("128,512", (128, 512)),
        ("8-64*2", (8, 16, 32, 64)),
        ("128-512+128", (128, 256, 384, 512)),
        ("1-6+2,6", (1, 3, 5, 6)),
        ("64,64", (64,)),
        (" 1 , 2 ", (1, 2)),
    ],
)
def test_grid_stands_for_its_numbers(text, values):
    assert parse_grid(text, "--prompt") == values


@pytest.mark.parametrize(
    "text", ["", "abc", "1,,2", "-5", "1.5", "8-64", "8-64*1", "8-64+0", "64-8*2", "0-9*2"]
)
def test_bad_grid_names_its_flag(text):
    with pytest.raises(UsageError) as caught:
        parse_grid(text, "--prompt")
    assert "--prompt" in caught.value.problem


def test_a_grid_of_a_million_values_is_refused():
    with pytest.raises(UsageError, match="more than 1000"):
        parse_grid("1-1000000+1", "--gen")


def test_names_are_split_and_stay_in_order():
    assert parse_names("int4, fp32", "--quant") == ("int4", "fp32")


@pytest.mark.parametrize("text", ["int4,int4", "int4,", ""])
def test_names_given_twice_or_empty_are_refused(text):
    with pytest.raises(UsageError, match="--quant"):
        parse_names(text, "--quant")


@pytest.mark.parametrize("text", ["128,64", "128+64"])
def test_pair(text):
    assert parse_pair(text, "--pg") == (128, 64)


@pytest.mark.parametrize("text", ["128", "1,2,3", "a,b", "-1,4", ""])
def test_bad_pair_is_refused(text):
    with pytest.raises(UsageError, match="--pg"):
        parse_pair(text, "--pg")
