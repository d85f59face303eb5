"""Fault: results documents with one run id, and documents of any size.

What must remain true: two files of one run are listed apart and never compared as two runs; a
document of 100 MB is read; what is larger than any run writes is refused by its size, unread.
"""

import json
import lzma
import os
from pathlib import Path

import pytest
from msgspec import structs

from harness.cli.main import main
from harness.core.errors import EXIT_OK, EXIT_STORAGE, EXIT_USAGE, StorageError
from harness.results.bounds import MOST_FILE_BYTES
from harness.results.document import decode_document, encode_document, read_document

REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference" / "default.json"
MB_100 = 100_000_000


@pytest.fixture
def twins(tmp_path):
    """A run, and another file under its id, whose records are other ones."""
    document = decode_document(REFERENCE.read_bytes())
    paths = [tmp_path / "run-a.json", tmp_path / "run-b.json"]
    paths[0].write_bytes(REFERENCE.read_bytes())
    paths[1].write_bytes(encode_document(structs.replace(document, records=document.records[:2])))
    return paths


def test_two_files_of_one_run_are_told_apart(twins, capsys):
    assert main(["results", str(twins[0].parent), "--format", "json"]) == EXIT_OK
    rows = json.loads(capsys.readouterr().out)
    assert {(row["file"], row["rows"]) for row in rows} == {("run-a.json", 6), ("run-b.json", 2)}


@pytest.mark.parametrize("as_folder", [False, True])
def test_two_files_of_one_run_are_no_comparison(twins, as_folder, capsys):
    sides = [str(twins[0].parent), str(REFERENCE)] if as_folder else list(map(str, twins))
    assert main(["compare", *sides]) == EXIT_USAGE
    told = capsys.readouterr()
    run_id = read_document(twins[0]).run_id
    assert f"{run_id} is given {2 + as_folder} times" in told.err
    assert told.out == ""


@pytest.mark.slow
def test_a_document_of_100_mb_is_read(tmp_path, capsys):
    """Its last records among them."""
    document = decode_document(REFERENCE.read_bytes())
    whole = encode_document(document)
    path = tmp_path / "run-x.json"
    path.write_bytes(b" " * (MB_100 - len(whole)) + whole)
    assert path.stat().st_size == MB_100
    assert main(["report", str(path), "--format", "json"]) == EXIT_OK
    assert len(json.loads(capsys.readouterr().out)["records"]) == len(document.records)


@pytest.mark.parametrize("name", ["run-x.json", "run-x.journal.jsonl", "ab-x.jsonl"])
def test_a_file_that_no_run_writes_is_refused_by_its_size(name, tmp_path, capsys):
    """Sparse, so that it costs no disk; whoever read it would take all memory."""
    path = tmp_path / name
    path.touch()
    os.truncate(path, MOST_FILE_BYTES + 1)
    for asked in (["report"], ["explain"], ["verify"], ["compare", str(REFERENCE)]):
        assert main([*asked, str(path)]) == EXIT_STORAGE, asked
        told = capsys.readouterr()
        assert "GiB" in told.err + told.out, asked
    assert main(["results", str(tmp_path), "--format", "json"]) == EXIT_OK
    assert [row["ended"] for row in json.loads(capsys.readouterr().out)] == ["damaged"]


def test_a_compressed_document_is_the_one_that_was_compressed(tmp_path):
    stored = Path(__file__).parents[2] / "results" / "validation" / "again.json.xz"
    plain = tmp_path / "again.json"
    plain.write_bytes(lzma.decompress(stored.read_bytes()))
    assert read_document(stored) == read_document(plain)


@pytest.mark.parametrize("content", [b"{}", lzma.compress(b"{}")[:-9]])
def test_a_document_whose_compression_is_damaged_is_named(tmp_path, content):
    path = tmp_path / "run.json.xz"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"run.json.xz"):
        read_document(path)
