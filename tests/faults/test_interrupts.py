"""Fault: Ctrl-C at any point of a run; and --resume, however often it is asked for.

What must remain true: the folder holds what was finished, and reads; gone on with, the run has the
records of one that nobody interrupted; a run that is whole is not gone on with, nor changed.
"""

import pytest

from benchmarks.kill_points import records_of
from harness.cli.main import main
from harness.core.errors import EXIT_INTERRUPTED, EXIT_OK, UsageError
from harness.results.document import read_document
from harness.results.journal import Journal
from harness.runner.loop.partial import read_partial


@pytest.fixture
def whole(planned, measured, script, tmp_path):
    """A plan, the records of a run of it, how many questions and lines it takes."""
    plan = planned(rounds=2)
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        real = Journal.append
        patch.setattr(Journal, "append", lambda self, one: lines.append(one) or real(self, one))
        outcome = measured(plan)
    outcome.path.unlink()
    asked = len(script.asked)
    script.asked.clear()
    return plan, records_of(outcome.document), asked, len(lines)


def loads(folder):
    """Whether every file of a folder reads, and at least one is there."""
    files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    for path in files:
        if path.name.endswith(".journal.jsonl"):
            if b'"kind":"outline"' in path.read_bytes():
                read_partial(path)
        else:
            read_document(path)
    return bool(files)


EVERY = [7, pytest.param(1, marks=pytest.mark.slow)]  # all of them take half a minute


@pytest.mark.parametrize("step", EVERY)
def test_ctrl_c_at_every_question_leaves_what_loads_and_goes_on(
    step, whole, measured, script, tmp_path, capsys
):
    """At each question to a worker of a run, one after the other."""
    plan, expected, asked, _ = whole
    assert asked > 20
    for place in range(0, asked, step):
        script.asked.clear()
        script.fault = lambda one, at=place: (
            KeyboardInterrupt() if len(script.asked) == at + 1 else None
        )
        outcome = measured(plan)
        assert outcome.exit_code == EXIT_INTERRUPTED, place
        assert loads(tmp_path / "results"), place
        assert main(["report", str(outcome.path)]) == EXIT_OK, place
        script.fault = lambda one: None
        resumed = measured(plan, resume=True)
        assert resumed.exit_code == EXIT_OK, place
        assert records_of(resumed.document) == expected, place
        assert [path.name for path in (tmp_path / "results").iterdir()] == [resumed.path.name]
        resumed.path.unlink()
    capsys.readouterr()


@pytest.mark.parametrize("step", EVERY)
@pytest.mark.parametrize("is_written", [False, True])
def test_ctrl_c_at_every_line_leaves_what_loads_and_goes_on(
    is_written, step, whole, measured, monkeypatch, tmp_path
):
    """Before a line of the journal is on the disk, and right behind it."""
    plan, expected, _, lines = whole
    real, left = Journal.append, [0]

    def append(self, entry):
        left[0] -= 1
        if left[0] != 0:
            return real(self, entry)
        if is_written:
            real(self, entry)
        raise KeyboardInterrupt

    for place in range(2, lines + 1, step):  # the first line opens the journal: before it is no run
        left[0] = place
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "append", append)
            try:
                outcome = measured(plan)
            except KeyboardInterrupt:
                outcome = None  # it was whole: only its times were still to be written
        assert loads(tmp_path / "results"), place
        if outcome is not None and outcome.exit_code == EXIT_OK:
            outcome.path.unlink()
            continue
        resumed = measured(plan, resume=True)
        assert records_of(resumed.document) == expected, place
        resumed.path.unlink()


def test_what_is_whole_is_not_gone_on_with_however_often_it_is_asked_for(
    planned, measured, script, tmp_path
):
    plan = planned(rounds=2)
    script.fault = lambda asked: KeyboardInterrupt() if asked.do == "memory" else None
    measured(plan)
    script.fault = lambda asked: None
    outcome = measured(plan, resume=True)
    content, asked = outcome.path.read_bytes(), len(script.asked)
    for _ in range(3):
        with pytest.raises(UsageError, match="no unfinished run"):
            measured(plan, resume=True)
    assert outcome.path.read_bytes() == content
    assert len(script.asked) == asked
    assert [path.name for path in (tmp_path / "results").iterdir()] == [outcome.path.name]
