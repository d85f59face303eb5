"""Memory marks: the fields read, and that touched pages are seen."""

import mmap
import sys

import pytest

from harness.machine.meters.memory import AnonymousWatch, MemoryMark, linux_mark, memory_mark

MIB = 2**20
STATUS = "Name:\tx y\nVmHWM:\t   900 kB\nVmRSS:\t  700 kB\nRssAnon:\t 300 kB\nThreads:\t2\n"
ROLLUP = "00-ff ---p 00000000 00:00 0    [rollup]\nRss:   720 kB\nAnonymous:   310 kB\n"


def test_the_exact_counts_are_taken_where_the_kernel_has_them(tmp_path):
    """720 KiB resident, 310 anonymous, so 410 of files; the peak only stands in status."""
    (tmp_path / "status").write_text(STATUS)
    (tmp_path / "smaps_rollup").write_text(ROLLUP)
    assert linux_mark(tmp_path) == MemoryMark(720 * 1024, 900 * 1024, 310 * 1024, 410 * 1024)


def test_without_the_exact_counts_status_answers(tmp_path):
    (tmp_path / "status").write_text(STATUS)
    assert linux_mark(tmp_path) == MemoryMark(700 * 1024, 900 * 1024, 300 * 1024, 400 * 1024)


def test_what_the_kernel_does_not_tell_is_none(tmp_path):
    (tmp_path / "status").write_text("VmHWM:\t 900 kB\nVmRSS:\t 700 kB\n")
    assert linux_mark(tmp_path) == MemoryMark(700 * 1024, 900 * 1024, None, None)


def test_touched_pages_are_resident_and_the_peak_outlives_them():
    """64 MiB written to: at least 60 more resident, still in the peak after they are gone."""
    before = memory_mark()
    with mmap.mmap(-1, 64 * MIB) as pages:
        pages.write(b"\1" * (64 * MIB))
        during = memory_mark()
    after = memory_mark()
    assert during.rss_bytes - before.rss_bytes > 60 * MIB
    assert after.peak_bytes >= during.rss_bytes > after.rss_bytes


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_pages_of_a_file_are_told_from_anonymous_ones(tmp_path):
    """8 MiB of a mapped file, read: file-backed grows by about that, anonymous does not."""
    path = tmp_path / "data"
    path.write_bytes(b"\1" * (8 * MIB))
    before = memory_mark()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        assert sum(pages[offset] for offset in range(0, 8 * MIB, 4096)) == 2048
        during = memory_mark()
    assert during.file_bytes - before.file_bytes >= 8 * MIB - MIB
    assert during.anonymous_bytes - before.anonymous_bytes < MIB


def test_the_most_anonymous_memory_is_kept(tmp_path):
    """300 KiB before, 900 in between, 200 at the end: 900; other fields are beside it."""
    status = tmp_path / "status"
    status.write_text(STATUS)
    watch = AnonymousWatch(status, every_s=60)
    with watch:
        status.write_text("RssAnon:\t 900 kB\n")
        watch._add()
        status.write_text("RssAnon:\t 200 kB\n")
    assert watch.peak_bytes == 900 * 1024


def test_without_such_a_file_nothing_is_looked_at(tmp_path):
    with AnonymousWatch(tmp_path / "status") as watch:
        pass
    assert watch.peak_bytes is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_memory_that_came_and_went_is_seen():
    """32 MiB written to and given back, while something looks every 2 ms."""
    before = memory_mark().anonymous_bytes
    with AnonymousWatch() as watch:
        pages = bytearray(b"\1") * (32 * MIB)
        watch._add()
        del pages
    assert watch.peak_bytes - before > 30 * MIB
