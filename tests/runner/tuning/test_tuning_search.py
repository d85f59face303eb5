"""The search and its confirmation over drawn turns: what is found, and what it costs."""

import random
from math import log

import pytest
from msgspec import structs

from benchmarks.tune_trials import CASES, DEFAULT, METRIC, NOISES, of_changes, simulated
from harness.results.entries import HeatEntry
from harness.results.replies import WatchInterval
from harness.runner.tuning.search import (
    CONFIRMATION,
    ERROR_SHARES,
    LEAST_PAIRS,
    OTHER_TOKENS,
    SEARCH_SHARE,
    UNTRIED,
    Search,
    race_values,
)

USUAL = NOISES[1]


def measure_of(gains, *, seconds=1.0, lost=(), untried=()):
    """Turns without noise: each setting as fast as its changes say."""

    def measure(wanted):
        why = {}
        for place, one in enumerate(wanted.settings):
            mine = {name for name, _ in one.session_options}
            if not mine.isdisjoint(lost):
                why[place] = OTHER_TOKENS
            elif not mine.isdisjoint(untried) and not wanted.rung:
                why[place] = UNTRIED
        values = [
            () if place in why else (2.0 ** sum(gains[n] for n, _ in one.session_options),) * 6
            for place, one in enumerate(wanted.settings)
        ]
        return HeatEntry(
            stage=wanted.stage,
            rung=wanted.rung,
            settings=wanted.settings,
            values=tuple(values),
            lost=tuple(why.items()),
            seconds=seconds * len(values),
        )

    return measure


def changes_of(gains):
    def changes(now):
        mine = frozenset(name for name, _ in now.session_options)
        return [of_changes(mine | {name}) for name in gains if name not in mine]

    return changes


def found_by(gains, budget_s=600.0, room=16, **how):
    search = Search(METRIC, budget_s, room, measure_of(gains, **how))
    return search, search.best(DEFAULT, changes_of(gains))


def test_gains_are_put_together():
    search, best = found_by({"a": 0.1, "b": 0.05, "c": 0.0, "d": -0.2})
    assert best == of_changes(frozenset("ab"))
    end = search.confirmed(DEFAULT, best)
    assert end.winner == best
    assert end.ratio == pytest.approx(2**0.15)
    assert (end.pairs, end.ended) == (LEAST_PAIRS, "precision")


def test_what_was_slower_alone_is_not_tried_again():
    search, _ = found_by({"a": 0.1, "b": 0.0, "d": -0.2})
    later = [one for heat in search.heats if heat.stage == 1 for one in heat.settings[1:]]
    assert of_changes(frozenset("ad")) not in later


def test_nothing_faster_keeps_the_default_without_a_pair():
    search, best = found_by({"a": 0.0, "b": 0.001, "d": -0.2})
    assert best == DEFAULT
    assert search.confirmed(DEFAULT, best).pairs == 0
    assert all(heat.stage != CONFIRMATION for heat in search.heats)


def test_what_computes_something_else_never_wins():
    search, best = found_by({"a": 0.9, "b": 0.1}, lost=("a",))
    assert best == of_changes(frozenset("b"))
    assert len([heat for heat in search.heats if of_changes(frozenset("a")) in heat.settings]) == 1


def test_who_came_too_late_for_the_first_rung_is_first_in_the_next():
    search, best = found_by({"a": 0.0, "b": 0.0, "c": 0.3}, untried=("c",))
    second = next(heat for heat in search.heats if heat.rung == 1)
    assert second.settings[1] == of_changes(frozenset("c"))
    assert best == of_changes(frozenset("c"))


def test_as_many_together_as_fit_each_beside_the_base():
    gains = dict.fromkeys("abcdefg", 0.0) | {"g": 0.2}
    search, best = found_by(gains, room=4)
    first = [heat.settings for heat in search.heats if heat.rung == 0 and heat.stage == 0]
    assert [len(settings) for settings in first] == [4, 4, 2]
    assert all(settings[0] == DEFAULT for settings in first)
    assert best == of_changes(frozenset("g"))


