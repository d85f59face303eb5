"""What a killed run finished is readable, and goes on; a damaged neighbour is in nobody's way."""

import json
from dataclasses import replace

import pytest

from harness.analysis.paired import LEAST_PAIRS
from harness.cli import pairs as pairs_module
from harness.cli.main import main
from harness.core.errors import (
    EXIT_CELLS,
    EXIT_GATE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    InterruptedRunError,
    ResultFormatError,
    UsageError,
    WorkerError,
)
from harness.results.entries import PairEntry
from harness.results.journal import read_journal
from tests.cli.test_ab_command import clocked  # noqa: F401 - a fixture
from tests.faults.runs import crashed

SLOWER = ("--b", "SLOWER=1.05")


class Killed(BaseException):
    """What no code catches, as no code survives a SIGKILL."""


@pytest.fixture
def ending_at(monkeypatch):
    """A function: the pair of a number, from 0, raises; each later one is measured."""
    real = pairs_module.measure_pair

    def at(number, error, times=1, spread=0.0):
        left = [error] * times

        def measure(sides, plan, count):
            if count == number and left:
                raise left.pop()
            b = sides[1]
            slower = float(b.env.get("SLOWER", 1)) + spread * count
            return real((sides[0], replace(b, env={"SLOWER": str(slower)})), plan, count)

        monkeypatch.setattr(pairs_module, "measure_pair", measure)

    return at


def pairs_file(folder):
    (found,) = folder.glob("ab-*.jsonl")
    return found


def killed(run, *words):
    """Run `bench ab`, which is killed."""
    with pytest.raises(Killed):
        run(*words)


def test_a_damaged_journal_of_another_run_blocks_no_resume(script, planned, measured, tmp_path):
    """The newest file of the folder is damaged, and is named where nothing else fits."""
    plan = planned()
    script.fault = lambda asked: KeyboardInterrupt() if asked.do == "memory" else None
    measured(plan)
    damaged = tmp_path / "results" / "run-99999999-000000-ffff.journal.jsonl"
    damaged.write_text('{"crc32":"00000000","entry":{"kind":"run"}}\n')
    script.fault = lambda asked: None
    assert measured(plan, resume=True).exit_code == EXIT_OK
    with pytest.raises(UsageError, match=f"damaged and passed over: {damaged.name}"):
        measured(plan, resume=True)


def test_a_damaged_journal_in_a_folder_is_passed_over_and_told(
    script, planned, measured, tmp_path, capsys
):
    outcome = measured(planned(rounds=1))
    results = outcome.path.parent
    (results / "run-99999999-000000-ffff.journal.jsonl").write_text("no journal\n")
    (results / "run-99999999-000001-ffff.journal.jsonl").write_text("")
    assert main(["report", str(results), "--format", "json"]) == EXIT_OK
    drawn, told = capsys.readouterr()
    assert json.loads(drawn)["run_id"] == outcome.document.run_id
    assert told.count("passed over: ") == 2
    outcome.path.unlink()
    assert main(["report", str(results)]) == EXIT_USAGE
    assert "holds no results file" in capsys.readouterr().err


