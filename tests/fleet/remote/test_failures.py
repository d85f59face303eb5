"""What ssh, scp and adb say, word for word, and the sentence that it becomes."""

import pytest

from harness.core.errors import EXIT_DEVICE
from harness.fleet.remote.failures import failure
from harness.fleet.remote.target import Target

CHANGED = """@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
Host key verification failed."""
UNAUTHORIZED = """error: device unauthorized.
This adb server's $ADB_VENDOR_KEYS is not set
Try 'adb kill-server' if that seems wrong.
Otherwise check for a confirmation dialog on your device."""


@pytest.mark.parametrize(
    ("kind", "said", "problem", "fix"),
    [
        ("ssh", "Host key verification failed.\r\n", "does not know the host key", "ssh x"),
        ("ssh", CHANGED, "another host key", "find out why"),
        ("ssh", "me@x: Permission denied (publickey,password).", "without a password", "ssh-copy"),
        ("ssh", "ssh: Could not resolve hostname x: Name or service not known", "no host", "name"),
        ("ssh", "ssh: connect to host x port 22: Connection refused", "does not answer", "is on"),
        ("ssh", "scp: write remote: No space left on device", "disk of x is full", "free"),
        ("ssh", "'sh' is not recognized as an internal or external command,", "POSIX", "WSL"),
        ("adb", UNAUTHORIZED, "has not allowed", "unlock"),
        ("adb", "error: device offline", "offline", "adb reconnect"),
        ("adb", "adb: error: failed to get feature set: device 'x' not found", "knows no", "list"),
    ],
)
def test_each_has_a_sentence_and_a_way_out(kind, said, problem, fix):
    found = failure(Target(kind, "x"), said, "doing it")
    assert problem in found.problem
    assert fix in found.fix
    assert found.exit_code == EXIT_DEVICE


def test_what_no_row_knows_is_said_as_it_is():
    found = failure(Target("ssh", "x"), "Warning: one\nsomething odd\n", "copying to it")
    assert found.problem == "copying to it failed on x: something odd"
