"""What steps come to: which fail a gate, which are accepted, what changed with them."""

from dataclasses import replace

import pytest

from harness.core.errors import UsageError
from harness.history.blessings import new_blessing
from harness.history.series import Better, Point, Series
from harness.history.standing import JudgedStep, Trend, changes, step_to_bless, trend_of
from harness.history.steps import Detector, Step

POINTS = tuple(
    Point(
        f"2026-11-{day + 1:02}T06:00:00Z",
        "",
        (("onnxruntime", "1.31.1" if day < 12 else "1.32.0"),),
        "m1",
        (100.0 if day < 12 else 80.0) + day % 3 * 0.2,
        None,
        None,
        5,
        f"run-{day}",
        "",
    )
    for day in range(24)
)
SERIES = Series("cell", "decode_tok_s", "tok/s", Better.MORE, POINTS)
BOTH = tuple(Detector)


def step(place: int, is_worse: bool = True, votes: tuple[Detector, ...] = BOTH) -> JudgedStep:
    change = 0.8 if is_worse else 1.25
    last, first = POINTS[place - 1], POINTS[place]
    found = Step(place, last, first, change, 0.79, 0.81, True, is_worse, votes)
    return JudgedStep(found, None, ())


def blessed(one: JudgedStep) -> JudgedStep:
    line = new_blessing(SERIES, one.step.first.run_id, one.step.is_worse, "why", "2026-11-29")
    return replace(one, blessing=line)


def test_a_slower_series_fails_until_somebody_says_why():
    trend = trend_of(SERIES, ())
    assert [one.step.first.run_id for one in trend.steps] == ["run-12"]
    assert trend.fails
    assert trend.steps[0].changed == ("onnxruntime 1.31.1 → 1.32.0",)
    line = new_blessing(SERIES, "run-12", True, "longer chunks", "2026-11-29")
    accepted = trend_of(SERIES, [line])
    assert accepted.steps[0].blessing == line
    assert not accepted.fails


def test_the_same_of_a_metric_of_which_less_is_better_is_no_failure():
    faster = replace(SERIES, metric="ttft_ms", unit="ms", better=Better.LESS)
    assert trend_of(faster, ()).steps
    assert not trend_of(faster, ()).fails


@pytest.mark.parametrize(
    ("steps", "fails"),
    [
        ((), False),
        ((step(12),), True),
        ((step(5), step(12, is_worse=False)), False),  # it has recovered
        ((step(5, is_worse=False), step(12)), True),
        ((step(12, votes=(Detector.SEGMENTS,)),), False),  # suspected alone
        ((step(5), step(12, votes=(Detector.SEGMENTS,))), True),
        ((blessed(step(12)),), False),
        ((step(5), blessed(step(12))), False),
    ],
)
def test_a_gate_looks_at_the_step_that_the_newest_point_stands_behind(steps, fails):
    assert Trend(SERIES, steps).fails == fails


def test_what_changed_is_told_where_both_sides_say_it():
    before = replace(
        POINTS[0], commit="1a", versions=(("numpy", "1"), ("onnx", "1")), facts=(("kernel", "6.1"),)
    )
    after = replace(POINTS[1], commit="2b", versions=(("numpy", "2"),), facts=(("kernel", "6.2"),))
    assert changes(before, after) == ["commit 1a → 2b", "numpy 1 → 2", "kernel 6.1 → 6.2"]
    assert changes(replace(before, commit=""), after)[0] == "numpy 1 → 2"


def test_the_only_open_step_is_meant():
    suspected = step(5, votes=(Detector.INTERVALS,))
    assert step_to_bless(Trend(SERIES, (suspected, step(12))), None) == step(12)
    assert step_to_bless(Trend(SERIES, (suspected,)), None) == suspected
    assert step_to_bless(Trend(SERIES, (step(5), step(12))), "run-5") == step(5)


@pytest.mark.parametrize(
    ("steps", "run", "said"),
    [
        ((), None, "has no step that nobody accepted"),
        ((blessed(step(12)),), None, "has no step that nobody accepted"),
        ((step(5), step(12)), None, "has 2 steps that nobody accepted"),
        ((step(5),), "run-6", "no step begins with run 'run-6'"),
        ((), "run-6", "no step begins with run 'run-6'"),
    ],
)
def test_a_step_that_is_not_clear_is_asked_for(steps, run, said):
    with pytest.raises(UsageError, match=said) as found:
        step_to_bless(Trend(SERIES, steps), run)
    assert found.value.fix
