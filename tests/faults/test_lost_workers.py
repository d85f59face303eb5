"""A lost worker costs its cell and round: what else was measured is drawn, and can be completed."""

import pytest

from harness.analysis.compare import Question, compare_axis
from harness.core.errors import EXIT_CELLS, EXIT_OK, WorkerError
from harness.report.render import render
from harness.results.document import read_document
from harness.results.progress import ending_of, progress_sentence
from harness.runner.loop import rounds
from harness.runner.loop.partial import read_partial
from tests.faults.runs import crashed

WAYS = ("rounds", "turns")


def cells(outcome):
    """By level and test: status, samples, reasons of the grade that name a lost worker."""
    return {
        (one.cell.level, one.cell.workload.partition(" ")[0]): (
            str(one.status),
            len(one.samples),
            [reason.detail for reason in one.trust.reasons if reason.code == "LOST_WORKER"]
            if one.trust
            else None,
        )
        for one in outcome.document.records
    }


def judged(document):
    return [(one.cell, one.status, one.reason, one.trust) for one in document.records]


def journals(outcome):
    return list(outcome.path.parent.glob("*.journal.jsonl"))


@pytest.mark.parametrize("way", WAYS)
def test_a_worker_killed_in_one_round_costs_one_cell_of_it(way, script, planned, measured):
    """Killed at int4 in the second round: 2 of 3 rounds stand, all else is whole."""
    script.fault = lambda asked: crashed() if asked[1:] == ("int4", "warm", "tg4", 1) else None
    outcome = measured(planned(interleave=way))
    found = cells(outcome)
    detail = ["without round 2: crashed: the worker ended (SIGKILL)"]
    assert found.pop(("int4", "tg4")) == ("ok", 2, detail)
    assert list(found.values()) == [("ok", 3, [])] * 3
    assert outcome.exit_code == EXIT_CELLS
    assert len(journals(outcome)) == 1
    told = "1 of 4 cells failed, or lack rounds or their memory; try again: bench run --resume"
    assert progress_sentence(outcome.document) == told
    assert told in render(outcome.document, "table")
    compared = compare_axis(outcome.document, "quant", None, Question())
    assert compared.partial
    assert {row.cell.workload for row in compared.rows} >= {"tg4 @ d0", "pp8 @ d0"}
    assert judged(read_partial(journals(outcome)[0])) == judged(outcome.document)


@pytest.mark.parametrize("way", WAYS)
def test_resume_tries_again_what_was_lost_and_nothing_else(way, script, planned, measured):
    """One round of one cell and its worker; then the journal has no more to give."""
    plan = planned(interleave=way)
    script.fault = lambda asked: crashed() if asked[1:] == ("int4", "warm", "tg4", 1) else None
    measured(plan)
    script.fault = lambda asked: None
    script.asked.clear()
    outcome = measured(plan, resume=True)
    assert outcome.exit_code == EXIT_OK
    assert journals(outcome) == []
    assert list(cells(outcome).values()) == [("ok", 3, [])] * 4
    assert (ending_of(outcome.document), script.times("memory")) == ("resumed", 0)
    assert len({one.test for one in script.asked if one.do == "warm"}) == 1
    assert {one.level for one in script.asked} == {"int4"}


@pytest.mark.parametrize("way", WAYS)
def test_a_cell_that_is_lost_twice_in_a_row_rests(way, script, planned, measured):
    """Four rounds of a test that always kills: two tries; the other test has all four."""
    script.fault = lambda asked: (
        crashed() if (asked.level, asked.test, asked.do) == ("int4", "tg4", "sample") else None
    )
    outcome = measured(planned(rounds=4, interleave=way))
    assert script.times("sample", "tg4", "int4") == 2
    assert cells(outcome)["int4", "tg4"] == ("crashed", 0, None)
    assert cells(outcome)["int4", "pp8"] == ("ok", 4, [])
    assert outcome.exit_code == EXIT_CELLS


@pytest.mark.parametrize("way", WAYS)
def test_a_session_that_cannot_be_opened_once_is_tried_in_the_next_round(
    way, script, planned, measured
):
    script.fault = lambda asked: (
        crashed() if (asked.level, asked.do, asked.times) == ("fp32", "open", 0) else None
    )
    found = cells(measured(planned(interleave=way)))
    detail = ["without round 1: crashed: the worker ended (SIGKILL)"]
    assert {key: value for key, value in found.items() if key[0] == "fp32"} == {
        ("fp32", "tg4"): ("ok", 2, detail),
        ("fp32", "pp8"): ("ok", 2, detail),
    }
    assert found["int4", "pp8"] == ("ok", 3, [])


def test_memory_that_is_short_in_one_round_costs_that_round(script, planned, measured, monkeypatch):
    """Another program had it for a moment: no worker is started, and the next round is whole."""
    short = iter([True])

    def refuse(group, artifact):
        if next(short, False):
            raise WorkerError("900 MiB needed", fix="a smaller model", status="out_of_memory")

    monkeypatch.setattr(rounds, "refuse_without_room", refuse)
    outcome = measured(planned())
    counts = sorted(count for _, count, _ in cells(outcome).values())
    assert counts == [2, 2, 3, 3]
    assert {status for status, _, _ in cells(outcome).values()} == {"ok"}


def test_a_memory_pass_that_is_lost_leaves_the_times(script, planned, measured):
    """The row is ok and says what it lacks; --resume takes that memory, and times nothing."""
    plan = planned()
    script.fault = lambda asked: (
        crashed() if asked.level == "int4" and asked.do.startswith("memory") else None
    )
    outcome = measured(plan)
    assert outcome.exit_code == EXIT_CELLS
    told = ["its memory was not taken: crashed: the worker ended (SIGKILL)"]
    assert cells(outcome)["int4", "tg4"] == ("ok", 3, told)
    record = next(one for one in outcome.document.records if one.cell.level == "int4")
    assert "peak_rss_bytes" not in record.metrics
    assert record.trust.grade != "A"
    assert judged(read_partial(journals(outcome)[0])) == judged(outcome.document)
    script.fault = lambda asked: None
    script.asked.clear()
    whole = measured(plan, resume=True)
    assert whole.exit_code == EXIT_OK
    assert script.times("open") == 0
    assert all("peak_rss_bytes" in one.metrics for one in read_document(whole.path).records)


def test_a_worker_that_dies_when_all_is_measured_costs_nothing(script, planned, measured):
    script.fault = lambda asked: crashed() if asked.do == "close" else None
    assert measured(planned(rounds=1)).exit_code == EXIT_OK
