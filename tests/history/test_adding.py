"""Files into the index: once each, whole runs, what is damaged named."""

import json
import os
from pathlib import Path

import pytest
from msgspec import structs

from harness.core.errors import ResultFormatError, StorageError, UsageError
from harness.history.adding import add_files
from harness.history.database import Commit, reading, remove_index, writing
from harness.history.reading import decode_outline
from harness.history.rows import IDENTITY
from harness.history.sources import find_sources
from harness.history.tables import INDEX_VERSION, STORED
from harness.results.bounds import MOST_FILE_BYTES
from harness.results.document import encode_document, read_document
from harness.results.merged import joined
from harness.results.schema import Cell, Document
from harness.results.validity import why_left_out
from tests.history.made_runs import invalid, records_of, run_of, write_runs
from tests.report.report_documents import failed

pytest.importorskip("duckdb")
ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "results" / "reference"


def add(index: Path, *paths: Path, commit: Commit | None = None):
    return add_files(index, find_sources(paths), no_journal, commit)


def no_journal(path: Path) -> Document:
    raise AssertionError(path)


def asked(index: Path, statement: str):
    with reading(index) as connection:
        return connection.execute(statement).fetchall()


@pytest.fixture
def index(tmp_path):
    return tmp_path / "history.duckdb"


def test_committed_documents_are_indexed_value_for_value(index):
    """Every metric of every record that counts, with its ends, as the document says it."""
    path = REFERENCE / "default.json"
    done = add(index, path)
    assert (done.runs, done.damaged, done.others) == (1, (), ())
    document = read_document(path)
    expected = {
        (record.cell.level, record.cell.workload, name): (one.value, one.low, one.high)
        for record in document.records
        if why_left_out(record) is None
        for name, one in record.metrics.items()
        if one.value is not None
    }
    found = asked(index, "SELECT level, workload, metric, value, low, high FROM measured")
    assert {tuple(row[:3]): tuple(row[3:]) for row in found} == expected
    assert len(found) == len(expected)


def test_a_file_larger_than_any_run_is_refused_unread(index, tmp_path):
    huge = tmp_path / "huge.json"
    huge.touch()
    os.truncate(huge, MOST_FILE_BYTES + 1)
    done = add(index, huge, REFERENCE / "default.json")
    assert done.runs == 1
    ((name, why),) = done.damaged
    assert name == str(huge)
    assert "no run writes more than 1 GiB" in why


def test_an_estimate_stands_beside_what_was_measured(index):
    add(index, REFERENCE / "default.json")
    ((estimate,),) = asked(
        index,
        "SELECT estimate FROM measured WHERE metric = 'decode_tok_s' AND level = 'int4'"
        " AND workload = 'tg32 @ d0'",
    )
    (record,) = (
        one
        for one in read_document(REFERENCE / "default.json").records
        if (one.cell.level, one.cell.workload) == ("int4", "tg32 @ d0")
    )
    assert estimate == record.estimates["decode_tok_s"]["calibrated"]


def test_adding_again_changes_nothing(index, tmp_path):
    """By size and time of the file; under another name by its content."""
    paths = write_runs(tmp_path / "a", [run_of(day, *records_of(100)) for day in range(3)])
    assert add(index, tmp_path / "a").runs == 3
    again = add(index, tmp_path / "a")
    assert (again.runs, again.known) == (0, 3)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "copy.json").write_bytes(paths[0].read_bytes())
    copied = add(index, tmp_path / "b")
    assert (copied.runs, copied.known) == (0, 1)
    assert asked(index, "SELECT count(*) FROM runs") == [(3,)]


