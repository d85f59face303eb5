"""Turns of several settings: who opens in time, who is lost, and when a turn begins."""

import pytest

from harness.core.errors import WorkerError
from harness.devices.session_options import BLOCK_BASE, MEMORY_PATTERN, SPINNING
from harness.results.entries import TuneSetting, TurnPlan
from harness.results.metrics import METRICS
from harness.runner.loop.builds import ensure_group
from harness.runner.plan import make_plan
from harness.runner.settings import load_settings
from harness.runner.tuning import heats
from harness.runner.tuning.heats import Turns, measure_heat, setting_of, with_setting
from harness.runner.tuning.search import CONFIRMATION, OTHER_TOKENS, UNTRIED, Wanted
from tests.inline_worker import InlineWorker

METRIC = next(row for row in METRICS if row.name == "decode_step_tok_s")
PLAN = TurnPlan(0.0, 0.0, 10.0, 0)


class Clock:
    """Each look at it takes a second, or what is set."""

    def __init__(self, second=1.0):
        self.now_s, self.second = 0.0, second

    def __call__(self):
        self.now_s += self.second
        return self.now_s


class TunedWorker(InlineWorker):
    @classmethod
    def start(cls, module, **other):
        return super().start("tests.tuning_child", **other)


@pytest.fixture
def turns_of(monkeypatch, tiny_folder, shared_cache):
    """How heats of the tiny model are measured, by a clock of their own."""
    monkeypatch.setattr(heats, "Worker", TunedWorker)
    monkeypatch.setattr(heats, "REST_POLL_S", 0.0)
    settings = load_settings(
        "ab", model=(str(tiny_folder),), quant=("int4",), gen=(4,), threads=("1",)
    )
    (group,) = make_plan(settings, 1).groups
    artifact = ensure_group(group, shared_cache, 0)

    def turns(clock=None):
        groups = lambda one: (with_setting(group, one), artifact)  # noqa: E731
        test = group.workloads[0]
        return Turns(test, METRIC, PLAN, groups, clock=clock or Clock(0.0))

    return turns, setting_of(group)


def settings_with(default, *names):
    return tuple(
        TuneSetting(threads=1, level=default.level, session_options=((name, "1"),))
        for name in names
    )


def test_all_take_as_many_turns_and_the_first_is_thrown_away(turns_of):
    turns, default = turns_of
    others = settings_with(default, BLOCK_BASE, SPINNING)
    heat = measure_heat(turns(), Wanted(0, 0, (default, *others), 7, 60.0))
    assert [len(values) for values in heat.values] == [7, 7, 7]
    assert heat.values[0][0] == pytest.approx(250.0)  # of one thread: 4 ms a step
    assert (heat.lost, heat.settings[0]) == ((), default)


def test_who_fails_or_computes_something_else_is_lost(turns_of, monkeypatch):
    monkeypatch.setenv("BROKEN", BLOCK_BASE)
    monkeypatch.setenv("WRONG", SPINNING)
    turns, default = turns_of
    others = settings_with(default, BLOCK_BASE, SPINNING, MEMORY_PATTERN)
    heat = measure_heat(turns(), Wanted(0, 0, (default, *others), 6, 60.0))
    assert "onnxruntime refuses" in dict(heat.lost)[1]
    assert dict(heat.lost)[2] == OTHER_TOKENS
    assert [len(values) for values in heat.values] == [6, 0, 0, 6]


def test_a_base_that_fails_ends_it(turns_of, monkeypatch):
    monkeypatch.setenv("BROKEN", BLOCK_BASE)
    turns, default = turns_of
    (base,) = settings_with(default, BLOCK_BASE)
    with pytest.raises(WorkerError, match="onnxruntime refuses"):
        measure_heat(turns(), Wanted(0, 0, (base, default), 6, 60.0))


def test_another_level_may_choose_other_tokens(turns_of, monkeypatch):
    monkeypatch.setenv("WRONG", BLOCK_BASE)
    turns, default = turns_of
    other = TuneSetting(threads=1, level="fp32", session_options=((BLOCK_BASE, "1"),))
    heat = measure_heat(turns(), Wanted(0, 0, (default, other), 6, 60.0))
    assert heat.lost == ()


def test_sessions_that_open_too_late_are_not_tried(turns_of):
    """A clock of which every look takes a second: two open in any case."""
    turns, default = turns_of
    others = settings_with(default, BLOCK_BASE, SPINNING, MEMORY_PATTERN)
    heat = measure_heat(turns(Clock()), Wanted(0, 0, (default, *others), 6, 5.0))
    assert heat.lost == ((2, UNTRIED), (3, UNTRIED))
    assert [len(values) for values in heat.values] == [6, 6, 0, 0]
    assert heat.seconds > 5


def test_where_six_turns_of_all_do_not_fit_there_are_fewer(turns_of):
    turns, default = turns_of
    others = settings_with(default, BLOCK_BASE, SPINNING, MEMORY_PATTERN)
    heat = measure_heat(turns(Clock()), Wanted(0, 0, (default, *others), 12, 15.0))
    assert {why for _, why in heat.lost} == {UNTRIED}
    assert 2 <= sum(map(bool, heat.values)) < 4


def test_a_pair_ends_after_a_few_turns_when_its_time_is_over(turns_of):
    turns, default = turns_of
    pair = (default, *settings_with(default, BLOCK_BASE))
    heat = measure_heat(turns(Clock()), Wanted(CONFIRMATION, 0, pair, 10, 0.0))
    assert [len(values) for values in heat.values] == [heats.LEAST_TURNS] * 2


def test_a_turn_begins_when_the_processor_time_of_the_one_before_stands_still(
    turns_of, monkeypatch
):
    turns, default = turns_of
    used = iter([5, 6, 7, 7])
    monkeypatch.setattr(TunedWorker, "cpu_ns", lambda _self: next(used, 7))
    two = TuneSetting(threads=2, level=default.level)
    measure_heat(turns(), Wanted(0, 0, (two, default), 0, 60.0))
    assert next(used, None) is None


def test_a_setting_is_what_a_group_runs_by(turns_of):
    turns, default = turns_of
    (one,) = settings_with(default, BLOCK_BASE)
    group, _ = turns().groups(one)
    assert group.device.session_options == ((BLOCK_BASE, "1"),)
    assert setting_of(group) == one
