"""Which packages an interpreter has, asked in a child process: ours, or another one."""

import subprocess
import sys

import msgspec

from harness.core.environment import child_variables
from harness.core.errors import UsageError

TIMEOUT_S = 60.0  # Assumes: an interpreter starts and reads its packages' names in less
# The commit of a package that was installed from a repository stands beside its version.
SCRIPT = """
import json, platform
from importlib import metadata
found = {}
for one in metadata.distributions():
    name, source = one.metadata["Name"], one.read_text("direct_url.json")
    commit = json.loads(source).get("vcs_info", {}).get("commit_id", "") if source else ""
    if name:
        found[name.lower()] = one.version + (f" at {commit[:9]}" if commit else "")
print(json.dumps({"python_version": platform.python_version(), "packages": found}))
"""


class InterpreterFacts(msgspec.Struct, frozen=True):
    """What an interpreter says of itself.

    Attributes:
        python_version: its own.
        packages: their versions, by lower-case name.
    """

    python_version: str
    packages: dict[str, str]


def interpreter_facts(python: str | None) -> InterpreterFacts:
    """Ask an interpreter for its version and packages.

    Args:
        python: path of its executable; None: this one.

    Raises:
        UsageError: it cannot be started, or does not answer.
    """
    words = [python or sys.executable, "-c", SCRIPT]
    try:
        answer = subprocess.run(
            words,
            env=child_variables(),
            capture_output=True,
            check=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        return msgspec.json.decode(answer.stdout, type=InterpreterFacts)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise UsageError(
            f"the interpreter {words[0]} does not say which packages it has",
            fix="--python-a and --python-b with the path of a Python that has this package",
        ) from error
