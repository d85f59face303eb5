"""Fault: a line in the middle of a journal is damaged, by a disk or by somebody's hand.

What must remain true: --resume takes every other line, names that one, and measures again what it
held; what comes out is what a run gives that nothing happened to. Without its first line a journal
does not say what it is of, and nothing goes on with it.
"""

import json
from itertools import pairwise

import pytest

from benchmarks.kill_points import records_of
from harness.cli.main import main
from harness.core.errors import EXIT_OK, EXIT_STORAGE, UsageError
from harness.results.entries import HeatEntry
from harness.results.journal import read_journal
from harness.runner.tuning import sitting
from tests.cli.test_ab_command import clocked  # noqa: F401 - a fixture
from tests.cli.test_tune_command import file_of, tune  # noqa: F401 - a fixture


def damaged(lines, *numbers):
    """The content of a file whose lines of these numbers, from 1, have another byte."""
    return b"".join(
        line.replace(b"kind", b"kinb", 1) if number in numbers else line
        for number, line in enumerate(lines, start=1)
    )


@pytest.fixture
def broken_off(script, planned, measured, tmp_path):
    """A run that is interrupted at its memory: its plan, its journal and the lines of that."""
    plan = planned()
    script.fault = lambda asked: KeyboardInterrupt() if asked.do == "memory" else None
    measured(plan)
    script.fault = lambda asked: None
    (path,) = (tmp_path / "results").glob("*.journal.jsonl")
    return plan, path, path.read_bytes().splitlines(keepends=True)


def test_a_run_measures_again_what_any_line_held(broken_off, measured, script):
    """One line after the other, then several at once; a test costs one session, not the run."""
    plan, path, lines = broken_off
    path.write_bytes(b"".join(lines))
    expected = records_of(measured(plan, resume=True).document)
    tests = [number for number, line in enumerate(lines, start=1) if b'"kind":"test"' in line]
    cases = [(number,) for number in range(2, len(lines) + 1)]
    for numbers in (*cases, tuple(tests), tuple(range(2, len(lines) + 1))):
        path.write_bytes(damaged(lines, *numbers))
        before = script.times("sample")
        outcome = measured(plan, resume=True)
        assert outcome.exit_code == EXIT_OK
        named = [line.partition("line ")[2].partition(" is damaged")[0] for line in outcome.damaged]
        assert named == [str(number) for number in numbers]
        assert records_of(outcome.document) == expected
        assert script.times("sample") - before == len({*tests} & {*numbers})
        assert not path.exists()


def test_without_its_first_line_a_run_is_not_gone_on_with(broken_off, measured):
    plan, path, lines = broken_off
    path.write_bytes(damaged(lines, 1))
    with pytest.raises(UsageError, match=f"damaged and passed over: {path.name}"):
        measured(plan, resume=True)
    assert path.read_bytes() == damaged(lines, 1)


def test_pairs_are_measured_again_under_their_numbers(clocked, capsys):  # noqa: F811
    """Also of a test that had ended; once they are there, nothing is left to go on with."""
    run, folder = clocked
    words = ("--b", "SLOWER=1.05", "--format", "json")
    whole = json.loads(run(*words).stdout)
    (path,) = folder.glob("ab-*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    for numbers in (*((number,) for number in range(2, len(lines) + 1)), (3, 4), (2, 5, 7)):
        path.write_bytes(damaged(lines, *numbers))
        assert main(["report", str(path), "--format", "json"]) == EXIT_OK
        told = capsys.readouterr().err
        assert all(f"line {number} is damaged" in told for number in numbers)
        resumed = run(*words, "--resume")
        assert resumed.return_value == EXIT_OK
        assert all(f"line {number} is damaged" in resumed.stderr for number in numbers)
        assert json.loads(resumed.stdout)["rows"] == whole["rows"]
        assert main(["report", str(path), "--format", "json"]) == EXIT_OK
        told = capsys.readouterr()
        assert json.loads(told.out)["rows"] == whole["rows"]
        assert "damaged" not in told.err  # nothing is missing any more
        assert isinstance(run(*words, "--resume").exception, UsageError)


def test_pairs_that_do_not_say_of_what_are_no_pairs(clocked, capsys):  # noqa: F811
    run, folder = clocked
    words = ("--b", "SLOWER=1.05")
    run(*words)
    (path,) = folder.glob("ab-*.jsonl")
    path.write_bytes(damaged(path.read_bytes().splitlines(keepends=True), 1))
    for asked in (["report"], ["compare"], ["explain"]):
        assert main([*asked, str(path)]) == EXIT_STORAGE
        assert "line 1 is damaged" in capsys.readouterr().err
    assert isinstance(run(*words, "--resume").exception, UsageError)


def test_a_search_measures_again_one_heat(tune, monkeypatch, capsys):  # noqa: F811
    """The heats behind it are taken where the search comes to them again."""
    run, folder = tune
    monkeypatch.setenv("FAST", "session.dynamic_block_base")
    whole = json.loads(run("--format", "json").stdout)
    path = file_of(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    asked = []
    real = sitting.measure_heat
    monkeypatch.setattr(
        sitting, "measure_heat", lambda turns, wanted: asked.append(wanted) or real(turns, wanted)
    )
    for numbers in ((2,), (len(lines) - 2,), (len(lines),), (3, 5)):
        path.write_bytes(damaged(lines, *numbers))
        asked.clear()
        resumed = run("--resume", "--format", "json")
        assert resumed.return_value == EXIT_OK
        assert len(asked) == len({*numbers} - {len(lines)})
        assert all(f"line {number} is damaged" in resumed.stderr for number in numbers)
        for told in (json.loads(resumed.stdout), drawn(path, capsys)):
            assert {key: told[key] for key in ("winner", "ratio", "ended")} == {
                key: whole[key] for key in ("winner", "ratio", "ended")
            }
            assert len(told["pairs"]) == len(whole["pairs"])
            assert turns_of(told) == turns_of(whole)
        assert isinstance(run("--resume").exception, UsageError)


def test_a_search_that_is_killed_twice_takes_the_heats_of_all_sittings(tune, monkeypatch):  # noqa: F811
    """Damaged, gone on with, interrupted, gone on with: each heat is measured once more at most."""
    run, folder = tune
    whole = json.loads(run("--format", "json").stdout)
    path = file_of(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(damaged(lines, 2))
    real, asked = sitting.measure_heat, []

    def stopped(turns, wanted):
        asked.append(wanted)
        if len(asked) == 1:
            raise KeyboardInterrupt
        return real(turns, wanted)

    monkeypatch.setattr(sitting, "measure_heat", stopped)
    run("--resume")
    told = json.loads(run("--resume", "--format", "json").stdout)
    assert len(asked) == 2  # the one that was broken off, and it again
    assert turns_of(told) == turns_of(whole)
    heats = [one for one in read_journal_sound(path) if isinstance(one, HeatEntry)]
    ordered = [(one.stage, one.rung) for one in heats[-(len(lines) - 2) :] if one.stage >= 0]
    assert all(first <= second for first, second in pairwise(ordered))


def read_journal_sound(path):
    """Entries of the sound lines."""
    return read_journal(path, lambda line: None)


def drawn(path, capsys):
    """What a report says of a file, which names no damage that was measured again."""
    capsys.readouterr()
    assert main(["report", str(path), "--format", "json"]) == EXIT_OK
    told = capsys.readouterr()
    assert "damaged" not in told.err
    return json.loads(told.out)


def turns_of(found):
    """What became of every candidate, and in how many turns."""
    return [(one["setting"], one["turns"], one["outcome"]) for one in found["candidates"]]
