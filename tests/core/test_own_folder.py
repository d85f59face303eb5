"""A folder that is filled again and again: what is not ours is never touched."""

import json

import pytest

from harness.core.errors import StorageError, UsageError
from harness.core.own_folder import check_own, fill_folder

MARKER, MAKER = ".ours.json", "bench site"


def fill(folder, **pages):
    files = {
        name.replace("__", "/") + ".html": lambda text=text: text.encode()
        for name, text in pages.items()
    }
    return fill_folder(folder, files, MARKER, MAKER)


def listed(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_new_folder_is_filled_and_says_by_whom(tmp_path):
    found = fill(tmp_path / "a" / "site", index="1", cells__a="2")
    assert (found.written, found.same, found.removed) == (2, 0, 0)
    assert listed(tmp_path / "a" / "site") == [MARKER, "cells/a.html", "index.html"]
    marker = json.loads((tmp_path / "a" / "site" / MARKER).read_text())
    assert marker == {"made_by": MAKER, "files": ["cells/a.html", "index.html"]}


def test_what_is_the_same_is_not_written_and_what_is_stale_goes(tmp_path):
    fill(tmp_path / "site", index="1", cells__a="2", old__b="3")
    before = (tmp_path / "site" / "index.html").stat()
    found = fill(tmp_path / "site", index="1", cells__a="other", new="4")
    assert (found.written, found.same, found.removed) == (2, 1, 1)
    assert (tmp_path / "site" / "index.html").stat().st_mtime_ns == before.st_mtime_ns
    assert listed(tmp_path / "site") == [MARKER, "cells/a.html", "index.html", "new.html"]
    assert not (tmp_path / "site" / "old").exists()


def test_files_of_others_in_our_folder_stay(tmp_path):
    fill(tmp_path, index="1", cells__a="2")
    (tmp_path / "CNAME").write_text("bench.example.org")
    (tmp_path / "cells" / "notes.txt").write_text("mine")
    fill(tmp_path, index="1")
    assert listed(tmp_path) == [MARKER, "CNAME", "cells/notes.txt", "index.html"]


@pytest.mark.parametrize(
    "content",
    ["{}", "[]", "no json", '{"made_by": "bench site"}', '{"made_by": "x", "files": []}'],
)
def test_a_marker_of_somebody_else_is_refused(tmp_path, content):
    (tmp_path / MARKER).write_text(content)
    with pytest.raises(UsageError, match="not what bench site writes"):
        check_own(tmp_path, MARKER, MAKER)


def test_a_folder_that_is_not_ours_is_refused_and_stays(tmp_path):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(UsageError, match=r"not empty.*index\.html"):
        fill(tmp_path, index="1")
    assert listed(tmp_path) == ["index.html"]
    assert (tmp_path / "index.html").read_text() == "mine"
    with pytest.raises(UsageError, match="no folder"):
        fill(tmp_path / "index.html", index="1")


def test_a_fresh_clone_or_worktree_counts_as_empty(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref")
    fill(tmp_path, index="1")
    assert listed(tmp_path) == [".git/HEAD", MARKER, "index.html"]


def test_an_update_that_fails_half_way_is_finished_by_the_next(tmp_path):
    """Old pages and new ones stand in the marker while it lasts."""
    fill(tmp_path, index="1", old="2")

    def fails():
        raise MemoryError

    files = {"new.html": lambda: b"3", "index.html": fails}
    with pytest.raises(MemoryError):
        fill_folder(tmp_path, files, MARKER, MAKER)
    assert check_own(tmp_path, MARKER, MAKER) == ("index.html", "new.html", "old.html")
    fill(tmp_path, index="4")
    assert listed(tmp_path) == [MARKER, "index.html"]


def test_a_new_folder_that_fails_half_way_is_not_there(tmp_path):
    def fails():
        raise MemoryError

    with pytest.raises(MemoryError):
        fill_folder(tmp_path / "site", {"index.html": fails}, MARKER, MAKER)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../out.html", "/out.html", "a/../../out.html", "c:out", "a\\b"])
def test_no_name_leads_outside(tmp_path, name):
    """Neither one that is written, nor one that stands in a marker that somebody edited."""
    folder = tmp_path / "site"
    with pytest.raises(StorageError, match="no name of a file"):
        fill_folder(folder, {name: lambda: b""}, MARKER, MAKER)
    fill(folder, index="1")
    (tmp_path / "out.html").write_text("mine")
    (folder / MARKER).write_text(json.dumps({"made_by": MAKER, "files": [name]}))
    with pytest.raises(StorageError, match="no name of a file"):
        fill(folder, index="1")
    assert (tmp_path / "out.html").read_text() == "mine"


def test_a_link_inside_is_not_followed(tmp_path):
    fill(tmp_path / "site", index="1", cells__a="2")
    outside = tmp_path / "outside"
    (tmp_path / "site" / "cells").rename(outside)
    try:
        (tmp_path / "site" / "cells").symlink_to(outside)
    except OSError:
        pytest.skip("the system makes no links")
    with pytest.raises(StorageError, match="is a link"):
        fill(tmp_path / "site", index="1", cells__a="other")
    assert (outside / "a.html").read_text() == "2"
