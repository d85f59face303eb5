"""When a commit was made, where git can tell: what trends by commit are sorted by."""

import re
import subprocess

from harness.core.environment import child_variables
from harness.core.errors import UsageError
from harness.history.database import Commit

NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._/+-]{0,199}")
WAIT_S = 10.0


def named_commit(name: str) -> Commit:
    """A commit by its hash or another name, with its date where the folder's repository has it.

    Raises:
        UsageError: it is no name of a commit.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"--commit {name!r} is no commit", fix="its hash, or a name without spaces"
        )
    # What a repository sets may name a program that checks signatures, which is not to be run.
    command = ["git", "-c", "log.showSignature=false"]
    command += ["show", "-s", "--format=%cI", f"{name}^{{commit}}"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            stdin=subprocess.DEVNULL,
            env=_variables(),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return Commit(name)
    return Commit(name, done.stdout.strip() if done.returncode == 0 else "")


def _variables() -> dict[str, str]:
    """The variables of a child, without settings of git of which only a part is left."""
    return {
        name: value
        for name, value in child_variables().items()
        if not name.startswith("GIT_CONFIG_")
    }
