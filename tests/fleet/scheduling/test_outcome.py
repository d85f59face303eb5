"""One document of what came and what was lost, the last words, and the exit code."""

import pytest

from harness.core.errors import (
    EXIT_CELLS,
    EXIT_DEVICE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_STORAGE,
    StorageError,
)
from harness.fleet.merge import merge
from harness.fleet.scheduling.gathering import End, Gathered
from harness.fleet.scheduling.jobs import Loss
from harness.fleet.scheduling.outcome import exit_code, lost_cell, merged, merged_name, words_of
from harness.results.document import decode_document, encode_document, write_document
from harness.results.enums import Status
from tests.fleet.scheduling.null_worker import null_document
from tests.fleet.scheduling.processes import null_cells

NOW = "2026-11-22T11:00:00+00:00"


@pytest.fixture(scope="module")
def cells():
    return null_cells(2)


@pytest.fixture
def results(cells, tmp_path):
    """Of two cells on one machine."""
    paths = []
    for cell in cells:
        paths.append(tmp_path / f"result-{cell.hash}-{'0' * 16}.json")
        write_document(null_document(cell, "a"), paths[-1])
    return tuple(paths)


def loss(cell, machine="b" * 16, name="b", reason="worker b was lost"):
    return Loss(cell.hash, machine, name, reason)


def test_what_a_machine_lost_stands_beside_what_another_measured(cells, results):
    found = merged(Gathered(results, (loss(cells[0]),), End.DONE), cells, NOW)
    told = [(source.plan.cell.label, source.run_id) for source in found.document.sources]
    assert [label for label, _ in told] == ["a", "a", "b"]
    reasons = {one.reason for one in found.document.records if one.source == 2}
    assert reasons == {"worker b was lost"}
    assert all(one.status == Status.SKIPPED for one in found.document.records)
    assert found.problems == ()


def test_a_cell_that_nobody_measured_says_why(cells, results):
    lost = loss(cells[1], "", "", "no worker offers cuda")
    found = merged(Gathered(results[:1], (lost,), End.DONE), cells, NOW)
    reasons = {one.reason for one in found.document.records if one.source == 1}
    assert reasons == {"no worker offers cuda"}
    assert [cell.hash for cell in found.missing] == [cells[1].hash]


def test_a_result_that_comes_later_takes_the_place_of_what_was_lost(cells, results):
    """Merging the merge, the parts and the late result: nothing contradicts itself."""
    first = null_document(cells[0], "b")
    lost = loss(cells[0], first.plan.cell.machine)
    before = merged(Gathered(results, (lost,), End.DONE), cells, NOW).document
    after = merge([decode_document(encode_document(before)), first], cells)
    assert after.problems == ()
    assert len(after.document.sources) == 3
    assert "worker b was lost" not in {one.reason for one in after.document.records}
    assert merge([after.document, before, first], cells).document == after.document


def test_lost_twice_is_told_once(cells):
    early = lost_cell(loss(cells[0]), cells[0], "2026-11-22T10:00:00+00:00")
    late = lost_cell(loss(cells[0], reason="worker b ran out"), cells[0], NOW)
    found = merge([late, early])
    assert found.problems == ()
    assert {one.reason for one in found.document.records} == {"worker b ran out"}


@pytest.mark.parametrize(
    ("end", "lost", "is_elsewhere", "code"),
    [
        (End.DONE, False, False, EXIT_OK),
        (End.DONE, True, False, EXIT_CELLS),
        (End.SCHEDULER_LOST, True, False, EXIT_DEVICE),
        (End.STORAGE, True, False, EXIT_STORAGE),
        (End.DONE, False, True, EXIT_STORAGE),
        (End.INTERRUPTED, True, True, EXIT_INTERRUPTED),
    ],
)
def test_the_highest_code_wins(cells, results, end, lost, is_elsewhere, code):
    gathered = Gathered(results, (loss(cells[0]),) if lost else (), end)
    assert exit_code(gathered, merged(gathered, cells, NOW), is_elsewhere) == code


def test_a_lost_scheduler_is_told_with_what_collects_the_rest(cells, results, tmp_path):
    gathered = Gathered(results, (loss(cells[0]),), End.SCHEDULER_LOST)
    told = " ".join(words_of(gathered, tmp_path / "out"))
    assert f"bench merge {tmp_path / 'out'} FOLDER..." in told
    assert "1 of the cells" in told
    assert words_of(Gathered(results, (), End.DONE), tmp_path) == ()
    full = Gathered(results, (), End.STORAGE, StorageError("no space", "make some"))
    assert words_of(full, tmp_path) == ("no space", "try: make some")


def test_the_same_plan_has_the_same_file(cells):
    assert merged_name(cells) == merged_name(cells[::-1]) != merged_name(cells[:1])
