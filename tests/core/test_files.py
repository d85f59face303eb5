"""Files and folders are written atomically."""

import errno
import os
from contextlib import suppress

import pytest

from harness.core.files import (
    remove_partial_folders,
    settle_folder,
    whole_folder,
    write_whole,
)


def full(descriptor: int) -> None:
    """A disk without space, met when what was written should reach it."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def enter_and_fail(folder):
    """Write a file, be interrupted, and say where it was written."""
    with suppress(KeyboardInterrupt), whole_folder(folder) as partial:
        (partial / "new").write_text("1")
        raise KeyboardInterrupt
    return partial


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_text_and_bytes_replace_what_was_there(tmp_path):
    path = tmp_path / "file"
    write_whole(path, "ä\n")
    assert path.read_bytes() == b"\xc3\xa4\n"
    write_whole(path, b"\x00")
    assert path.read_bytes() == b"\x00"
    assert names(tmp_path) == ["file"]


def test_a_full_disk_leaves_the_older_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, "old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_folder_has_its_name_only_when_it_is_finished(tmp_path):
    folder = tmp_path / "deep" / "folder"
    with whole_folder(folder) as partial:
        (partial / "file").write_text("1")
        assert not folder.exists()
    assert names(folder) == ["file"]
    assert names(folder.parent) == ["folder"]


def test_an_error_leaves_the_older_folder_and_nothing_else(tmp_path):
    folder = tmp_path / "folder"
    with whole_folder(folder) as partial:
        (partial / "old").write_text("1")
    partial = enter_and_fail(folder)
    assert not partial.exists()
    assert names(folder) == ["old"]
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize(("there", "stays"), [("whole", ["whole"]), ("half", ["whole", "mine"])])
def test_of_two_that_finish_the_first_stays(tmp_path, there, stays):
    """What has the file of a finished folder is kept; a damaged one is replaced."""
    folder = tmp_path / "folder"
    with whole_folder(folder, complete="whole") as partial:
        for name in ("whole", "mine"):
            (partial / name).write_text("1")
        folder.mkdir()
        (folder / there).write_text("2")
    assert names(folder) == sorted(stays)
    assert names(tmp_path) == ["folder"]


def test_two_writers_of_one_process_do_not_meet(tmp_path):
    with whole_folder(tmp_path / "a") as one, whole_folder(tmp_path / "a") as other:
        assert one != other


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / ".a.123-beef.partial").mkdir()
    (tmp_path / ".b.123-beef.partial").mkdir()
    remove_partial_folders(tmp_path / "a")
    assert names(tmp_path) == [".b.123-beef.partial"]


def test_what_was_written_is_on_the_disk_and_out_of_the_cache(tmp_path, monkeypatch):
    """Each file is synced, then forgotten: pages that are not on the disk yet would stay."""
    for name in ("b", "a"):
        (tmp_path / name).write_text(name)
    (tmp_path / "folder").mkdir()
    calls = []
    monkeypatch.setattr(os, "fsync", lambda file: calls.append("fsync"))
    monkeypatch.setattr(
        os, "posix_fadvise", lambda file, *advice: calls.append(advice), raising=False
    )
    monkeypatch.setattr(os, "POSIX_FADV_DONTNEED", "forget", raising=False)
    settle_folder(tmp_path)
    assert calls == ["fsync", (0, 0, "forget")] * 2


def test_a_system_without_such_a_call_is_left_as_it_is(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("a")
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    monkeypatch.setattr(os, "fsync", None)
    settle_folder(tmp_path)