def test_the_search_leaves_time_for_the_confirmation():
    gains = {name: 0.01 * place for place, name in enumerate("abcdefgh")}
    search, best = found_by(gains, budget_s=60.0)
    one_rung_s = max(heat.seconds for heat in search.heats)
    assert search.spent_s <= SEARCH_SHARE * 60 + one_rung_s
    before_s = search.spent_s
    assert search.confirmed(DEFAULT, best).pairs >= LEAST_PAIRS
    assert search.spent_s - before_s <= 60


def test_a_winner_that_fails_when_it_is_confirmed_is_none():
    search, best = found_by({"a": 0.2})
    search.measure = measure_of({"a": 0.2}, lost=("a",))
    end = search.confirmed(DEFAULT, best)
    assert (end.winner, end.ended) == (DEFAULT, "lost")


def test_the_next_best_is_tried_where_the_leader_was_flattered():
    """A race saw `a` 20 % ahead by luck; in fresh pairs it is 20 % behind, and `b` is ahead."""
    search, best = found_by({"a": 0.3, "b": 0.1}, budget_s=40.0)
    leader = of_changes(frozenset("a"))
    search.measure = measure_of({"a": -0.3, "b": 0.1})
    end = search.confirmed(DEFAULT, leader)
    assert "a" in dict(best.session_options)
    assert end.winner == of_changes(frozenset("b"))
    confirming = [heat.settings[1] for heat in search.heats if heat.stage == CONFIRMATION]
    assert confirming[0] == leader
    assert confirming.count(leader) == LEAST_PAIRS


def test_the_default_is_kept_where_no_contender_is_confirmed():
    """The end is that of the first; no more are tried than the error is divided by."""
    search, _ = found_by({"a": 0.3, "b": 0.2, "c": 0.1, "e": 0.05}, budget_s=4000.0)
    leader = of_changes(frozenset("a"))
    search.measure = measure_of(dict.fromkeys("abce", -0.1))
    end = search.confirmed(DEFAULT, leader)
    assert (end.winner, end.ended) == (DEFAULT, "precision")
    contenders = {heat.settings[1] for heat in search.heats if heat.stage == CONFIRMATION}
    assert len(contenders) == len(ERROR_SHARES)


def test_a_busy_machine_decides_nothing():
    """Unless it is meant to be that busy."""
    busy = WatchInterval(wall_ns=10**9, processors=2, background_cpu_ns=10**9, steal_ns=0)
    search, best = found_by({"a": 0.2})
    real = search.measure
    search.measure = lambda wanted: structs.replace(real(wanted), watch=busy)
    end = search.confirmed(DEFAULT, best)
    assert (end.winner, end.busy, end.low > 1) == (DEFAULT, True, True)
    search.heats = [heat for heat in search.heats if heat.stage != CONFIRMATION]
    search.takes_busy = True
    end = search.confirmed(DEFAULT, best)
    assert (end.winner, end.busy) == (best, False)


def test_a_later_stage_has_as_many_candidates_as_there_is_time_for():
    gains = dict.fromkeys("bcdefgh", 0.0) | {"a": 0.2}
    search, best = found_by(gains, budget_s=20.0)
    (later,) = (heat.settings for heat in search.heats if heat.stage == 1)
    assert 2 <= len(later) < 8
    search, best = found_by(gains, budget_s=16.0)
    assert {heat.stage for heat in search.heats} == {0}
    assert best == of_changes(frozenset("a"))


def test_rates_and_times_are_turned_alike():
    heat = HeatEntry(stage=0, rung=0, settings=(DEFAULT,), values=((2.0, 4.0),), seconds=1.0)
    assert race_values([heat], METRIC, 0) == {DEFAULT.name: {(0, 0): log(2), (0, 1): log(4)}}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.called)
def test_error_rates(case):
    """As `benchmarks/tune_trials.py simulate` has them, with fewer draws: seeded, so no flake."""
    chance = random.Random(case.called)
    ends = [simulated(case, USUAL, chance) for _ in range(20)]
    speeds = [sum(case.gains[name] for name, _ in end.session_options) for end in ends]
    assert min(speeds) >= log(0.99)
    if case.gains.get("p", 0.0) > 0.05:
        assert sum(("p", "1") in end.session_options for end in ends) >= 18
