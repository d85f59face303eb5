"""Steps in the index: those that are found anew, kept while their series stays the same."""

import pytest

from harness.history import votes
from harness.history.adding import add_files
from harness.history.database import reading
from harness.history.series import Order
from harness.history.sources import find_sources
from harness.history.steps import find_steps
from harness.history.trends import Wanted, find_series
from harness.history.votes import kept_steps
from tests.history.made_runs import records_of, run_of, slowed, write_runs

pytest.importorskip("duckdb")
pytest.importorskip("ruptures")


def add(folder, index):
    return add_files(index, find_sources((folder,)), lambda path: run_of(0))


def found(index, by: Order = Order.DATE):
    with reading(index) as connection:
        (one,) = find_series(connection, Wanted("int4 tg32"), by).series
        return one, kept_steps(connection, one)


def asked(index, statement):
    with reading(index) as connection:
        return connection.execute(statement).fetchall()


def test_kept_steps_are_those_that_are_found(tmp_path):
    index = tmp_path / "h.duckdb"
    write_runs(tmp_path / "r", slowed())
    add(tmp_path / "r", index)
    series, kept = found(index)
    assert kept == find_steps(series)
    assert len(kept) == 1
    assert found(index, Order.ONNXRUNTIME)[1] == kept  # the same points in the same order


def test_a_series_that_grew_is_looked_at_again_and_the_old_one_forgotten(tmp_path):
    index = tmp_path / "h.duckdb"
    write_runs(tmp_path / "r", slowed(14))
    add(tmp_path / "r", index)
    assert found(index)[1] == ()
    write_runs(tmp_path / "r", slowed())
    add(tmp_path / "r", index)
    assert len(found(index)[1]) == 1
    assert asked(index, "SELECT count(*) FROM stored.votes") == [(2,)]


def test_a_part_of_a_series_is_another_one(tmp_path):
    index = tmp_path / "h.duckdb"
    write_runs(tmp_path / "r", slowed())
    add(tmp_path / "r", index)
    with reading(index) as connection:
        (one,) = find_series(connection, Wanted("int4 tg32", since="2026-09-05")).series
        assert kept_steps(connection, one) is None


def test_steps_can_be_asked_for(tmp_path):
    index = tmp_path / "h.duckdb"
    runs = slowed()
    write_runs(tmp_path / "r", runs)
    add(tmp_path / "r", index)
    rows = asked(index, "SELECT metric, run_id, is_worse, is_confirmed FROM steps ORDER BY metric")
    assert rows == [
        ("decode_tok_s", runs[14].run_id, True, True),
        ("prefill_tok_s", runs[14].run_id, True, True),
    ]


def test_nothing_new_looks_for_nothing(tmp_path, monkeypatch):
    index = tmp_path / "h.duckdb"
    write_runs(tmp_path / "r", [run_of(day, *records_of(100)) for day in range(2)])
    add(tmp_path / "r", index)
    monkeypatch.setattr(votes, "find_steps", None)
    assert add(tmp_path / "r", index).known == 2
