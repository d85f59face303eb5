"""The first screen: 78 columns by a stated rule, an answer at its end, and what else there is."""

import os
from pathlib import Path

import pytest

from harness.report.answers import answers
from harness.report.rows import make_rows
from harness.report.screen import FIRST_OUT, LONGEST_NAME, WIDTH, draw_screen, fitting
from harness.results.document import read_document
from tests.measured_documents import document, record

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
FAST, SLOW = [5.0, 5.1, 4.9, 5.05, 4.95], [10.0, 10.1, 9.9, 10.05, 9.95]


def levels(base, new, **fields):
    """A run of two levels, int4 with a quarter of the memory."""
    first = [record(base, test, 800_000_000, level="fp32", **fields) for test in ("pp8", "tg4")]
    second = [record(new, test, level="int4", **fields) for test in ("pp8", "tg4")]
    return document(*first, *second)


@pytest.mark.parametrize("path", sorted(REFERENCE.glob("*.json")), ids=lambda path: path.stem)
def test_every_committed_run_fits(path):
    drawn = draw_screen(read_document(path), "latest")
    assert max(map(len, drawn.splitlines())) <= WIDTH
    assert "why: bench explain latest" in drawn


def test_columns_go_in_the_stated_order_and_are_named():
    rows = make_rows(read_document(REFERENCE / "default.json").records)
    columns, gone = fitting(rows)
    assert gone == [name for name in FIRST_OUT if name in gone]
    headers = [column.header for column in columns]
    assert headers[0] == "level"
    assert headers[-1] == "trust"
    assert not set(gone) & set(headers)
    drawn = draw_screen(read_document(REFERENCE / "default.json"), "latest")
    assert f"all columns: --wide (not shown: {', '.join(gone)})" in drawn
    assert "meas/params:" not in drawn  # the note of a column that is not there


def test_a_rate_has_its_interval_in_its_own_unit():
    """10 ms a step: 100 tok/s; half of the interval of SLOW is 0.98 of them."""
    drawn = draw_screen(levels(SLOW, FAST), "latest")
    assert "100 ± 0.98" in drawn
    assert "all columns" not in drawn


def test_each_setting_has_its_answer_and_its_name():
    """Else the answer would be that of the luckiest capacity."""
    short = levels(SLOW, FAST)
    long = levels(SLOW, SLOW, capacity=512)
    run = document(*short.records, *long.records)
    found = answers(run, make_rows(run.records))
    assert [one.partition(" times")[0] for one in found] == [
        "capacity tests: int4 decodes 2.00",
        "capacity 512: int4 decodes 1.00",
    ]


def test_it_ends_in_how_much_faster_and_in_how_much_memory():
    run = levels(SLOW, FAST)
    (sentence,) = answers(run, make_rows(run.records))
    assert sentence.startswith("int4 decodes 2.00 times as fast as fp32 (1.9")
    assert sentence.endswith("), in 25% of the memory")
    assert "not told apart" not in sentence
    (same,) = answers(run := levels(SLOW, SLOW), make_rows(run.records))
    assert "1.00 times as fast as fp32" in same
    assert "not told apart" in same


def test_where_nothing_can_be_compared_nothing_is_answered():
    for run in (document(record(SLOW)), levels([10.0], [5.0]), document()):
        assert answers(run, make_rows(run.records)) == ()
        assert draw_screen(run, "latest")


def test_each_of_several_models_is_answered_by_its_name():
    both = (*levels(SLOW, FAST).records, *levels(SLOW, FAST, model="other").records)
    told = answers(document(*both), make_rows(both))
    assert [line.partition(":")[0] for line in told] == ["smollm2-135m", "other"]


@pytest.mark.skipif(os.name == "nt", reason="other quotes")
def test_what_is_to_be_typed_can_be_typed():
    drawn = draw_screen(document(record(SLOW)), "my results/a b.json")
    assert "why: bench explain 'my results/a b.json'" in drawn


def test_long_names_and_paths_neither_widen_it_nor_act_on_the_terminal():
    name = "a-model-with-a-name-that-never-ends-\x1b[31m-and-more@0123456789abcdef"
    run = document(record(SLOW, model=name), record(SLOW))
    drawn = draw_screen(run, "some/where/run.json")
    table = drawn.partition("-----")[2].splitlines()[1]
    assert len(table.split("  ")[0]) <= LONGEST_NAME
    assert "\x1b" not in drawn
    assert "why: bench explain some/where/run.json · compare: bench compare prev latest" in drawn
