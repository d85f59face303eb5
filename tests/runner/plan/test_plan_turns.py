"""Turns of a chat: a test each, behind those before it; refused where nothing keeps a cache."""

from dataclasses import replace

import pytest

from harness.core.errors import UsageError
from harness.core.ranges import parse_turns
from harness.engine.workload import Workload
from harness.results.enums import Kind
from harness.runner.plan import make_plan
from harness.runner.settings import Settings, flag_values, load_settings
from tests.exports import EXPORTS

CHAT = Settings(model=("smollm2-135m",), quant=("int4",), turns=((3, 128, 64),), given=("turns",))


def names(settings):
    (group,) = make_plan(settings, 1).groups
    return [test.name for test in group.workloads]


def test_each_turn_begins_where_those_before_it_end():
    """128 + 64 tokens a turn; a depth of the plan, such as a system prompt, lies before all."""
    assert names(CHAT) == [f"turn128+64 @ d{depth}" for depth in (0, 192, 384)]
    deep = replace(CHAT, depth=(0, 100), turns=((1, 8, 4), (2, 16, 1)))
    assert names(deep) == [
        *("turn8+4 @ d0", "turn16+1 @ d0", "turn16+1 @ d17"),
        *("turn8+4 @ d100", "turn16+1 @ d100", "turn16+1 @ d117"),
    ]
    (group,) = make_plan(CHAT, 1).groups
    assert group.workloads[-1] == Workload(Kind.TURN, 128, 64, 384)
    assert group.capacity_tokens == 576


def test_a_chat_is_read_in_chunks_where_its_last_turn_is():
    """The longest read is of 512 tokens, which are no more than a chunk of as many."""
    assert len(names(replace(CHAT, prefill_chunk=(0, 512)))) == 3
    found = names(replace(CHAT, prefill_chunk=(0, 256)))
    assert found[3:] == [f"turn128+64c256 @ d{depth}" for depth in (0, 192, 384)]
    with pytest.raises(UsageError, match="no test has a longer prompt"):
        make_plan(replace(CHAT, prefill_chunk=(512,), given=("prefill_chunk",)), 1)


def test_the_flag_replaces_the_tests_of_the_plan():
    settings = load_settings(None, **flag_values({"turns": "4x16+8,2x8+8", "model": "bytelm"}))
    assert settings.turns == ((4, 16, 8), (2, 8, 8))
    assert (settings.prompt, settings.gen, settings.pg) == ((), (), ())
    assert make_plan(settings, 1).as_asked().turns == ((4, 16, 8), (2, 8, 8))


def test_a_plan_has_it_as_texts_or_as_numbers(tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text('turns = ["2x8+4", [3, 16, 8]]')
    assert load_settings(str(plan)).turns == ((2, 8, 4), (3, 16, 8))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is no chat"),
        ("4", "'4' is no chat"),
        ("4x128", "'4x128' is no chat"),
        ("x128+64", "is no chat"),
        ("4x128+64+2", "is no chat"),
        ("-4x128+64", "is no chat"),
        ("4x128+64,", "'' is no chat"),
        ("4X128+64", "is no chat"),
        ("\u0664x128+64", "is no chat"),
        ("0x128+64", "has a 0"),
        ("4x0+64", "has a 0"),
        ("4x128+0", "has a 0"),
        ("1001x1+1", "more than 1000 turns"),
    ],
)
def test_other_texts_are_refused(text, problem):
    with pytest.raises(UsageError, match=problem):
        parse_turns(text, "--turns")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"quant": ("a8w8",)}, "a8w8 is built as a static decoder"),
        ({"turns": ((50, 128, 64),)}, "turn128\\+64 @ d8064 needs 8256 tokens"),
        ({"model": ("all-minilm-l6-v2",), "enc": ()}, "for decoders; all-minilm-l6-v2 is none"),
        (
            {"model": (str(EXPORTS / "optimum" / "vit"),), "quant": ("usual",)},
            "vit has no test of it",
        ),
    ],
)
def test_what_keeps_no_such_cache_is_refused(changes, problem):
    with pytest.raises(UsageError, match=problem):
        make_plan(replace(CHAT, **changes), 1)


@pytest.mark.parametrize("changes", [{"turns": ((50, 128, 64),)}, {"capacity": ("100",)}])
def test_a_chat_that_does_not_fit_is_told_its_own_flag(changes):
    with pytest.raises(UsageError) as caught:
        make_plan(replace(CHAT, **changes), 1)
    assert "all turns of --turns" in caught.value.fix