def test_what_is_no_document_is_named_and_the_rest_is_added(index, tmp_path):
    """Cut in the middle, another checksum, a newer version, other JSON; all beside a good one."""
    (good,) = write_runs(tmp_path / "r", [run_of(0, *records_of(100))])
    whole = good.read_bytes()
    (tmp_path / "r" / "cut.json").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "r" / "flipped.json").write_bytes(whole.replace(b'"int4"', b'"int8"', 1))
    (tmp_path / "r" / "newer.json").write_bytes(
        json.dumps({**json.loads(whole), "schema_version": 99}).encode()
    )
    (tmp_path / "r" / "empty.json").write_bytes(b"")
    (tmp_path / "r" / "other.json").write_text('{"a": 1}')
    (tmp_path / "r" / "ab-20261122-1.jsonl").write_text("{}\n")
    done = add(index, tmp_path / "r")
    assert done.runs == 1
    named = {Path(path).name: why for path, why in (*done.damaged, *done.others)}
    assert named.keys() == {
        *("cut.json", "flipped.json", "newer.json", "empty.json", "other.json"),
        "ab-20261122-1.jsonl",
    }
    assert {Path(path).name for path, _ in done.damaged} == {
        "cut.json",
        "flipped.json",
        "newer.json",
    }
    assert "no complete JSON" in named["cut.json"]
    assert "checksum" in named["flipped.json"]
    assert "newer than" in named["newer.json"]


def test_a_file_that_was_named_and_is_no_document_is_damage(index, tmp_path):
    """In a folder other JSON is passed over; a file that somebody typed was meant."""
    (tmp_path / "other.json").write_text('{"a": 1}')
    done = add(index, tmp_path / "other.json")
    assert "does not say that it is" in done.damaged[0][1]


def test_words_that_are_nothing_are_refused(tmp_path):
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        find_sources((tmp_path / "none",))


def test_records_that_do_not_count_have_no_values_and_say_why(index, tmp_path):
    one, other = records_of(100)
    write_runs(tmp_path / "r", [run_of(0, invalid(one), other, failed("pg8+8", "died; try: x"))])
    add(index, tmp_path / "r")
    rows = dict(asked(index, "SELECT cell, left_out FROM records"))
    left = {cell.rpartition("/")[2]: why for cell, why in rows.items()}
    assert left == {"tg32 @ d0": "INVALID", "pp128 @ d0": None, "pg8+8 @ d0": "crashed"}
    cells = asked(index, "SELECT DISTINCT workload FROM measured")
    assert cells == [("pp128 @ d0",)]


def test_of_two_files_of_a_run_the_one_that_says_more_stays_in_any_order(tmp_path):
    """A resumed run's document replaces its older one, also when the older is added later."""
    whole = run_of(0, *records_of(100))
    part = structs.replace(whole, records=whole.records[:1])
    write_runs(tmp_path / "part", [part])
    write_runs(tmp_path / "whole", [whole])
    for order in (("part", "whole"), ("whole", "part")):
        index = tmp_path / f"{order[0]}.duckdb"
        done = [add(index, tmp_path / name) for name in order]
        assert [one.superseded for one in done] == [0, 1]
        assert asked(index, "SELECT count(*) FROM records") == [(2,)]
        assert asked(index, "SELECT records, counted FROM runs") == [(2, 2)]
        assert asked(index, "SELECT count(DISTINCT cell) FROM measured") == [(2,)]


@pytest.mark.parametrize("name", ["a-merged.json", "z-merged.json"])
def test_a_merged_document_is_its_runs_each_of_which_counts_once(index, tmp_path, name):
    """Whether it lies alone, before, or behind the results that it was made of."""
    runs = [run_of(day, *records_of(100.0 + day)) for day in (0, 1)]
    merged = joined([*runs, run_of(2, *records_of(90.0))], "merge-1")
    write_runs(tmp_path / "r", runs)
    (tmp_path / "r" / name).write_bytes(encode_document(merged))
    done = add(index, tmp_path / "r")
    assert (done.damaged, done.runs, done.superseded) == ((), 3, 0 if name > "r" else 2)
    assert asked(index, "SELECT count(*), count(DISTINCT run_id) FROM runs") == [(3, 3)]
    assert asked(index, "SELECT count(*) FROM records") == [(6,)]
    assert add(index, tmp_path / "r").runs == 0


