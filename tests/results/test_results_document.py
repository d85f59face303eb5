"""The results document: what was written comes back, all else is refused in one sentence."""

import errno
import json
import os

import pytest

from harness.core.errors import ResultFormatError, StorageError
from harness.results.document import (
    decode_document,
    encode_document,
    is_document,
    read_document,
    write_document,
)
from harness.results.schema import SCHEMA_VERSION, Record, Trust
from harness.results.upgrade import upgrade
from tests.results.results_samples import cell, document, record, unchecked


@pytest.fixture
def path(tmp_path):
    write_document(document(record(), record()), tmp_path / "run.json")
    return tmp_path / "run.json"


def test_a_document_comes_back_as_it_was(path):
    assert read_document(path) == document(record(), record())


@pytest.mark.parametrize(("level", "cache"), [("int4", "fp32"), ("fp16", "fp16")])
def test_a_document_from_before_caches_has_those_of_its_levels(level, cache):
    table = json.loads(unchecked(encode_document(document(record()))))
    old = table["records"][0]["cell"]
    del old["kv_cache"]
    old["level"] = level
    (read,) = decode_document(json.dumps(table).encode()).records
    assert read.cell.kv_cache == cache
    assert read.cell.has_own_cache


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_a_document_that_a_shell_wrote_anew_is_read(path, encoding):
    """`bench ... --format json > file` of PowerShell 5 is UTF-16 with a mark."""
    path.write_text(path.read_text(), encoding=encoding)
    assert is_document(path)
    assert read_document(path) == document(record(), record())


@pytest.mark.parametrize("lines", [1, 2])
def test_a_journal_is_said_to_be_one(path, lines):
    """Of a run that was interrupted there is no other file yet."""
    path.write_text('{"crc32":"25f207ea","entry":{"kind":"run"}}\n' * lines)
    with pytest.raises(ResultFormatError, match="it is a journal") as caught:
        read_document(path)
    assert "--resume" in caught.value.fix


def test_a_document_without_records_comes_back(tmp_path):
    write_document(document(), tmp_path / "run.json")
    assert read_document(tmp_path / "run.json") == document()


def test_the_file_is_plain_json_with_one_record_per_line(path):
    lines = path.read_text().splitlines()
    assert json.loads(path.read_text())["schema"] == "bench.results"
    assert json.loads(lines[1].rstrip(","))["cell"]["model"] == "tiny"
    assert len(lines) == 4


def test_nothing_but_the_document_is_left_in_the_folder(path):
    assert [file.name for file in path.parent.iterdir()] == ["run.json"]


def test_a_failing_disk_leaves_the_older_file_as_it_was(path, monkeypatch):
    older = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_document(document(), path)
    assert path.read_bytes() == older
    assert [file.name for file in path.parent.iterdir()] == ["run.json"]


def test_a_folder_that_is_gone_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="cannot be written"):
        write_document(document(), tmp_path / "gone" / "run.json")
    with pytest.raises(StorageError, match="cannot be read"):
        read_document(tmp_path / "gone.json")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_no_number_is_never_written(bad, tmp_path):
    with pytest.raises(ResultFormatError, match=r"document\.environment\.load\[0\] is "):
        write_document(document(environment={"load": [bad]}), tmp_path / "run.json")
    assert list(tmp_path.iterdir()) == []


def test_a_name_from_another_encoding_keeps_its_bytes_as_escapes(tmp_path):
    odd = Record(cell=cell(gen=4, model="caf\udce9"), status="ok")
    write_document(document(odd), tmp_path / "run.json")
    assert read_document(tmp_path / "run.json").records[0].cell.model == r"caf\udce9"