def test_killed_pairs_are_drawn_compared_and_explained(clocked, ending_at, capsys):  # noqa: F811
    """Six of twenty were measured; what is left is told with them."""
    run, folder = clocked
    ending_at(LEAST_PAIRS + 1, Killed(), spread=1e-4)
    killed(run, *SLOWER, "--precision", "1e-6", "--pairs", "20")
    path = pairs_file(folder)
    assert main(["report", str(path)]) == EXIT_OK
    assert "6 interleaved pairs of processes; then interrupted" in capsys.readouterr().out
    assert main(["compare", str(path), "--fail-on", "slower:3%"]) == EXIT_GATE
    drawn, told = capsys.readouterr()
    assert "tolerance 1.0%" in drawn  # as it was asked for
    assert "gate slower:3% FAIL" in told
    assert main(["compare", str(path), "--tolerance", "9%"]) == EXIT_OK
    assert "tolerance 9.0%" in capsys.readouterr().out
    assert main(["explain", str(path), "--row", "decode", "--format", "json"]) == EXIT_OK
    rows = json.loads(capsys.readouterr().out)
    assert [row["pair"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[0]["ratio"] == pytest.approx(1 / 1.05)
    assert main(["explain", str(path)]) == EXIT_OK
    assert "6 pairs; ended: interrupted" in capsys.readouterr().out
    assert main(["explain", str(path), "--row", "no such"]) == EXIT_USAGE
    assert main(["compare", str(path), "--format", "benchstat"]) == EXIT_USAGE


def test_killed_pairs_go_on_where_they_were(clocked, ending_at, capsys):  # noqa: F811
    """The same file, numbers that go on, and the comparison of one that was never killed."""
    run, folder = clocked
    words = (*SLOWER, "--format", "json")
    whole = run(*words).stdout
    pairs_file(folder).unlink()
    ending_at(3, Killed())
    killed(run, *words)
    path = pairs_file(folder)
    path.write_bytes(path.read_bytes() + b'{"crc32":"torn')
    resumed = run(*words, "--resume")
    assert resumed.return_value == EXIT_OK
    assert json.loads(resumed.stdout)["rows"] == json.loads(whole)["rows"]
    entries = read_journal(pairs_file(folder))
    assert [one.pair for one in entries if isinstance(one, PairEntry)] == [1, 2, 3, 4, 5]
    assert main(["report", str(path), "--format", "json"]) == EXIT_OK
    assert json.loads(capsys.readouterr().out)["rows"] == json.loads(whole)["rows"]
    again = run(*words, "--resume")
    assert isinstance(again.exception, UsageError)  # nothing is left to do


def test_pairs_of_another_question_are_not_gone_on_with(clocked, ending_at):  # noqa: F811
    run, folder = clocked
    ending_at(3, Killed())
    killed(run, *SLOWER)
    other = run("--b", "SLOWER=1.06", "--resume")
    assert "holds no unfinished pairs" in str(other.exception)
    (folder / "ab-99999999-000000-ffff.jsonl").write_text("no journal\n")
    assert run(*SLOWER, "--resume").return_value == EXIT_OK


def test_pairs_that_are_interrupted_before_there_are_two_end_with_130(clocked, ending_at):  # noqa: F811
    run, _folder = clocked
    ending_at(1, KeyboardInterrupt())
    error = run(*SLOWER).exception
    assert isinstance(error, InterruptedRunError)
    assert error.exit_code == EXIT_INTERRUPTED
    assert "--resume" in error.fix
    assert run(*SLOWER, "--resume").return_value == EXIT_OK


def test_an_interrupt_of_profiles_keeps_the_pairs(clocked, monkeypatch):  # noqa: F811
    run, _folder = clocked

    def interrupted(side, test, settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(pairs_module, "profile_side", interrupted)
    result = run(*SLOWER, "--profile")
    assert result.return_value == EXIT_INTERRUPTED
    assert "SLOWER" in result.stdout
    assert "every interval is within" in result.stdout


def test_a_pair_that_loses_a_worker_is_measured_again(clocked, ending_at):  # noqa: F811
    run, folder = clocked
    ending_at(2, crashed())
    result = run(*SLOWER, "--wide")
    assert result.return_value == EXIT_OK
    told = "pairs measured again because a worker was lost: 3: the worker ended (SIGKILL)"
    assert told in result.stdout
    pairs = [one for one in read_journal(pairs_file(folder)) if isinstance(one, PairEntry)]
    assert [len(one.lost) for one in pairs] == [0, 0, 1, 0, 0]


def test_pairs_that_lose_their_workers_twice_in_a_row_are_drawn(clocked, ending_at):  # noqa: F811
    run, _folder = clocked
    ending_at(3, crashed(), times=2)
    result = run(*SLOWER)
    assert result.return_value == EXIT_CELLS
    assert "3 interleaved pairs of processes; then a worker was lost twice" in result.stdout
    assert "ended early: the worker ended (SIGKILL)" in result.stdout
    assert run(*SLOWER, "--resume").return_value == EXIT_OK


def test_a_side_that_never_runs_is_its_error(clocked, ending_at):  # noqa: F811
    run, folder = clocked
    ending_at(0, crashed(), times=2)
    assert isinstance(run(*SLOWER).exception, WorkerError)
    with pytest.raises(ResultFormatError, match="holds 0 pairs") as caught:
        raise_of(["report", str(pairs_file(folder))])
    assert "--resume" in caught.value.fix


def raise_of(words):
    """The error of a command, which `main` would draw."""
    from harness.cli.main import bench

    bench.main(args=words, standalone_mode=False)
