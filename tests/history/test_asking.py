"""Statements: those that read are answered, every other is refused before it does anything."""

from pathlib import Path

import pytest

from harness.core.errors import UsageError
from harness.history.adding import add_files
from harness.history.asking import TABLES, ask, described
from harness.history.blessings import Blessing
from harness.history.database import reading
from harness.history.exporting import export_parquet
from harness.history.sources import find_sources
from harness.history.tables import VIEWS
from tests.history.made_runs import records_of, run_of, write_runs

duckdb = pytest.importorskip("duckdb")
ACCEPTED = Blessing(
    id="1a2b3c4d",
    cell="c",
    metric="decode_tok_s",
    machine="m",
    run_id="r",
    is_worse=True,
    reason="longer chunks",
    date="2026-11-29",
)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asked")
    write_runs(folder / "r", [run_of(day, *records_of(100 + day)) for day in range(3)])
    path = folder / "history.duckdb"
    add_files(path, find_sources((folder / "r",)), lambda path: run_of(0))
    return path


def answer(index: Path, statement: str, most_rows: int = 100, timeout_s: float = 60.0):
    return ask(index, [ACCEPTED], statement, most_rows, timeout_s)


def test_a_statement_is_answered(index):
    found = answer(index, "select value, ratio from trends where metric = 'decode_tok_s'")
    assert found.columns == ("value", "ratio")
    assert [row[0] for row in found.rows] == [100.0, 101.0, 102.0]
    assert [row[1] for row in found.rows] == [None, 1.01, 102.0 / 101.0]
    assert not found.is_cut


def test_rows_are_cut_where_there_are_more(index):
    found = answer(index, "select 1 from range(11)", most_rows=10)
    assert (len(found.rows), found.is_cut) == (10, True)
    assert not answer(index, "select 1 from range(10)", most_rows=10).is_cut
    assert len(answer(index, "select 1 from range(11)", most_rows=0).rows) == 11


def test_a_name_of_two_columns_stands_once(index):
    assert answer(index, "select 1 as a, 2 as a, 3 as a_1").columns == ("a", "a_1", "a_1_1")


def test_blessings_can_be_asked_for(index):
    found = answer(index, "select id, reason, date, commit from blessings")
    assert found.rows[0][:2] == ("1a2b3c4d", "longer chunks")
    assert found.rows[0][3] is None


WRITES = (
    "insert into stored.about values ('x', 1)",
    "delete from stored.records",
    "update stored.documents set commit = 'x'",
    "drop view runs",
    "create table mine as select 1",
    "create temp table mine as select 1",
    "copy (select 1) to 'out.csv'",
    "attach 'other.duckdb'",
    "set memory_limit = '100GB'",
    "pragma enable_profiling",
    "install httpfs",
    "load httpfs",
    "export database 'out'",
    "checkpoint",
    "call pragma_version()",
    "select 1; delete from stored.records",
    "explain analyze delete from stored.records",
    "",
    "-- nothing",
)


@pytest.mark.parametrize("statement", WRITES)
def test_a_statement_that_does_more_than_read_is_refused(index, statement, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = index.read_bytes()
    with pytest.raises(UsageError):
        answer(index, statement)
    assert index.read_bytes() == before
    assert list(tmp_path.iterdir()) == []


REACHES = (
    "select * from read_text('{file}')",
    "select * from read_csv('{file}')",
    "select * from '{file}'",
    "select * from read_json('https://example.org/a.json')",
    "select * from glob('{folder}/*')",
    "select * from query('copy (select 1) to ''x.csv''')",
)


@pytest.mark.parametrize("statement", REACHES)
def test_a_statement_reaches_no_other_file_and_no_network(index, statement, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with pytest.raises(UsageError, match="the query cannot run"):
        answer(index, statement.format(file=secret, folder=tmp_path))


def test_an_error_is_one_line_with_what_duckdb_proposes(index):
    with pytest.raises(UsageError) as found:
        answer(index, "select machin from runs")
    assert "\n" not in found.value.problem
    assert "machin" in found.value.problem
    assert "machine" in found.value.fix
    with pytest.raises(UsageError) as found:
        answer(index, "selec 1")
    assert found.value.fix == TABLES


def test_a_statement_that_takes_too_long_is_ended(index):
    endless = "select sum(a.range * b.range) from range(100000000) a, range(100000000) b"
    with pytest.raises(UsageError, match=r"longer than 0\.2 s"):
        answer(index, endless, timeout_s=0.2)


def test_a_statement_that_needs_too_much_memory_is_refused(index):
    """It is neither spilled to the disk nor given more."""
    large = "select list(repeat(range::varchar, 200)) from range(100000000)"
    with pytest.raises(UsageError, match=r"memory|longer"):
        answer(index, large, timeout_s=30)


def test_the_documented_tables_are_those_of_the_index(index):
    """Name for name, in the order of `select *`; docs/history.md is drawn from the same."""
    with reading(index) as connection:
        for view in VIEWS:
            if view.sql:
                found = connection.execute(f"SELECT * FROM {view.name} LIMIT 0").description
                assert [column[0] for column in found] == list(view.columns), view.name
    assert list(answer(index, "select * from blessings").columns) == list(VIEWS[-1].columns)
    assert len(described()) == sum(1 + len(view.columns) for view in VIEWS)


def test_parquet_holds_every_table(index, tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "mine.txt").write_text("stays")
    written = export_parquet(index, [ACCEPTED], tmp_path / "p")
    assert [path.name for path in written] == [f"{view.name}.parquet" for view in VIEWS]
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == sorted(
        [*(path.name for path in written), "mine.txt"]
    )
    for view in VIEWS:
        rows = duckdb.sql(f"select * from '{tmp_path}/p/{view.name}.parquet'").fetchall()
        assert len(rows) == len(answer(index, f"select * from {view.name}", 0).rows), view.name


def test_a_folder_that_cannot_be_written_is_told(index, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="cannot be written"):
        export_parquet(index, [], tmp_path / "file")
