"""`bench history`: added, listed, asked and exported from the command line."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.core.errors import EXIT_DEVICE, EXIT_OK, EXIT_STORAGE, EXIT_USAGE
from tests.history.made_runs import records_of, run_of, write_runs

pytest.importorskip("duckdb")
ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "history.md").read_text(encoding="utf-8")
SQL = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with two runs under results, and that they are indexed."""
    monkeypatch.chdir(tmp_path)
    write_runs(tmp_path / "results", [run_of(day, *records_of(100 + day)) for day in range(2)])
    assert main(["history", "add", "-q"]) == EXIT_OK
    return tmp_path


def said(capsys, *words: str, code: int = EXIT_OK) -> tuple[str, str]:
    capsys.readouterr()
    assert main(["history", *words]) == code
    found = capsys.readouterr()
    return found.out, found.err


def test_what_was_added_is_told_and_once_is_enough(place, capsys):
    assert (place / "results" / "history.duckdb").is_file()
    out, _ = said(capsys, "add", "results")
    assert out == ("0 runs with 0 records added to results/history.duckdb; 2 files there already\n")


def test_a_damaged_file_is_named_and_ends_with_5(place, capsys):
    (place / "results" / "new").mkdir()
    write_runs(place / "results" / "new", [run_of(5, *records_of(90))])
    (place / "results" / "cut.json").write_text('{"schema": "bench.results", "recor')
    out, _ = said(capsys, "add", "--format", "json", code=EXIT_STORAGE)
    (found,) = json.loads(out)
    assert (found["runs"], found["known"]) == (1, 2)
    (file,) = found["files"]
    assert (file["file"], file["became"]) == ("results/cut.json", "refused")
    out, _ = said(capsys, "add", code=EXIT_STORAGE)
    assert "refused: results/cut.json: it is no complete JSON document" in out


def test_whole_records_of_a_file_that_was_cut_are_taken(place, capsys):
    """Until the file itself comes: it says more of its run, and takes the place."""
    made = run_of(6, *records_of(90))
    write_runs(place / "elsewhere", [made])
    whole = (place / "elsewhere" / f"{made.run_id}.json").read_bytes()
    (place / "results" / "part.json").write_bytes(whole[: whole.rindex(b'{"cell":') + 40])
    out, _ = said(capsys, "add", code=EXIT_STORAGE)
    assert "1 run with 1 record added" in out
    assert "cut: results/part.json: it is cut in the middle: 1 whole record used" in out
    asked = f"select records from runs where run_id = '{made.run_id}'"
    out, _ = said(capsys, "query", asked, "--format", "json")
    assert '"records": 1' in out
    said(capsys, "add", "elsewhere")
    out, _ = said(capsys, "query", asked, "--format", "json")
    assert '"records": 2' in out


def test_a_history_is_built_anew_of_the_files_that_it_had(place, capsys):
    write_runs(place / "elsewhere", [run_of(7, *records_of(90))])
    said(capsys, "add", "elsewhere", "--commit", "1a2b3c")
    (place / "results" / f"{run_of(0).run_id}.json").unlink()
    out, _ = said(capsys, "add", "--rebuild")
    assert out.startswith("2 runs with 4 records added")
    assert "lost: results/run-" in out
    rows, _ = said(
        capsys, "query", "select commit from runs where commit is not null", "--format", "csv"
    )
    assert rows == "commit\n1a2b3c\n"


@pytest.mark.parametrize("what", ["models", "machines", "cells", "runs"])
def test_each_list_has_a_table_and_values(place, capsys, what):
    out, _ = said(capsys, "ls", what)
    assert "2 runs, 4 records, 2 cells on 1 machine, 2026-09-01 to 2026-09-02" in " ".join(
        out.split()
    )
    rows = json.loads(said(capsys, "ls", what, "--format", "json")[0])
    counts = {"models": 1, "machines": 1, "cells": 2, "runs": 2}
    assert len(rows) == counts[what]


def test_a_long_list_of_levels_is_cut_for_people_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    levels = ("fp32", "int2", "int4", "int4-b128", "int8", "int8-block")
    rows = [one for level in levels for one in records_of(100, level=level)]
    write_runs(tmp_path / "results", [run_of(0, *rows)])
    said(capsys, "add", "-q")
    assert "fp32, int2, int4, int4-b128 and 2 more" in said(capsys, "ls", "--wide")[0]
    (row,) = json.loads(said(capsys, "ls", "--format", "json")[0])
    assert row["levels"] == ", ".join(levels)


def test_a_statement_is_answered_in_every_format(place, capsys):
    statement = "select cell, value from measured where metric = 'decode_tok_s' order by value"
    out, _ = said(capsys, "query", statement, "--format", "jsonl")
    assert [json.loads(line)["value"] for line in out.splitlines()] == [100.0, 101.0]
    out, _ = said(capsys, "query", statement, "--format", "csv")
    assert out.splitlines()[0] == "cell,value"
    out, _ = said(capsys, "query", statement)
    assert "smollm2-135m/int4/cpu/ort/t2/b1/tg32 @ d0" in out
    assert said(capsys, "query", "select 1 a where false", "--format", "csv")[0] == "a\n"
    assert said(capsys, "query", "select 1 a where false", "--format", "json")[0] == "[]\n"


