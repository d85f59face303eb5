"""Storage that is lost under a run: it stops at once, and nothing that is in memory is dropped."""

import errno
import json
import os
import shutil
import tempfile

import pytest

from harness.cli import pairs as pairs_module
from harness.cli.main import main
from harness.core import files as files_module
from harness.core.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_STORAGE, StorageError
from harness.results import document as document_module
from harness.results import journal as journal_module
from harness.results.document import read_document
from harness.results.journal import Journal, prepare_results_folder, read_journal
from harness.runner.tuning import sitting
from tests.cli.test_ab_command import clocked  # noqa: F401 - a fixture
from tests.cli.test_tune_command import tune  # noqa: F401 - a fixture

HOUR_AGO = 4000


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """The system's temporary folder, of this test alone."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def bench(tiny_folder, tmp_path, shared_cache, script, capsys):
    """Run `bench run` on scripted workers; returns exit code, stdout and stderr."""

    def run(*words):
        plan = ("--quant", "int4", "--prompt", "8", "--gen", "4", "--threads", "1")
        plan += ("--rounds", "4", "--no-calibrate", "-q")
        places = ("--results", str(tmp_path / "results"), "--cache", str(shared_cache))
        code = main(["run", "--model", str(tiny_folder), *plan, *places, *words])
        return code, *capsys.readouterr()

    return run


def key_of(wanted):
    """What no other heat of a search has."""
    return wanted.stage, wanted.rung, wanted.settings


def removing(folder, times):
    """A fault that is none: the folder goes when tg4 is warmed up for the last time."""

    def fault(asked):
        if asked.do == "warm" and asked.test == "tg4" and asked.times == times:
            shutil.rmtree(folder)

    return fault


@pytest.mark.parametrize("style", ["table", "json"])
def test_a_removed_folder_stops_the_run_and_the_table_is_drawn(
    style, bench, script, tmp_path, temporary
):
    """Removed in the third of four rounds: what was measured is drawn, and lies elsewhere."""
    script.fault = removing(tmp_path / "results", 2)
    code, drawn, told = bench("--format", style)
    assert code == EXIT_STORAGE
    assert script.times("warm", "tg4") == 3
    assert script.times("memory") == 0
    (kept,) = temporary.glob("*/run-*.json")
    assert max(len(one.samples) for one in read_document(kept).records) == 3
    assert "tg4" in drawn
    assert f"the results lie in {kept}" in told
    assert "results: " not in told
    assert not (tmp_path / "results").exists()
    if style == "json":
        assert json.loads(drawn)["run_id"] == kept.stem
    else:
        assert main(["report", str(kept)]) == 0


def test_a_folder_that_is_removed_before_anything_is_measured_ends_the_run(
    bench, script, tmp_path, monkeypatch
):
    def refuse(self, entry):
        raise StorageError("journal x cannot be written: No space left", fix="free the disk")

    monkeypatch.setattr(journal_module.Journal, "append", refuse)
    code, drawn, told = bench()
    assert (code, drawn) == (EXIT_STORAGE, "")
    assert "No space left" in told


def test_a_document_that_cannot_be_written_is_drawn_first(
    bench, script, tmp_path, temporary, monkeypatch
):
    """The disk fills up between the last line of the journal and the document."""
    real = document_module.write_whole

    def full(path, content):
        if path.parent == tmp_path / "results":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, content)

    monkeypatch.setattr(document_module, "write_whole", full)
    code, drawn, told = bench()
    assert code == EXIT_STORAGE
    assert "int4" in drawn
    assert "No space left on device; the results lie in " in told
    assert len(list((tmp_path / "results").glob("*.journal.jsonl"))) == 1  # --resume finds it
    assert len(list(temporary.glob("*/run-*.json"))) == 1


def test_where_no_disk_takes_it_the_table_is_what_is_left(bench, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(document_module, "write_whole", full)
    code, drawn, told = bench()
    assert code == EXIT_STORAGE
    assert "tg4" in drawn
    assert "neither can the temporary folder\n  try: keep what is drawn" in told


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("after", [8, 12])
def test_a_disk_that_fails_while_it_syncs_costs_no_line_that_it_took(
    after, number, bench, monkeypatch, tmp_path
):
    """From the so many-th fsync on: the table is drawn, and the journal goes on elsewhere."""
    real, asked = os.fsync, []

    def failing(descriptor):
        asked.append(descriptor)
        if len(asked) >= after:
            raise OSError(number, os.strerror(number))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        code, drawn, told = bench()
    assert code == EXIT_STORAGE
    assert "int4" in drawn
    assert os.strerror(number) in told
    (journal,) = (tmp_path / "results").glob("*.journal.jsonl")
    assert len(read_journal(journal)) >= 3
    code, drawn, told = bench("--resume")
    assert code == EXIT_OK
    assert not journal.exists()


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
@pytest.mark.parametrize("kind", ["a file", "a dangling link", "a link to a file"])
def test_a_results_path_that_is_no_folder_stops_it_before_it_begins(kind, bench, script, tmp_path):
    results, file = tmp_path / "results", tmp_path / "file"
    file.write_text("mine")
    if kind == "a file":
        results.write_text("mine")
    else:
        results.symlink_to(file if "file" in kind else tmp_path / "nowhere")
    code, drawn, told = bench()
    assert (code, drawn, script.workers) == (EXIT_STORAGE, "", 0)
    assert [line[:7] for line in told.splitlines()] == ["bench: ", "  try: "]
    assert file.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_an_interrupt_of_a_run_without_its_folder_is_an_interrupt(bench, script, tmp_path):
    def fault(asked):
        if asked.do == "memory":
            shutil.rmtree(tmp_path / "results")
            return KeyboardInterrupt()
        return None

    script.fault = fault
    code, drawn, told = bench()
    assert code == EXIT_INTERRUPTED
    assert "tg4" in drawn
    assert "the results lie in" in told


@pytest.mark.skipif(os.name != "posix", reason="other systems let nobody remove an open file")
def test_an_append_sees_that_its_file_is_gone(tmp_path):
    """The system would take the line, for a file that no name leads to."""
    path = tmp_path / "run.journal.jsonl"
    with Journal(path) as journal:
        journal.append({"kind": "one"})
        path.unlink()
        with pytest.raises(StorageError, match="No such file"):
            journal.append({"kind": "two"})


@pytest.mark.skipif(os.name != "posix", reason="a limit of POSIX")
def test_a_limit_on_the_size_of_files_is_a_storage_error(tmp_path):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / "run.journal.jsonl"
    with Journal(path) as journal:
        journal.append({"kind": "one"})
        size = path.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, before[1]))
        try:
            with pytest.raises(StorageError):
                journal.append({"kind": "two", "text": "x" * 100})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes().count(b"\n") == 1


def test_pairs_whose_folder_is_removed_are_drawn_and_kept(clocked, monkeypatch, temporary):  # noqa: F811
    run, folder = clocked
    real = pairs_module.measure_pair

    def removing_at_three(sides, plan, number):
        if number == 3:
            shutil.rmtree(folder)
        return real(sides, plan, number)

    monkeypatch.setattr(pairs_module, "measure_pair", removing_at_three)
    result = run("--b", "SLOWER=2")
    assert result.return_value == EXIT_STORAGE
    assert "4 interleaved pairs of processes; then interrupted" in result.stdout
    (kept,) = temporary.glob("*/ab-*.jsonl")
    assert f"the results lie in {kept}" in result.stderr
    assert len(read_journal(kept)) == 5


@pytest.mark.parametrize("number", [1, 4])
def test_a_search_whose_folder_is_removed_is_drawn_and_kept(
    number,
    tune,  # noqa: F811
    monkeypatch,
    temporary,
):
    """Removed before its second heat, or in the middle; the file that is kept goes on elsewhere."""
    run, folder = tune
    monkeypatch.setenv("FAST", "session.dynamic_block_base")
    real, count = sitting.measure_heat, []

    def removing_at(turns, wanted):
        count.append(wanted)
        if len(count) == number + 1:
            shutil.rmtree(folder)
        return real(turns, wanted)

    monkeypatch.setattr(sitting, "measure_heat", removing_at)
    result = run()
    assert result.return_value == EXIT_STORAGE
    assert "not finished" in result.stdout
    (kept,) = temporary.glob("*/tune-*.jsonl")
    assert f"the results lie in {kept}" in result.stderr
    assert len(read_journal(kept)) == 1 + len(count)
    folder.mkdir()
    shutil.move(kept, folder)
    done = len(count)
    again = run("--resume")
    assert again.return_value == EXIT_OK
    assert "1.111 times as fast" in again.stdout
    assert not {*map(key_of, count[:done])} & {*map(key_of, count[done:])}


def test_a_search_whose_folder_is_gone_at_once_is_its_error(tune, monkeypatch):  # noqa: F811
    run, _folder = tune

    def refuse(self, entry):
        raise StorageError("journal x cannot be written: No space left", fix="free the disk")

    monkeypatch.setattr(journal_module.Journal, "append", refuse)
    result = run()
    assert isinstance(result.exception, StorageError)
    assert result.stdout == ""


def test_a_winner_that_cannot_be_written_as_a_plan_is_drawn(tune, monkeypatch, tmp_path):  # noqa: F811
    run, _folder = tune
    real = files_module.write_whole

    def full(path, content):
        if path.suffix == ".toml":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, content)

    monkeypatch.setattr(files_module, "write_whole", full)
    result = run("-o", str(tmp_path / "tuned.toml"))
    assert result.return_value == EXIT_STORAGE
    assert "keep it" in result.stdout
    assert "as a plan" not in result.stdout
    assert "tuned.toml cannot be written: No space left on device" in result.stderr


def test_names_of_dead_processes_are_swept(tmp_path):
    """Older than an hour: a probe, a document in the making, a lock of nothing, no line."""
    left = [".probe-77", ".run-1.json.77-0a1b2c3d.tmp", ".run-1.journal.jsonl.lock"]
    left += ["run-20261128-225919-18d1.journal.jsonl"]
    kept = [".run-2.journal.jsonl.lock", "run-2.journal.jsonl", ".mine", "notes.tmp"]
    fresh = [".probe-78", ".run-3.journal.jsonl.lock"]
    for name in (*left, *kept, *fresh):
        (tmp_path / name).write_text("")
    for name in (*left, *kept):
        now_s = (tmp_path / name).stat().st_mtime
        os.utime(tmp_path / name, (now_s - HOUR_AGO, now_s - HOUR_AGO))
    prepare_results_folder(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} - {"temporary"} == {*kept, *fresh}
