"""What ssh, scp and adb say when they fail, and what helps: one table. Pure.

Their last words stand in the problem as they are; a row only adds what a person can do.
"""

import re
from dataclasses import dataclass

from harness.core.errors import DeviceError
from harness.fleet.remote.target import ADB, SSH, Target

MOST_SAID = 240


@dataclass(frozen=True, slots=True)
class Failure:
    """One way to fail.

    Attributes:
        kind: `ssh` or `adb`.
        says: of stderr, any of its lines.
        problem: in a sentence; `{name}` is the machine's.
        fix: likewise.
    """

    kind: str
    says: str
    problem: str
    fix: str


CHANGED = "REMOTE HOST IDENTIFICATION HAS CHANGED"
FULL = r"[Nn]o space left|[Dd]isk quota exceeded"
NO_SPACE = "the disk of {name} is full"
FREE = "free its disk; ~/.cache/ondevice-bench-fleet of that machine holds what was put there"
# The first row that fits counts.
FAILURES = (
    Failure(
        SSH,
        CHANGED,
        "{name} shows another host key than the one that ssh knows",
        "find out why before anything else; then ssh-keygen -R HOST, and ssh {name} by hand",
    ),
    Failure(
        SSH,
        r"Host key verification failed|No .* host key is known",
        "ssh does not know the host key of {name}",
        "connect once by hand and compare the fingerprint: ssh {name}",
    ),
    Failure(
        SSH,
        r"Permission denied \(|Too many authentication failures|no mutual signature",
        "{name} lets nobody in without a password",
        "a key that ssh finds by itself: ssh-copy-id {name}, ssh-add; then ssh {name} asks nothing",
    ),
    Failure(
        SSH,
        r"Could not resolve hostname",
        "no host is called {name}",
        "check the name, or give it one in ~/.ssh/config",
    ),
    Failure(
        SSH,
        r"Connection refused|No route to host|[Nn]etwork is unreachable|timed out"
        r"|Connection closed by .* port|kex_exchange_identification",
        "{name} does not answer",
        "check that it is on, in the network, and runs an ssh server: ssh {name}",
    ),
    Failure(SSH, FULL, NO_SPACE, FREE),
    Failure(
        SSH,
        r"not recognized as an internal|CommandNotFoundException|sh: not found"
        r"|sh: command not found|subsystem request failed",
        "{name} has no POSIX shell, or no scp",
        "on Windows WSL has one, and `bench cell` runs there by hand; else install openssh there",
    ),
    Failure(
        ADB,
        r"device unauthorized",
        "{name} has not allowed this computer",
        "unlock its screen, accept the key that it asks about, and look at: adb devices",
    ),
    Failure(
        ADB,
        r"device offline",
        "{name} is offline",
        "plug it in again, or adb reconnect; then adb devices says `device`",
    ),
    Failure(
        ADB,
        r"device '.*' not found|device not found|no devices/emulators found|no devices found",
        "adb knows no device {name}",
        "adb devices lists them; USB debugging has to be on, or: adb connect HOST:PORT",
    ),
    Failure(
        ADB,
        r"no permissions",
        "this user may not use {name} over USB",
        "the rules of udev for it: http://developer.android.com/tools/device.html",
    ),
    Failure(
        ADB,
        r"cannot connect to daemon|failed to start daemon|server version",
        "adb's own server does not answer",
        "adb kill-server, then adb devices",
    ),
    Failure(ADB, FULL, NO_SPACE, "free its disk: adb shell df, adb shell rm"),
)


def failure(target: Target, said: str, doing: str) -> DeviceError:
    """The error of a program that ended with what it said on stderr.

    Args:
        target: the machine.
        said: all of stderr.
        doing: what was done, such as `copying to it`, where no row of the table fits.
    """
    last = last_words(said)
    for row in FAILURES:
        if row.kind == target.kind and re.search(row.says, said):
            problem = row.problem.format(name=target.name)
            return DeviceError(
                f"{problem}: {last}" if last else problem, fix=row.fix.format(name=target.name)
            )
    by_hand = f"ssh {target.name}" if target.kind == SSH else f"adb -s {target.name} shell"
    return DeviceError(
        f"{doing} failed on {target.name}: {last or 'it says no more'}",
        fix=f"see whether it works by hand: {by_hand}",
    )


def last_words(said: str) -> str:
    """The last line that says something, without warnings where there is more; shortened."""
    lines = [line.strip() for line in said.splitlines() if line.strip(" @\r")]
    told = [line for line in lines if not line.startswith(("Warning:", "* daemon"))] or lines
    last = told[-1] if told else ""
    return last if len(last) <= MOST_SAID else f"{last[:MOST_SAID]}…"
