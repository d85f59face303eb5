"""`bench cache`: what is ours is told and pruned, whatever else lies there is left alone."""

import json
import os
import time
from pathlib import Path

import filelock
import pytest

from harness.cli.cache import is_called
from harness.cli.main import main
from harness.core.errors import EXIT_OK, EXIT_STORAGE, EXIT_USAGE, StorageError
from harness.report.cache_table import moment
from harness.store import inventory
from harness.store.inventory import freed_bytes, list_cache

DAY_S = 86_400
OLD, LARGE = "small-old-int4-0123456789abcdef", "large-new-fp32-fedcba9876543210"


def folder(cache, name, size=100, days=0.0, mark="artifact.json"):
    place = cache / name
    place.mkdir(parents=True)
    (place / "model.data").write_bytes(b"x" * size)
    (place / mark).write_text("{}")
    used = time.time() - days * DAY_S
    for path in (*place.iterdir(), place):
        os.utime(path, (used, used))
    return place


@pytest.fixture
def cache(tmp_path):
    folder(tmp_path, OLD, days=40)
    folder(tmp_path, LARGE, size=3_000_000)
    folder(tmp_path, "hub/org--name/0123456789ab/onnx", days=50, mark="hub.json")
    folder(tmp_path, "compiled/qnn-00ff", days=60, mark="compiled.json")
    folder(tmp_path, f".{OLD}.77-0a1b2c3d.partial", days=2)
    # what is not ours
    folder(tmp_path, "my-notes", days=400)
    folder(tmp_path, "photos-0123456789abcdef", days=400, mark="photo.jpg")
    (tmp_path / "calibration").mkdir()
    (tmp_path / "locks").mkdir()
    (tmp_path / "linked-0123456789abcdef").symlink_to(tmp_path / "my-notes")
    return tmp_path


def bench(*words, cache):
    return main(["cache", *words, "--cache", str(cache)])


def left(cache):
    return {entry.name for entry in list_cache(cache)}


def test_a_time_that_no_calendar_has_is_left_empty():
    """Some file systems hold years beyond 9999, and a copy from one may bring them."""
    assert [moment(seconds) for seconds in (0.0, 2e14, -1e14)] == ["1970-01-01 00:00", "", ""]


def test_what_may_not_be_read_is_named(cache, capsys, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert bench(cache=cache) == EXIT_STORAGE
    assert f"check the rights of {cache}" in capsys.readouterr().err


def test_all_that_is_ours_is_listed_the_largest_first(cache, capsys):
    assert bench("--format", "json", cache=cache) == EXIT_OK
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["name"] == LARGE
    assert rows[0]["size_bytes"] == 3_000_002
    assert {row["name"]: row["what"] for row in rows} == {
        OLD: "built model",
        LARGE: "built model",
        "hub/org--name/0123456789ab/onnx": "model of the hub",
        "compiled/qnn-00ff": "compiled graphs",
        f".{OLD}.77-0a1b2c3d.partial": "left by a build that was killed",
    }
    (old,) = (row for row in rows if row["name"] == OLD)
    assert old["days"] == pytest.approx(40, abs=0.1)
    assert bench(cache=cache) == EXIT_OK
    assert "5 folders, 2.9 MiB in" in capsys.readouterr().out


def test_prune_tells_and_with_yes_removes(cache, capsys):
    """Of all that is older than 30 days; nothing of anybody else."""
    others = sorted(path.name for path in cache.iterdir())
    words = ("prune", "--older", "30d")
    assert bench(*words, cache=cache) == EXIT_OK
    assert "3 folders would be removed, add --yes" in capsys.readouterr().out
    assert sorted(path.name for path in cache.iterdir()) == others
    assert bench(*words, "--yes", cache=cache) == EXIT_OK
    assert "3 folders removed" in capsys.readouterr().out
    assert left(cache) == {LARGE, f".{OLD}.77-0a1b2c3d.partial"}
    for name in ("my-notes", "photos-0123456789abcdef", "calibration", "locks"):
        assert (cache / name).is_dir()
    assert bench(*words, "--yes", cache=cache) == EXIT_OK
    assert "nothing to remove" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (("--larger", "1MB"), 4),
        (("--older", "30d", "--larger", "1MB"), 5),
        (("--all",), 0),
        (("--all", "--keep", "large"), 1),
        (("--all", "--keep", "hub/*", "--keep", OLD), 2),
        (("--older", "1d"), 1),
    ],
)
def test_every_condition_holds_and_what_is_kept_stays(cache, words, kept):
    assert bench("prune", *words, "--yes", cache=cache) == EXIT_OK
    assert len(left(cache)) == kept


