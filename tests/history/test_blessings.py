"""Accepted steps: lines of a file beside the index, found again when a step moves a little."""

import pytest
from msgspec import structs

from harness.core.errors import ResultFormatError, UsageError
from harness.history.blessings import (
    add_blessing,
    blessing_of,
    new_blessing,
    read_blessings,
    withdraw_blessing,
)
from harness.history.series import Better, Point, Series
from harness.report.grid import WIDTH
from harness.report.history_table import draw_blessings

POINTS = tuple(
    Point(f"2026-11-{day + 1:02}", "", (), "m1", 10.0, None, None, 5, f"run-{day}", "")
    for day in range(10)
)
SERIES = Series("cell", "decode_tok_s", "tok/s", Better.MORE, POINTS)


def blessed(place: int = 5, is_worse: bool = True, reason: str = "longer chunks"):
    return new_blessing(SERIES, f"run-{place}", is_worse, reason, "2026-11-29", "1a2b")


def test_a_blessing_is_written_read_and_withdrawn(tmp_path):
    path = tmp_path / "blessings.jsonl"
    assert read_blessings(path) == ()
    first, second = blessed(3), blessed(7)
    add_blessing(path, first)
    add_blessing(path, second)
    assert read_blessings(path) == (first, second)
    assert path.read_text().count("\n") == 2
    assert withdraw_blessing(path, first.id[:6]) == first
    assert read_blessings(path) == (second,)


def test_a_narrow_list_keeps_the_reason_and_the_date():
    """Cells and runs have long names; the index has them."""
    long = structs.replace(blessed(), cell="smollm2-135m int4 tg32 @ d0 cpu t2 " * 3)
    drawn = draw_blessings([long], "accepted", "blessings.jsonl", "table")
    assert all(word in drawn for word in ("longer", "2026-11-29", long.id))
    assert max(map(len, drawn.splitlines())) <= WIDTH


def test_a_second_reason_replaces_the_first(tmp_path):
    path = tmp_path / "blessings.jsonl"
    add_blessing(path, blessed(reason="a"))
    add_blessing(path, blessed(reason="b"))
    assert [one.reason for one in read_blessings(path)] == ["b"]


def test_no_person_and_no_place_stands_in_a_line(tmp_path):
    path = tmp_path / "blessings.jsonl"
    add_blessing(path, blessed())
    assert sorted(__import__("json").loads(path.read_text())) == [
        *("cell", "commit", "date", "id", "is_worse", "machine", "metric", "reason", "run_id"),
    ]


@pytest.mark.parametrize("reason", ["", " \n ", "x" * 501])
def test_a_reason_says_something_in_a_line(reason):
    with pytest.raises(UsageError, match="reason"):
        blessed(reason=reason)


@pytest.mark.parametrize(("moved", "is_found"), [(0, True), (1, True), (-2, True), (3, False)])
def test_a_step_that_moves_a_little_is_still_accepted(moved, is_found):
    found = blessing_of(SERIES, 5 + moved, True, [blessed(5)])
    assert (found is not None) == is_found


def test_the_other_direction_another_metric_and_another_run_are_other_steps():
    assert blessing_of(SERIES, 5, False, [blessed(5)]) is None
    other = Series("cell", "peak_rss_bytes", "bytes", Better.LESS, POINTS)
    assert blessing_of(other, 5, True, [blessed(5)]) is None
    gone = new_blessing(SERIES, "run-gone", True, "x", "2026-11-29")
    assert blessing_of(SERIES, 5, True, [gone]) is None


def test_of_two_the_nearer_one_is_meant():
    near, far = blessed(6), blessed(4)
    assert blessing_of(SERIES, 6, True, [far, near]) == near


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "blessings.jsonl"
    add_blessing(path, blessed())
    path.write_text(path.read_text() + "<<<<<<< HEAD\n")
    with pytest.raises(ResultFormatError, match="line 2 is damaged"):
        read_blessings(path)
    path.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ResultFormatError, match="blessings"):
        read_blessings(path)


@pytest.mark.parametrize("word", ["", "zz"])
def test_what_is_not_there_cannot_be_withdrawn(tmp_path, word):
    path = tmp_path / "blessings.jsonl"
    add_blessing(path, blessed())
    with pytest.raises(UsageError, match="no blessing is"):
        withdraw_blessing(path, word)