def test_values_of_every_kind_are_json(place, capsys):
    kinds = (
        "select timestamp '2026-11-29 01:02:03' t, date '2026-11-29' d, 1.5::decimal(4,2) n,"
        " [1, 2] l, {'a': 1} s, map {'k': 'v'} m, 'x'::blob b, interval 1 day i, uuid() u,"
        " 'nan'::double f, null z, true y, 170141183460469231731687303715884105727 h"
    )
    out, _ = said(capsys, "query", kinds, "--format", "json")
    (row,) = json.loads(out)
    row.pop("u")
    assert row == {
        "t": "2026-11-29T01:02:03",
        "d": "2026-11-29",
        "n": 1.5,
        "l": [1, 2],
        "s": {"a": 1},
        "m": {"k": "v"},
        "b": "eA==",
        "i": "1 day, 0:00:00",
        "f": None,
        "z": None,
        "y": True,
        "h": 170141183460469231731687303715884105727,
    }


def test_names_in_an_answer_act_on_nothing(place, capsys):
    out, _ = said(capsys, "query", "select chr(27) || '[31m|<b>' as \"=x\"", "--format", "md")
    assert "\x1b" not in out
    assert "<b>" not in out


@pytest.mark.parametrize("statement", SQL)
def test_every_statement_of_the_page_runs(place, capsys, statement):
    said(capsys, "query", statement)


def test_the_page_has_statements():
    assert len(SQL) >= 2


def test_without_a_statement_the_tables_are_listed(capsys, tmp_path, monkeypatch):
    """No index is needed to read what one holds."""
    monkeypatch.chdir(tmp_path)
    rows = json.loads(said(capsys, "query", "--format", "json")[0])
    assert {"runs", "machines", "packages", "cells", "records", "measured", "trends"} <= {
        row["table"] for row in rows
    }


def test_tables_become_parquet_files(place, capsys):
    out, _ = said(capsys, "export", "--parquet", "out")
    assert "out/measured.parquet" in out.splitlines()
    assert (place / "out" / "measured.parquet").is_file()


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (("ls", "--db", "none.duckdb"), EXIT_USAGE, "there is no history at none.duckdb"),
        (("ls", "--db", "text.duckdb"), EXIT_STORAGE, "text.duckdb is no history of bench"),
        (("ls", "weeks"), EXIT_USAGE, "'weeks' is none of its words"),
        (("add", "none"), EXIT_USAGE, "none is neither a file nor a folder"),
        (("add", "--commit", "-x"), EXIT_USAGE, "--commit '-x' is no commit"),
        (("query", "delete from runs"), EXIT_USAGE, "the query is DELETE"),
        (("query", "select x"), EXIT_USAGE, 'Referenced column "x"'),
        (("query", "select 1", "--timeout", "soon"), EXIT_USAGE, "--timeout"),
        (("query", "select 1", "--rows", "-1"), EXIT_USAGE, "--rows"),
    ],
)
def test_bad_input_is_two_lines(place, capsys, words, code, problem):
    (place / "text.duckdb").write_text("no database")
    _, err = said(capsys, *words, code=code)
    assert problem in err
    assert err.count("\n") == 2
    assert "\n  try: " in err


def test_a_folder_without_results_makes_an_empty_history(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, err = said(capsys, "add", code=EXIT_USAGE)
    assert "there is no folder results" in err
    (tmp_path / "results").mkdir()
    assert said(capsys, "add")[0].startswith("0 runs with 0 records added")
    assert "0 runs, 0 records, 0 cells on 0 machines" in said(capsys, "ls")[0]


def test_the_missing_extra_is_one_message(place, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    for words in (("add",), ("ls",), ("query", "select 1"), ("export", "--parquet", "p")):
        _, err = said(capsys, *words, code=EXIT_DEVICE)
        assert err.endswith("try: pip install 'ondevice-bench[history]'\n")


def test_a_commit_of_the_repository_has_its_date(place, capsys):
    git = [
        "git",
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@example.org",
        "-c",
        "init.defaultBranch=m",
    ]
    try:
        subprocess.run([*git, "init", "-q"], check=True, cwd=place)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    when = {"GIT_COMMITTER_DATE": "2026-08-01T10:00:00+02:00", "PATH": __import__("os").defpath}
    subprocess.run(
        [*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True, cwd=place, env=when
    )
    write_runs(place / "more", [run_of(9, *records_of(90))])
    said(capsys, "add", "more", "--commit", "HEAD")
    rows, _ = said(
        capsys, "query", "select commit_utc from runs where commit = 'HEAD'", "--format", "csv"
    )
    assert rows.splitlines()[1] == "2026-08-01T08:00:00"
