"""What caches are allocated for is an axis; what does not fit, or keeps none, is refused."""

from dataclasses import replace

import pytest

from harness.builder.graph.static.geometry import StaticShapes
from harness.core.errors import UsageError
from harness.runner.loop.builds import build_key
from harness.runner.plan import make_plan
from harness.runner.settings import Settings, flag_values, load_settings
from tests.exports import EXPORTS

SMALL = Settings(
    model=("smollm2-135m",), quant=("int4",), prompt=(16,), gen=(8,), given=("capacity",)
)


def test_each_number_is_a_session_over_one_build():
    """16 tokens are what the tests need; a number that two words stand for is one session."""
    plan = make_plan(replace(SMALL, capacity=("tests", "256", "8192", "max")), 1)
    assert [group.key.rpartition("/")[2] for group in plan.groups] == ["b1", "c256", "c8192"]
    assert [group.capacity for group in plan.groups] == [0, 256, 8192]
    assert [group.capacity_tokens for group in plan.groups] == [16, 256, 8192]
    assert len({build_key(group) for group in plan.groups}) == 1
    tests = plan.groups[0].workloads
    assert [plan.groups[0].bound_tokens(test) for test in tests] == [16, 8]
    assert [plan.groups[1].bound_tokens(test) for test in tests] == [256, 256]
    assert plan.as_asked().capacity == ("tests", "256", "8192", "max")


def test_it_is_the_length_of_static_graphs_each_a_build():
    plan = make_plan(replace(SMALL, quant=("a8w8",), capacity=("tests", "100")), 1)
    assert [group.shapes for group in plan.groups] == [StaticShapes(16, 64), StaticShapes(16, 100)]
    assert [group.capacity_tokens for group in plan.groups] == [64, 100]
    assert len({build_key(group) for group in plan.groups}) == 2


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("1024,8192,max", ("1024", "8192", "max")),
        ("256-1024*2, tests", ("256", "512", "1024", "tests")),
        (4096, ("4096",)),
        ([512, "max", "512"], ("512", "max")),
    ],
)
def test_numbers_ranges_and_two_words_are_read(given, read):
    assert flag_values({"capacity": given})["capacity"] == read


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("0", "--capacity 0 holds nothing"),
        ("00,512", "--capacity 0 holds nothing"),
        ("all", "'all' is no number of positions, nor tests or max"),
        ("-8", "'-8' is no number of positions"),
        ("", "'' is no number of positions"),
        ("512,", "'' is no number of positions"),
        ("8k", "'8k' is no number of positions, nor tests or max"),
        ("1e3", "'1e3' is no number of positions, nor tests or max"),
        ("1.5", "'1.5' is no number of positions"),
        ("8-64", "'8-64' is not a whole number"),
        (1.5, "must be numbers, tests or max"),
    ],
)
def test_other_words_are_refused(given, problem):
    with pytest.raises(UsageError, match=problem):
        flag_values({"capacity": given})


def test_a_plan_and_a_part_of_it_have_it(tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text(
        'model = ["bytelm"]\nprompt = [8]\n[[part]]\ncapacity = [64, "max"]\n[[part]]\n'
    )
    parts = load_settings(str(plan)).part
    assert [part.capacity for part in parts] == [("64", "max"), ("tests",)]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"capacity": ("15",)}, "pp16 @ d0 needs 16 positions"),
        ({"capacity": ("512",), "depth": (0, 512)}, "pp16 @ d512 needs 528 positions"),
        ({"capacity": ("8193",)}, "smollm2-135m takes 8192 tokens at most"),
        ({"capacity": ("9" * 30,)}, "takes 8192 tokens at most"),
        ({"capacity": ("max",), "model": ("all-minilm-l6-v2",), "enc": ((8, 1),)}, "no cache"),
        (
            {"capacity": ("64",), "model": (str(EXPORTS / "optimum" / "llama-merged"),)},
            "has caches that grow with each token",
        ),
    ],
)
def test_what_does_not_fit_is_refused(changes, problem):
    usual = {"quant": ("usual",)} if "model" in changes else {}
    with pytest.raises(UsageError, match=problem):
        make_plan(replace(SMALL, **{**usual, **changes}), 1)


def test_an_export_that_writes_in_place_takes_it():
    """Its tests need 16 positions; its configuration says how long a text may be."""
    model = str(EXPORTS / "genai" / "llama-int4")
    settings = replace(SMALL, model=(model,), quant=("usual",), capacity=("32", "max"))
    first, whole = make_plan(settings, 1).groups
    assert first.capacity_tokens == 32
    assert whole.capacity_tokens == whole.source.model.max_context_tokens


def test_a_plan_of_both_kinds_allocates_for_decoders_alone():
    both = replace(SMALL, model=("smollm2-135m", "all-minilm-l6-v2"), capacity=("64",))
    found = make_plan(both, 1).groups
    assert [group.capacity for group in found] == [64, 0]
