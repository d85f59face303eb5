"""Series of an index: by words of a cell, apart by machine and method, in an order."""

from pathlib import Path

import pytest

from harness.core.errors import UsageError
from harness.history.adding import add_files
from harness.history.database import reading
from harness.history.series import Better, Order
from harness.history.sources import find_sources
from harness.history.trends import Found, Wanted, find_series, words_of
from tests.history.made_runs import records_of, run_of, write_runs

pytest.importorskip("duckdb")


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trends")
    runs = [
        run_of(0, *records_of(100), onnxruntime="1.31.1"),
        run_of(1, *records_of(101), onnxruntime="1.9.0"),
        run_of(2, *records_of(102), *records_of(50, level="fp32"), onnxruntime="1.32.0"),
        run_of(3, *records_of(80), machine="Intel Xeon"),
    ]
    write_runs(folder / "r", runs)
    path = folder / "history.duckdb"
    add_files(path, find_sources((folder / "r",)), lambda path: run_of(0))
    return path


def series(index: Path, words: str = "", by: Order = Order.DATE, **wanted: str) -> Found:
    with reading(index) as connection:
        return find_series(connection, Wanted(words, **wanted), by)


def values(found: Found) -> list[list[float]]:
    return [[point.value for point in one.points] for one in found.series]


def test_words_of_a_cell_choose_it_and_its_rate_is_the_metric(index):
    found = series(index, "int4 tg32", machine="AMD")
    assert values(found) == [[100.0, 101.0, 102.0]]
    (one,) = found.series
    assert (one.metric, one.unit, one.better) == ("decode_tok_s", "tok/s", Better.MORE)
    assert one.cell == "smollm2-135m/int4/cpu/ort/t2/b1/tg32 @ d0"
    assert found.series == series(index, one.cell, machine="AMD").series
    assert [point.version("onnxruntime") for point in one.points] == ["1.31.1", "1.9.0", "1.32.0"]


def test_two_machines_are_two_series(index):
    found = series(index, "int4 tg32")
    assert sorted(values(found)) == [[80.0], [100.0, 101.0, 102.0]]
    assert sorted(found.machines.values()) == [
        "AMD EPYC, 2 cores, 24 GiB",
        "Intel Xeon, 2 cores, 24 GiB",
    ]


def test_by_onnxruntime_versions_follow_each_other_as_versions(index):
    assert values(series(index, "int4 tg32", Order.ONNXRUNTIME, machine="AMD")) == [
        [101.0, 100.0, 102.0]
    ]


def test_another_metric_by_its_short_name(index):
    (one,) = series(index, "int4 tg32", metric="peak", machine="Xeon").series
    assert (one.metric, one.better) == ("peak_rss_bytes", Better.LESS)
    assert one.points[0].low is None


def test_since_leaves_older_runs_out(index):
    assert values(series(index, "int4 tg32", since="2026-09-02", machine="AMD")) == [[101.0, 102.0]]


@pytest.mark.parametrize(
    ("words", "wanted", "said"),
    [
        ("int5", {}, "no cell of the history has 'int5' in its name"),
        ("fp32 tg33", {}, "'tg33'"),
        ("", {"metric": "speed"}, "no metric is called 'speed'"),
        ("", {"machine": "M4"}, "no machine of the history is called 'M4'"),
        ("int4 tg32", {"metric": "kld"}, "these cells have no kld_nats"),
        ("fp32 tg32", {"machine": "Xeon"}, "nothing that counts was measured"),
        ("int4", {"since": "2030-01-01"}, "since 2030-01-01"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(index, words, wanted, said):
    with pytest.raises(UsageError, match="|".join([said])) as found:
        series(index, words, **wanted)
    assert found.value.fix


def test_points_of_an_older_method_stand_in_no_series(tmp_path):
    runs = [run_of(0, *records_of(100), method=1), run_of(1, *records_of(120), method=2)]
    write_runs(tmp_path / "r", runs)
    index = tmp_path / "h.duckdb"
    add_files(index, find_sources((tmp_path / "r",)), lambda path: runs[0])
    found = series(index, "int4 tg32")
    assert values(found) == [[120.0]]
    assert found.left_out[0].endswith("stand in no series: 1")


def test_an_index_without_records_says_so(tmp_path):
    index = tmp_path / "h.duckdb"
    (tmp_path / "empty").mkdir()
    add_files(index, find_sources((tmp_path / "empty",)), lambda path: run_of(0))
    with pytest.raises(UsageError, match="holds no record"):
        series(index)


def test_words_of_a_name():
    assert words_of("m/int4/cpu/ort/t2/b1/tg32 @ d0") == (
        *("m", "int4", "cpu", "ort", "t2", "b1", "tg32", "d0"),
    )
