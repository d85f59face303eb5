"""Steps of a history: two detectors, their vote, and what is told of each."""

import math
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.step_power import REPORTED, answer, count_hits, histories, told_by
from harness.core.errors import DeviceError
from harness.history.series import Better, Point, Series
from harness.history.steps import Detector, find_steps, segment_starts, vote
from harness.results.journal import read_lines

ROOT = Path(__file__).resolve().parents[2]
STEPS = ROOT / "results" / "validation" / "steps.jsonl"


def series(values: list[float], metric: str = "decode_tok_s", better: Better = Better.MORE):
    points = tuple(
        Point(
            when=f"2026-11-{1 + index // 24:02}T{index % 24:02}:00:00Z",
            commit=f"{index:07x}",
            versions=(("onnxruntime", "1.32.0"),),
            machine="m",
            value=value,
            low=value * 0.99,
            high=value * 1.01,
            processes=5,
            run_id=f"run-{index}",
            document=f"run-{index}.json",
        )
        for index, value in enumerate(values)
    )
    return Series("a cell", metric, "tok/s", better, points)


def rates(count: int, place: int, factor: float, noise: float = 0.02) -> list[float]:
    chance = random.Random("rates")
    return [
        100 * math.exp(chance.gauss(0, noise)) * (factor if index >= place else 1)
        for index in range(count)
    ]


def test_a_step_that_both_see_is_confirmed_with_its_ratio():
    """12 % slower from run 25 on, in noise of 2 %."""
    (step,) = find_steps(series(rates(50, 25, 0.88)))
    assert step.is_confirmed
    assert step.place == 25
    assert (step.last.run_id, step.first.run_id) == ("run-24", "run-25")
    assert step.low < 0.88 < step.high
    assert step.is_worse
    assert step.is_ratio


def test_the_direction_is_that_of_the_metric():
    (step,) = find_steps(series(rates(50, 25, 0.88), "ttft_ms", Better.LESS))
    assert not step.is_worse
    (step,) = find_steps(series(rates(50, 25, 1.2)))
    assert not step.is_worse


def test_differences_are_told_of_a_metric_that_is_compared_so():
    """Losses of 0.10 and then of 0.14 nats differ by 0.04, not by a factor."""
    chance = random.Random("nats")
    values = [0.1 + 0.04 * (at >= 20) + chance.gauss(0, 0.003) for at in range(40)]
    (step,) = find_steps(series(values, "kld_nats", Better.LESS))
    assert not step.is_ratio
    assert step.low < 0.04 < step.high
    assert step.is_worse


def test_what_is_counted_has_steps_without_noise():
    values = [80.0] * 12 + [84.0] * 8
    found = series(values, "weights_bytes", Better.LESS)
    points = tuple(replace(point, low=None, high=None, processes=0) for point in found.points)
    (step,) = find_steps(replace(found, points=points))
    assert step.place == 12
    assert [step.low, step.high] == pytest.approx([1.05, 1.05])
    assert step.is_confirmed


def test_values_of_nothing_are_compared_by_differences():
    """Energy or memory above the process may be 0: no logarithm of it."""
    assert find_steps(series([0.0] * 20)) == ()


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_short_history_has_no_step(count):
    assert find_steps(series([100.0, 50.0, 100.0, 50.0, 20.0][:count])) == ()


def test_one_detector_alone_is_a_suspicion():
    """Of the simulated histories some are told by one only; none of them is confirmed."""
    alone = []
    for drawn in histories("suspected"):
        alone += [one for one in vote(drawn.values, [0.0] * drawn.length) if not one.is_confirmed]
        if {one.votes for one in alone} == {(Detector.INTERVALS,), (Detector.SEGMENTS,)}:
            break
    assert {one.votes for one in alone} == {(Detector.INTERVALS,), (Detector.SEGMENTS,)}


def test_without_the_library_there_is_one_message_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "ruptures", None)
    with pytest.raises(DeviceError) as refused:
        find_steps(series(rates(50, 25, 0.88)))
    assert refused.value.fix == "pip install 'ondevice-bench[history]'"


def test_a_price_that_nothing_pays_has_no_segments():
    values = [math.log(value) for value in rates(50, 25, 0.88)]
    assert segment_starts(values, price=1e9) == ()
    assert segment_starts(values) == (25,)


def test_the_reported_histories_are_what_the_detectors_say_today():
    """A part of the journal, measured again: same places, same votes."""
    kept = [entry for entry in read_lines(STEPS) if entry["kind"] == "history"]
    for index, drawn in enumerate(histories(REPORTED)):
        if index % 40 == 0:
            assert answer(drawn) == {k: v for k, v in kept[index].items() if k != "kind"}


def test_the_pages_tell_what_was_measured():
    """The table of all voters stands in docs/method.md as it was drawn."""
    lines = STEPS.with_suffix(".md").read_text(encoding="utf-8").splitlines()
    table = "\n".join(lines[2:8])
    assert table.count("| vote |") == 1
    assert table in (ROOT / "docs" / "method.md").read_text(encoding="utf-8")


def test_a_hit_is_near_and_in_the_right_direction_and_counts_once():
    steps = [(20, 0.1), (60, -0.1)]
    assert count_hits(steps, [(21, 0.05), (62, -0.3)]) == 2
    assert count_hits(steps, [(23, 0.1), (60, 0.1)]) == 0
    assert count_hits(steps, [(20, 0.1), (21, 0.1)]) == 1


def test_voters_tell_what_they_see():
    entry = {"found": [[5, 0.1, ["intervals", "segments"]], [9, 0.2, ["segments"]]]}
    assert told_by("vote", entry) == [(5, 0.1)]
    assert told_by("intervals", entry) == [(5, 0.1)]
    assert told_by("segments", entry) == [(5, 0.1), (9, 0.2)]
    assert told_by("suspected too", entry) == [(5, 0.1), (9, 0.2)]
