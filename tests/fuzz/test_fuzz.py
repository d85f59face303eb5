"""Hostile files of every kind end in words: no traceback, no hang, no write elsewhere."""

import faulthandler
import resource
import shutil

import pytest

from harness.core.errors import HarnessError
from harness.devices.operators import known_operators
from tests.fuzz.targets import TARGETS
from tests.fuzz.watching import watched

KNOWN = known_operators()
HUNG_S = 120  # of one target, thousands of times what it takes: then the stack is printed
MOST_GROWTH_KIB = 400 * 1024


@pytest.fixture(autouse=True)
def no_hang():
    """A reader that never ends would stop the whole session in silence."""
    faulthandler.dump_traceback_later(HUNG_S, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def peak_kib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def outcome(target, content, folder):
    """What reading one file ends in; another exception than ours fails the test with its case."""
    folder.mkdir()
    try:
        with watched(folder) as done:
            target.read(content, folder)
        assert done == []
    except HarnessError as error:
        assert done == []
        return "words" if error.problem and error.fix else "silence"
    finally:
        shutil.rmtree(folder)
    return "read"


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_hostile_files_end_in_words(target, tmp_path, monkeypatch):
    """The same cases every time; both outcomes are among them, or the cases reach nothing."""
    monkeypatch.setattr("harness.devices.operators.known_operators", lambda: KNOWN)
    for seed in target.seeds():
        assert outcome(target, seed, tmp_path / "sound") == "read"
    before_kib, outcomes = peak_kib(), set()
    for number, content in enumerate(target.hostile(target.cases)):
        outcomes.add(outcome(target, content, tmp_path / str(number)))
    assert outcomes == {"read", "words"}
    assert peak_kib() - before_kib < MOST_GROWTH_KIB
    assert list(tmp_path.iterdir()) == []


def test_there_are_enough_cases():
    assert sum(target.cases for target in TARGETS) >= 2000


def test_the_watch_sees_what_leaves_a_folder(tmp_path):
    """Else the tests above could not fail."""
    inside = tmp_path / "inside"
    inside.mkdir()
    with watched(inside) as done:
        (inside / "a").write_text("")
        (tmp_path / "b").write_text("")
        (inside / "a").rename(tmp_path / "c")
        (tmp_path / "c").read_text()
    assert done == [f"open {tmp_path / 'b'}", f"os.rename {tmp_path / 'c'}"]