def test_what_is_being_built_stays(cache, capsys):
    """Also what a build of it has written so far; a folder that others write is left an hour."""
    folder(cache, "hub/org--name/0123456789ab/.onnx.5-0a1b2c3d.partial", mark="part")
    with filelock.FileLock(cache / "locks" / f"{OLD}.lock"):
        assert bench("prune", "--all", "--yes", cache=cache) == EXIT_OK
        assert "it is being built: " in " ".join(capsys.readouterr().out.split())
        assert left(cache) == {
            OLD,
            f".{OLD}.77-0a1b2c3d.partial",
            "hub/org--name/0123456789ab/.onnx.5-0a1b2c3d.partial",
        }
    assert bench("prune", "--all", "--yes", cache=cache) == EXIT_OK
    assert len(left(cache)) == 1


def test_a_file_with_two_names_is_freed_with_the_last_one(tmp_path):
    """1 MB in two folders: the cache takes it once, and either folder alone frees nothing of it."""
    first = folder(tmp_path, OLD, size=1_000_000)
    second = folder(tmp_path, LARGE, size=10)
    (second / "shared.data").hardlink_to(first / "model.data")
    entries = list_cache(tmp_path)
    assert freed_bytes(entries) == 1_000_000 + 10 + 4
    assert freed_bytes(entries[:1]) < 100


def test_what_cannot_be_removed_is_told_and_the_rest_goes(cache, capsys, monkeypatch):
    def refuse(entry, remove=inventory.remove_entry):
        if entry.name == OLD:
            raise StorageError(f"{OLD} cannot be removed: Permission denied", fix="check")
        remove(entry)

    monkeypatch.setattr(inventory, "remove_entry", refuse)
    assert bench("prune", "--older", "30d", "--yes", cache=cache) == EXIT_STORAGE
    assert "Permission denied" in capsys.readouterr().err
    assert OLD in left(cache)
    assert len(left(cache)) == 3


def test_what_stays_is_not_counted_as_freed(cache, capsys, monkeypatch):
    """Of 3,000,000 bytes and a few, the few."""

    def refuse(entry, remove=inventory.remove_entry):
        if entry.name == LARGE:
            raise StorageError(f"{LARGE} cannot be removed: Permission denied", fix="check")
        remove(entry)

    monkeypatch.setattr(inventory, "remove_entry", refuse)
    assert bench("prune", "--all", "--yes", cache=cache) == EXIT_STORAGE
    assert "4 folders removed: 0.0 MiB" in capsys.readouterr().out


def test_a_file_in_the_place_of_the_cache_is_none(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "file"))
    for words in (["cache"], ["cache", "prune", "--all"]):
        assert main(words) == EXIT_USAGE
        assert "file is no folder" in capsys.readouterr().err


def test_an_empty_cache_and_none_are_no_error(tmp_path, capsys):
    assert bench(cache=tmp_path) == EXIT_OK
    assert "0 folders" in capsys.readouterr().out
    for style, drawn in (("json", "[]"), ("csv", "")):
        assert bench("--format", style, cache=tmp_path) == EXIT_OK
        assert capsys.readouterr().out.strip() == drawn
    assert bench("prune", "--all", "--yes", cache=tmp_path) == EXIT_OK
    assert list_cache(tmp_path / "none") == ()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("prune",), "prune is not told what to remove"),
        (("prune", "--older", "30"), "--older '30' is no age"),
        (("prune", "--older", "-3d"), "is no age"),
        (("prune", "--older", "x"), "--older 'x' is no age"),
        (("prune", "--larger", "5"), "--larger '5' is no size"),
        (("prune", "--all", "--older", "3d"), "--all is everything"),
        (("prune", "--all", "--keep", "nobody"), "--keep 'nobody' names nothing"),
        (("--older", "3d"), "--older says what prune removes"),
        (("--yes",), "--yes says what prune removes"),
        (("purge",), "purge"),
    ],
)
def test_what_says_nothing_is_refused(cache, capsys, words, problem):
    assert bench(*words, cache=cache) == EXIT_USAGE
    assert problem in capsys.readouterr().err
    assert len(left(cache)) == 5


def test_a_folder_that_is_none_is_refused(tmp_path, capsys):
    assert bench(cache=tmp_path / "none") == EXIT_USAGE
    assert "is no folder" in capsys.readouterr().err


def test_a_name_its_beginning_or_a_pattern_keeps():
    name = "smollm2-135m-int4-0123456789abcdef"
    kept = [
        word
        for word in ("smollm2", "smollm2-135m", name, "*int4*", "smol")
        if is_called(name, word)
    ]
    assert kept == ["smollm2", "smollm2-135m", name, "*int4*"]