def refusal(path) -> str:
    """The one message that reading `path` gives."""
    with pytest.raises(ResultFormatError) as caught:
        read_document(path)
    assert str(path) in caught.value.problem
    assert caught.value.fix
    return caught.value.problem


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"\xff\xfe\x00", "no complete JSON"),
        (b"[" * 200_000, "no complete JSON"),
        (b'{"a":' * 100_000, "no complete JSON"),
        (b"[]", "does not say"),
        (b'{"schema":"other"}', "does not say"),
        (b'{"schema":"bench.results"}', "format version is None"),
        (b'{"schema":"bench.results","schema_version":true}', "format version is True"),
        (b'{"schema":"bench.results","schema_version":0}', "format version is 0"),
        (b'{"schema":"bench.results","schema_version":"1"}', "format version is '1'"),
        (b'{"schema":"bench.results","schema_version":999}', "is newer than"),
        (b'{"schema":"bench.results","schema_version":1}', "damaged"),
    ],
)
def test_what_is_no_results_file_is_refused(tmp_path, content, says):
    (tmp_path / "run.json").write_bytes(content)
    assert says in refusal(tmp_path / "run.json")


def test_a_document_cut_anywhere_is_refused(path):
    whole = path.read_bytes().rstrip()
    for cut in range(1, len(whole), 97):
        path.write_bytes(whole[:-cut])
        assert "no complete JSON" in refusal(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"value":50.0', b'"value":NaN'),
        (b'"value":50.0', b'"value":Infinity'),
        (b'"value":50.0', b'"value":1e999'),
        (b'"value":50.0', b'"value":true'),
        (b'"value":50.0', b'"value":"50"'),
        (b'"status":"ok"', b'"status":"fine"'),
        (b'"status":"ok"', b'"status":"failed"'),
        (b'"grade":"B"', b'"grade":"D"'),
        (b'"model":"tiny",', b""),
        (b'"load_ns":10000000', b'"load_ns":"10 ms"'),
        (b'"itl_ns":[[1,2],[3,4]]', b'"itl_ns":[[1,2],3]'),
        (b'"threads":2', b'"threads":2.5'),
        (b'"records":[', b'"records":[[],'),
    ],
)
def test_a_damaged_value_is_refused(path, old, new):
    """NaN, overflow, wrong types, unknown words, a failure without its reason, a missing key."""
    content = unchecked(path.read_bytes())
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    refusal(path)


def test_a_field_of_a_later_writer_is_read_over(path):
    content = unchecked(path.read_bytes())
    path.write_bytes(content.replace(b'"run_id"', b'"later":{"x":1},"run_id"', 1))
    assert read_document(path) == document(record(), record())


def test_old_documents_are_brought_up_one_step_at_a_time():
    """Format 1 counts in a, 2 in b, 3 doubles it; the stored document is not touched."""
    steps = {
        1: lambda old: {"schema_version": 1, "b": old["a"]},
        2: lambda old: {**old, "b": old["b"] * 2},
    }
    stored = {"schema_version": 1, "a": 21}
    assert upgrade(stored, steps, newest=3) == {"schema_version": 3, "b": 42}
    assert upgrade({"schema_version": 2, "b": 4}, steps, newest=3)["b"] == 8
    assert stored == {"schema_version": 1, "a": 21}


def test_an_old_document_that_is_damaged_is_refused():
    with pytest.raises(ResultFormatError, match="format 1 cannot be brought to 2"):
        upgrade({"schema_version": 1}, {1: lambda old: {"b": old["a"]}}, newest=2)


def test_every_older_format_has_its_step():
    """A new SCHEMA_VERSION without its upgrade fails here."""
    for version in range(1, SCHEMA_VERSION):
        assert upgrade({"schema_version": version})["schema_version"] == SCHEMA_VERSION


def test_a_record_that_failed_says_why():
    with pytest.raises(ValueError, match="needs a reason"):
        Record(cell=cell(gen=4), status="crashed")
    with pytest.raises(ValueError, match="none of ok"):
        Record(cell=cell(gen=4), status="fine")
    with pytest.raises(ValueError, match="none of A"):
        Trust(grade="E")


def test_encoding_is_the_same_every_time():
    assert encode_document(document(record())) == encode_document(document(record()))
