"""Fault: thread counts that no machine has: below 1, beyond the usable cores, no whole number.

What must remain true: two lines and the code of a wrong flag, before a process is started, a model
is built or a folder is made.
"""

import subprocess

import pytest

import harness
from harness.cli.main import main
from harness.core.errors import EXIT_USAGE, UsageError

COUNTS = ("-5", "0", "100000", "1.5", "two", "")
COMMANDS = (
    ("run", "--model", "bytelm", "--gen", "4"),
    ("ab", "--model", "bytelm", "--gen", "4"),
    ("tune", "bytelm", "--for", "decode"),
    ("fit", "bytelm", "--require", "decode>=1"),
)


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch, tmp_path):
    """A process that is started fails the test; paths are below the test's folder."""

    def started(*words, **others):
        raise AssertionError(f"{words} was started")

    monkeypatch.setattr(subprocess, "Popen", started)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_thread_count_that_no_machine_has_starts_nothing(words, count, tmp_path, capsys):
    assert main([*words, f"--threads={count}"]) == EXIT_USAGE
    told = capsys.readouterr()
    assert [line[:7] for line in told.err.splitlines()] == ["bench: ", "  try: "]
    assert "threads" in told.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", ['"-5"', '"0"', '"100000"', "0", "-5", "100000", "true"])
def test_so_it_is_in_a_plan(count, tmp_path, capsys):
    (tmp_path / "plan.toml").write_text(f'model = ["bytelm"]\ngen = [4]\nthreads = [{count}]\n')
    assert main(["run", "--config", "plan.toml"]) == EXIT_USAGE
    assert [line[:7] for line in capsys.readouterr().err.splitlines()] == ["bench: ", "  try: "]
    assert [path.name for path in tmp_path.iterdir()] == ["plan.toml"]


@pytest.mark.parametrize("count", [-5, 0, 100_000])
def test_so_it_is_from_python(count, tmp_path):
    with pytest.raises(UsageError):
        harness.run(model="bytelm", gen=4, threads=count, results=tmp_path / "results")
    assert list(tmp_path.iterdir()) == []
