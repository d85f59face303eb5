"""Pairs of live workers, interleaved: what is taken, what is left out, in which order."""

import math
from dataclasses import replace

import pytest
from msgspec import structs

from harness.core.errors import WorkerError
from harness.machine.process.worker import Worker
from harness.results.entries import TurnPlan
from harness.runner.loop.paired import LEAST_TURNS, Side, measure_pair, shared_tests
from harness.runner.plan import make_plan
from harness.runner.settings import Settings
from harness.store.cache import ensure_artifact

PINNING = "harness.runner.loop.pinning"
QUICK = TurnPlan(seconds=0.0, warm_seconds=0.05, timeout_s=60.0, seed=0)


@pytest.fixture(scope="module")
def side(tiny_folder, shared_cache):
    """A side of a tiny model, with the tests it is asked for."""

    def make(name, module=None, **tests):
        settings = Settings(model=(str(tiny_folder),), quant=("int4",), threads=("1",), **tests)
        group = make_plan(settings, usable_threads=1).groups[0]
        artifact = ensure_artifact(group.source, "int4", shared_cache)
        made = Side(name, group, artifact)
        return made if module is None else replace(made, module=module)

    return make


def test_a_slower_side_is_slower_by_its_factor(side):
    """First turns and first steps, which the child makes ten times as long, do not count."""
    a = side("a", "tests.turning_child", prompt=(8,), gen=(4,), pg=((8, 3),))
    b = replace(a, name="b", env={"SLOWER": "1.25"})
    pair = measure_pair((a, b), QUICK, 0)
    found = {(test, metric): ratio for test, metric, ratio in pair.log_ratios()}
    assert set(found) == {
        ("", "load_ms"),
        ("pp8 @ d0", "prefill_tok_s"),
        ("tg4 @ d0", "decode_step_tok_s"),
        *(("pg8+3 @ d0", metric) for metric in ("ttft_ms", "decode_step_tok_s", "e2e_ms")),
    }
    for (_test, metric), ratio in found.items():
        factor = 1.25 if metric.endswith("_ms") else 1 / 1.25
        assert ratio == pytest.approx(math.log(factor), abs=1e-6)
    assert pair.turns["tg4 @ d0", "decode_step_tok_s"][0] == pytest.approx((500.0, 400.0))
    assert pair.turns["pp8 @ d0", "prefill_tok_s"][0] == pytest.approx((160.0, 128.0))
    assert {len(turns) for turns in pair.turns.values()} == {LEAST_TURNS}


def test_real_workers_take_turns(side):
    pair = measure_pair((side("a", gen=(4,)), side("b", gen=(4,))), QUICK, 0)
    (turns,) = pair.turns.values()
    assert len(turns) == LEAST_TURNS
    assert all(value > 0 for turn in turns for value in turn)
    assert set(pair.starts) == {"load_ms", "first_ms"}


def test_both_sides_work_on_the_same_core(side, monkeypatch):
    """One thread each: what is asked of the system for one is asked for the other."""
    asked = []
    monkeypatch.setattr(
        "harness.runner.loop.pinning.usable_processors", lambda: frozenset({4, 5, 6})
    )
    monkeypatch.setattr(
        "harness.runner.loop.pinning.one_per_core", lambda found: tuple(sorted(found))
    )
    monkeypatch.setattr(Worker, "pin", lambda worker, place: asked.append(place))
    a, b = (side(name, "tests.turning_child", gen=(4,)) for name in "ab")
    for number in range(6):
        measure_pair((a, b), QUICK, number)
    pairs = list(zip(asked[::2], asked[1::2], strict=True))
    assert all(first == second and len(first) == 1 for first, second in pairs)
    assert len({first for first, _ in pairs}) > 1  # another core in another pair


def test_turns_go_on_for_the_seconds_asked(side):
    a, b = (side(name, "tests.turning_child", gen=(4,)) for name in "ab")
    pair = measure_pair((a, b), structs.replace(QUICK, seconds=0.3), 0)
    assert len(pair.turns["tg4 @ d0", "decode_step_tok_s"]) > LEAST_TURNS


def test_only_tests_of_both_sides_are_run(side):
    a, b = side("a", prompt=(8,), gen=(4,)), side("b", gen=(4, 6))
    assert [test.name for test in shared_tests((a, b))] == ["tg4 @ d0"]


def test_a_side_that_cannot_open_ends_the_pair(side):
    a = side("a", "tests.turning_child", gen=(4,))
    with pytest.raises(WorkerError):
        measure_pair((a, replace(a, name="b", module="tests.runner.loop.crashing_child")), QUICK, 0)