def test_both_files_of_a_run_in_one_folder_give_one_run(index, tmp_path):
    whole = run_of(0, *records_of(100))
    write_runs(tmp_path / "r" / "1", [structs.replace(whole, records=whole.records[:1])])
    write_runs(tmp_path / "r" / "2", [whole])
    done = add(index, tmp_path / "r")
    assert (done.runs, done.superseded) == (1, 1)
    assert asked(index, "SELECT count(*) FROM records") == [(2,)]


def test_the_journal_of_a_killed_run_is_taken_until_its_document_is_there(index, tmp_path):
    run = run_of(0, *records_of(100))
    journal = tmp_path / "r" / f"{run.run_id}.journal.jsonl"
    journal.parent.mkdir()
    journal.write_bytes(b"lines of it")
    part = structs.replace(run, records=run.records[:1])
    done = add_files(index, find_sources((tmp_path / "r",)), lambda path: part)
    assert (done.runs, done.records) == (1, 1)
    write_runs(tmp_path / "r", [run])
    done = add(index, tmp_path / "r")
    assert (done.runs, done.superseded, done.records) == (0, 1, 2)
    assert asked(index, "SELECT records FROM runs") == [(2,)]


def test_a_commit_is_that_of_new_runs_alone(index, tmp_path):
    write_runs(tmp_path / "a", [run_of(0, *records_of(100))])
    add(index, tmp_path / "a", commit=Commit("1a2b", "2026-08-30T12:00:00+02:00"))
    write_runs(tmp_path / "a", [run_of(1, *records_of(100))])
    add(index, tmp_path / "a", commit=Commit("3c4d"))
    rows = asked(index, "SELECT commit, CAST(commit_utc AS VARCHAR) FROM runs ORDER BY created_utc")
    assert rows == [("1a2b", "2026-08-30 10:00:00"), ("3c4d", None)]


def test_an_index_that_is_built_anew_keeps_commits_and_paths(index, tmp_path):
    write_runs(tmp_path / "a", [run_of(0, *records_of(100))])
    add(index, tmp_path / "a", commit=Commit("1a2b", "2026-08-30T12:00:00+00:00"))
    labels = remove_index(index)
    assert not index.exists()
    assert [Path(path).name for path in labels.paths] == [f"{run_of(0).run_id}.json"]
    add_files(index, find_sources((tmp_path / "a",)), no_journal, None, labels.commits)
    assert asked(index, "SELECT commit FROM runs") == [("1a2b",)]


def test_machines_are_told_apart_by_what_they_are_not_by_their_state(index, tmp_path):
    """Another governor, kernel or a little more memory is the same machine; other cores are not."""
    runs = [
        run_of(0, *records_of(100)),
        run_of(1, *records_of(100), governor="powersave", kernel="6.1"),
        run_of(2, *records_of(100), machine="Intel Xeon"),
    ]
    write_runs(tmp_path / "r", runs)
    add(index, tmp_path / "r")
    assert asked(index, "SELECT name, runs FROM machines ORDER BY runs") == [
        ("Intel Xeon, 2 cores, 24 GiB", 1),
        ("AMD EPYC, 2 cores, 24 GiB", 2),
    ]


def test_cells_of_one_name_and_two_providers_stay_apart(index, tmp_path):
    """`gpu` served by another provider is another line of a trend."""
    first, second = (records_of(100, device="gpu", provider=name)[0] for name in ("CUDA", "WebGPU"))
    write_runs(tmp_path / "r", [run_of(0, first), run_of(1, second)])
    add(index, tmp_path / "r")
    names = [row[0] for row in asked(index, "SELECT cell FROM cells ORDER BY cell")]
    assert names[1].startswith(f"{names[0]} [WebGPU, ")


def test_names_from_files_are_text(index, tmp_path):
    """Quotes, zero bytes and line feeds of a model's name reach the index as text."""
    name = "m'); DROP TABLE runs; --\x00\n\"x"
    write_runs(tmp_path / "r", [run_of(0, *records_of(100, model=name))])
    assert add(index, tmp_path / "r").damaged == ()
    rows = asked(index, "SELECT DISTINCT model FROM cells")
    assert rows == [(name.replace("\0", "\\x00"),)]


