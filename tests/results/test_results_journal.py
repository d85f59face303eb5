"""The journal keeps what was finished and never guesses at damage."""

import errno
import json
import os
import zlib

import msgspec
import pytest

from harness.core.errors import EXIT_STORAGE, ResultFormatError, StorageError
from harness.results.entries import BandwidthEntry, NoBandwidthEntry, RunEntry
from harness.results.environment import MachineFacts
from harness.results.journal import Journal, encode_line, prepare_results_folder, read_journal
from harness.results.plan import RunPlan
from harness.results.replies import MemoryRead

RUN = RunEntry(
    run_id="run-1",
    created_utc="now",
    plan=RunPlan(text="a\nb – |"),
    environment=MachineFacts(),
)
READ = BandwidthEntry(threads=1, round=0, reply=MemoryRead(threads=1, bytes=8, pass_ns=(1, 2)))
LOST = NoBandwidthEntry(threads=2, reason="no memory")
ENTRIES = [RUN, READ, LOST]


@pytest.fixture
def path(tmp_path):
    with Journal(tmp_path / "run.jsonl") as journal:
        for entry in ENTRIES:
            journal.append(entry)
    return tmp_path / "run.jsonl"


def test_entries_come_back_in_order(path):
    assert read_journal(path) == ENTRIES


def test_each_line_is_json_with_the_check_sum_of_its_entry(path):
    for line, entry in zip(path.read_text().splitlines(), ENTRIES, strict=True):
        stored = json.loads(line)
        plain = json.loads(msgspec.json.encode(entry))
        assert stored["entry"] == plain
        body = json.dumps(plain, separators=(",", ":")).encode()
        assert stored["crc32"] == f"{zlib.crc32(body):08x}"


def test_an_entry_is_on_the_disk_when_append_returns(tmp_path, monkeypatch):
    """Append writes through and asks for fsync before it returns."""
    synced = []
    journal = Journal(tmp_path / "run.jsonl")
    monkeypatch.setattr("os.fsync", lambda fd: synced.append(os.fstat(fd).st_size))
    journal.append(ENTRIES[0])
    journal.append(ENTRIES[1])
    first, second = (len(encode_line(entry)) for entry in ENTRIES[:2])
    assert (synced[0], synced[-1]) == (first, first + second)
    assert len(synced) == 3  # and the folder once, which has a name more
    journal.close()


def test_a_line_cut_anywhere_loses_only_itself(path):
    """Every length of the torn tail, from one byte to all but the line feed."""
    whole = path.read_bytes()
    last = len(encode_line(ENTRIES[-1]))
    for cut in range(1, last + 1):
        path.write_bytes(whole[:-cut])
        assert read_journal(path) == ENTRIES[:-1], cut


def test_a_torn_line_is_cut_off_before_the_next_entry(path):
    """Resuming appends behind whole lines, so nothing damaged lies in the middle."""
    path.write_bytes(path.read_bytes()[:-4])
    with Journal(path) as journal:
        journal.append(READ)
    assert read_journal(path) == [*ENTRIES[:-1], READ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-16-le"])
def test_a_journal_may_have_been_written_anew_by_an_editor_or_a_shell(path, encoding):
    """With a mark, in UTF-16, or with the line ends of Windows: the entries are the same."""
    entries, text = read_journal(path), path.read_text(encoding="utf-8")
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert read_journal(path) == entries


def test_an_empty_journal_has_no_entries(tmp_path):
    (tmp_path / "run.jsonl").touch()
    assert read_journal(tmp_path / "run.jsonl") == []


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_changed_byte_is_damage_on_its_line(path, number):
    """Also in the last line when it is whole: a torn line has no line feed."""
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number - 1] = lines[number - 1].replace(b"kind", b"kinb")
    path.write_bytes(b"".join(lines))
    with pytest.raises(ResultFormatError, match=rf"run\.jsonl, line {number} ") as caught:
        read_journal(path)
    assert caught.value.fix


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\x00" * 40,
        b"\xff\xfe",
        b"not json at all, but long enough to hold a body",
        b'{"crc32":"00000000","entry":{"kind":"run"}}',
        encode_line(RUN)[:-2] + b" ",
    ],
)
def test_a_exported_line_is_damage(path, line):
    path.write_bytes(line + b"\n" + path.read_bytes())
    with pytest.raises(ResultFormatError, match="line 1 "):
        read_journal(path)


@pytest.mark.parametrize("body", [b"[1]", b'{"no":"kind"}', b"[" * 100_000])
def test_a_line_that_verifies_but_is_no_entry_is_damage(path, body):
    line = b'{"crc32":"%08x","entry":%b}\n' % (zlib.crc32(body), body)
    path.write_bytes(line)
    with pytest.raises(ResultFormatError, match="line 1 "):
        read_journal(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_has_no_word_for_is_refused_before_it_is_written(path, value):
    with Journal(path) as journal, pytest.raises(ResultFormatError):
        journal.append(msgspec.structs.replace(RUN, plan=RunPlan(others={"value": value})))
    assert read_journal(path) == ENTRIES


def test_a_missing_journal_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="cannot be read"):
        read_journal(tmp_path / "none.jsonl")
    with pytest.raises(StorageError, match="cannot be written"):
        Journal(tmp_path / "no" / "folder.jsonl")


def test_a_full_disk_while_appending_is_a_storage_error(path, monkeypatch):
    journal = Journal(path)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        journal.append(LOST)
    assert caught.value.exit_code == EXIT_STORAGE
    journal.close()


def test_the_results_folder_is_made_and_left_empty(tmp_path):
    folder = tmp_path / "deep" / "results"
    prepare_results_folder(folder)
    prepare_results_folder(folder)
    assert list(folder.iterdir()) == []


def test_a_results_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "results").write_text("mine")
    for path in (tmp_path / "results", tmp_path / "results" / "below"):
        with pytest.raises(StorageError) as caught:
            prepare_results_folder(path)
        assert caught.value.exit_code == EXIT_STORAGE
    assert (tmp_path / "results").read_text() == "mine"


def test_a_full_disk_is_met_before_the_run_and_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        prepare_results_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_results_folder_is_refused(tmp_path, monkeypatch):
    """As the system answers a user without rights (root, who runs this in CI, has them all)."""

    def denied(self, *arguments, **named):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("pathlib.Path.open", denied)
    with pytest.raises(StorageError, match="Permission denied"):
        prepare_results_folder(tmp_path)


def test_two_runs_never_append_to_one_journal(tmp_path):
    """While one writer lives the other is refused; afterwards nothing of the lock is left."""
    path = tmp_path / "run.journal.jsonl"
    with Journal(path), pytest.raises(StorageError, match="still going on"):
        Journal(path)
    Journal(path).close()
    assert list(tmp_path.iterdir()) == [path]
