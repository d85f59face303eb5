"""Several machines in one table, each with its own peaks; of one machine nothing is added."""

import csv
import io
import json

import pytest
from msgspec import structs

from harness.analysis.axis_words import MACHINE_AXIS
from harness.fleet.merge import merge
from harness.report.compare_table import draw_comparison_benchstat
from harness.report.render import render
from harness.report.screen import draw_screen
from harness.results.environment import ReadBandwidth
from tests.fleet.results import result

A, B = "a" * 16, "b" * 16
SLOW = (20.0, 20.2, 19.8, 20.1, 19.9)


def with_peak(made, gb_per_s):
    peak = ReadBandwidth(threads=2, bytes_per_s=gb_per_s * 1e9)
    row = structs.replace(made.records[0], estimates={"decode_tok_s": {"params": 50.0}})
    facts = structs.replace(made.environment, read_bandwidth=(peak,))
    return structs.replace(made, environment=facts, records=(row,))


@pytest.fixture
def two():
    fast = with_peak(result(0, A, label="shelf-1"), 20.0)
    slow = with_peak(result(0, B, times_ms=SLOW, facts={"physical_cores": 4}), 8.0)
    return merge([fast, slow]).document


@pytest.mark.parametrize("style", ["table", "md"])
def test_each_row_says_its_machine_and_each_machine_its_peaks(two, style):
    lines = [line.split() for line in render(two, style).replace("|", " ").splitlines()]
    rows = [words for words in lines if words[:1] == ["shelf-1"] or words[:2] == ["cpu", "b"]]
    assert len(rows) == 4
    peaks = [" ".join(words) for words in rows if "(2)" in words]
    assert ["20.0 (2)" in peaks[1], "8.0 (2)" in peaks[0]] == [True, True]
    assert ["aaaaaaaa" in peaks[1], "bbbbbbbb" in peaks[0]] == [True, True]


def test_the_first_screen_fits_and_says_how_machines_are_compared(two):
    drawn = draw_screen(two, "fleet.json")
    assert max(map(len, drawn.splitlines())) <= 78
    assert "2 machines" in drawn.splitlines()[0]
    assert "bench compare fleet.json --axis machine" in drawn


def test_runs_of_one_machine_are_a_table_as_ever():
    first, second = with_peak(result(0, A), 4.0), with_peak(result(1, A), 6.0)
    drawn = render(merge([first, second]).document, "table")
    assert "machine" not in drawn
    assert "CPU cpu a" in drawn
    assert "interleaved" not in drawn
    assert "5.0 GB/s" in drawn


@pytest.mark.parametrize("style", ["openmetrics", "benchmark-action", "bencher", "benchstat"])
def test_formats_of_names_tell_the_machines_apart(two, style):
    """Two series of one name would be refused, or the second would take the first one's place."""
    drawn = render(two, style)
    assert "cpu@shelf-1" in drawn or "cpu@shelf_1" in drawn
    assert "cpu@cpu b" in drawn or "cpu@cpu_b" in drawn


def test_lines_for_programs_hold_the_hash_of_the_machine(two):
    lines = list(csv.DictReader(io.StringIO(render(two, "csv"))))
    assert {line["machine"] for line in lines} == {A, B}
    assert {json.loads(line)["machine"] for line in render(two, "jsonl").splitlines()} == {A, B}


def test_benchstat_has_a_side_for_each_machine(two):
    drawn = draw_comparison_benchstat(([two], []), MACHINE_AXIS)
    assert "/side=shelf_1" in drawn
    assert "/side=cpu_b" in drawn