def test_a_time_that_is_none_is_damage(index, tmp_path):
    made = structs.replace(run_of(0, *records_of(100)), created_utc="yesterday")
    write_runs(tmp_path / "r", [made])
    assert "'yesterday' is no time" in add(index, tmp_path / "r").damaged[0][1]


def test_a_foreign_file_is_never_changed(tmp_path):
    import duckdb

    text = tmp_path / "notes.duckdb"
    text.write_text("not a database at all")
    other = tmp_path / "other.duckdb"
    with duckdb.connect(str(other)) as connection:
        connection.execute("CREATE TABLE mine (a INTEGER)")
    for path in (text, other):
        before = path.read_bytes()
        for use in (writing, reading):
            with pytest.raises(ResultFormatError, match="no history of bench"), use(path):
                pass
        with pytest.raises(ResultFormatError):
            remove_index(path)
        assert path.read_bytes() == before


def test_an_index_of_another_version_says_how_it_is_built_anew(index, tmp_path):
    write_runs(tmp_path / "r", [run_of(0, *records_of(100))])
    add(index, tmp_path / "r")
    with writing(index) as connection:
        connection.execute(f"UPDATE {STORED}.about SET version = {INDEX_VERSION + 1}")
    with pytest.raises(ResultFormatError) as found, reading(index):
        pass
    assert "--rebuild" in found.value.fix
    assert remove_index(index).paths


def test_a_second_process_is_told_that_the_index_is_in_use(index, tmp_path):
    """DuckDB keeps one writer; another process gets a sentence. In one process a thread waits."""
    import subprocess
    import sys

    write_runs(tmp_path / "r", [run_of(0, *records_of(100))])
    add(index, tmp_path / "r")
    script = (
        "import sys, pathlib\nfrom harness.history.database import writing\n"
        "from harness.core.errors import StorageError\n"
        "try:\n    with writing(pathlib.Path(sys.argv[1])): pass\n"
        "except StorageError as error: print(error.problem)\n"
    )
    with writing(index):
        done = subprocess.run(
            [sys.executable, "-c", script, str(index)], capture_output=True, text=True, check=True
        )
    assert "is in use" in done.stdout


@pytest.mark.parametrize("harm", ["cut", "header", "blocks"])
def test_a_damaged_index_says_how_it_is_built_anew(index, tmp_path, harm):
    """Never that it is in use, and never a traceback."""
    write_runs(tmp_path / "r", [run_of(day, *records_of(100)) for day in range(3)])
    add(index, tmp_path / "r")
    content = bytearray(index.read_bytes())
    if harm == "cut":
        del content[len(content) // 2 :]
    elif harm == "header":
        content[20] ^= 255
    else:
        for place in range(5000, len(content), 4001):
            content[place] ^= 255
    index.write_bytes(content)
    with pytest.raises(StorageError, match=r"cannot be (opened|used)") as found:
        asked(index, "SELECT sum(value) FROM measured")
    assert "\n" not in found.value.problem
    assert "bench history add results" in found.value.fix


def test_an_outline_is_the_document_without_its_samples():
    """What is read quickly says the same as what is read in full."""
    document = run_of(0, *records_of(100))
    quick = decode_outline(encode_document(document))
    assert [one.metrics for one in quick.records] == [one.metrics for one in document.records]
    assert [one.cell for one in quick.records] == [one.cell for one in document.records]
    assert quick.environment.packages == document.environment.packages
    assert (quick.run_id, quick.created_utc) == (document.run_id, document.created_utc)


def test_a_value_below_zero_is_refused_as_everywhere():
    record = records_of(100)[0]
    bad = structs.replace(
        record,
        metrics={"decode_tok_s": structs.replace(record.metrics["decode_tok_s"], value=-1.0)},
    )
    with pytest.raises(ResultFormatError, match="below 0"):
        decode_outline(encode_document(run_of(0, bad)))


def test_every_field_of_a_cell_is_part_of_its_identity():
    """A field that a later version adds must not merge cells that it tells apart."""
    printed = {"level_label", "active_parameters"}
    assert {*IDENTITY} - {"hardware"} == {*Cell.__struct_fields__} - printed
