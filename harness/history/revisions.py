"""Commits of a repository as versions of the package that it holds."""

import re
import subprocess
from pathlib import Path

from harness.core.environment import child_variables
from harness.core.errors import DeviceError, UsageError
from harness.history.environments import NAME, Target

SHORT = 12  # digits of a commit that people are shown
TIMEOUT_S = 60.0
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
LISTED = "git rev-list --reverse --first-parent"
NAMED = "git rev-parse --verify --quiet"
WAYS = "A..B of its branch, or commits separated by commas"


def read_commits(package: str, repository: Path, text: str) -> tuple[Target, ...]:
    """Read `v1.0..main`, which is A and what follows it on the way to B, or `1a2b,3c4d`.

    Merged branches count as one commit, so that each is a state that the branch was in.

    Args:
        package: name of the distribution that the repository builds.
        repository: its folder.
        text: the range or list.

    Raises:
        UsageError: no repository, no such commit, or fewer than two.
        DeviceError: git is not installed.
    """
    if not NAME.fullmatch(package):
        raise UsageError(
            f"{package!r} is no name of a package", fix="--package NAME, as `pip list` has it"
        )
    words = [word.strip() for word in text.split(",") if word.strip()]
    if any(word.startswith("-") for word in words):
        raise UsageError(f"--commits {text!r} names no commits", fix=WAYS)
    first, dots, last = text.partition("..")
    if dots:
        begin = _commit(repository, first or "HEAD")
        listed = _git(repository, LISTED, f"{begin}..{last}")
        commits = [begin, *listed.split()]
    else:
        commits = [_commit(repository, word) for word in words]
    distinct = list(dict.fromkeys(commits))
    if len(distinct) < 2:
        raise UsageError(
            f"--commits {text!r} is {len(distinct)} commit{'s' * (not distinct)} of {repository},"
            " and a change lies between two",
            fix=WAYS,
        )
    place = repository.resolve().as_uri()
    return tuple(Target(package, one[:SHORT], f"git+{place}@{one}") for one in distinct)


def _commit(repository: Path, word: str) -> str:
    """The whole hash of a commit."""
    found = _git(repository, NAMED, f"{word}^{{commit}}").strip()
    if not _COMMIT.fullmatch(found):
        raise UsageError(f"{repository} has no commit {word!r}", fix=WAYS)
    return found


def _git(repository: Path, command: str, word: str) -> str:
    """What git answers of a word in a repository.

    Raises:
        UsageError: it is none, or there is nothing of that name.
        DeviceError: git is not installed.
    """
    if not repository.is_dir():
        raise UsageError(f"--repository {repository} is no folder", fix="--repository PATH")
    try:
        done = subprocess.run(
            [*command.split(), word],
            cwd=repository,
            capture_output=True, text=True, env=child_variables(), timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(f"git does not answer: {error}", fix="install git") from error
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"nothing there is called {word}"
        raise UsageError(f"--commits of {repository}: {said}", fix=WAYS)
    return done.stdout
