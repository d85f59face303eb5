"""Who runs on after a rung, and who wins: pure rules over values by turn."""

import pytest

from harness.stats.racing import (
    FIRST_TURNS,
    LIKELY,
    ahead,
    is_over,
    ranked,
    still_racing,
    winner,
)

STEADY = [0.0, 0.01, -0.01, 0.02, 0.0, -0.02]


def turns(shift, wobble=STEADY, heat=0):
    return {(heat, number): shift + one for number, one in enumerate(wobble)}


def test_turns_that_both_took_are_paired():
    """What is common to a turn falls out."""
    found = ahead(turns(0.1), turns(0.0))
    assert (found.low, found.center, found.high) == pytest.approx((0.1, 0.1, 0.1))


def test_who_never_met_is_told_by_the_base():
    base = {**turns(0.0), **turns(1.0, heat=1)}
    found = ahead(turns(0.1), turns(0.8, heat=1), base)
    assert found.center == pytest.approx(0.1 - -0.2)


def test_few_turns_tell_nothing():
    few = turns(0.5, STEADY[: FIRST_TURNS - 1])
    assert ahead(few, turns(0.0)) is None
    assert still_racing({"base": turns(0.0), "slow": turns(-9, STEADY[:5])}, ["slow"], "base")


def test_only_who_is_shown_to_be_slower_falls_out():
    """Half of a rung at most, and those slower than the base; who is merely behind stays."""
    noisy = [0.3, -0.4, 0.2, -0.3, 0.4, -0.3]
    values = {
        "base": turns(0.0),
        "fast": turns(0.2),
        "good": turns(0.1),
        "even": turns(0.001),
        "lost": turns(-0.01),
        "wild": turns(-0.02, noisy),
    }
    kept = [name for name in values if name != "base"]
    assert ranked(values, kept, "base")[:3] == ["fast", "good", "even"]
    assert still_racing(values, kept, "base") == ("fast", "good", "even", "wild")
    # In the slower half of five, `even` is held against the leader too.
    more = values | {"best": turns(0.3)}
    assert still_racing(more, ["best", "fast", "good", "even"], "base") == ("best", "fast", "good")


def test_a_candidate_without_turns_stays():
    values = {"base": turns(0.0), "fast": turns(0.2)}
    assert still_racing(values, ["fast", "untried"], "base") == ("fast", "untried")


def test_the_winner_is_shown_and_worth_it():
    values = {"base": turns(0.0), "a": turns(0.005), "b": turns(0.2, [1.0, -0.9, *STEADY[:4]])}
    assert winner(values, ["a"], "base", 0.01) == "base"
    assert winner(values, ["a"], "base", 0.001) == "a"
    assert winner(values, ["b"], "base", 0.01) == "base"
    assert winner(values, [], "base", 0.01) == "base"
    likely = {"base": turns(0.0), "b": turns(0.2, [-0.3, *STEADY[1:]])}
    assert winner(likely, ["b"], "base", 0.01) == "base"
    assert winner(likely, ["b"], "base", 0.01, LIKELY) == "b"


def test_a_race_is_over_when_nothing_is_left_to_decide():
    values = {"base": turns(0.0), "a": turns(0.1), "b": turns(0.1)}
    assert is_over(values, [], "base")
    assert is_over(values, ["a"], "base")
    assert not is_over(values, ["a", "b"], "base")
