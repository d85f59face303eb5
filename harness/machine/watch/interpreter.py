"""Which packages an interpreter has, asked in a child process: ours, or another one."""

import json
import subprocess
import sys
from typing import Any

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


def interpreter_facts(python: str | None) -> dict[str, Any]:
    """Version and packages of an interpreter: `python_version`, and `packages` by lower-case name.

    Args:
        python: path of its executable; None: this one.

    Raises:
        UsageError: it cannot be started, or does not answer.
    """
    words = [python or sys.executable, "-c", SCRIPT]
    try:
        answer = subprocess.run(
            words, capture_output=True, check=True, text=True, timeout=TIMEOUT_S
        )
        found: dict[str, Any] = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise UsageError(
            f"the interpreter {words[0]} does not say which packages it has",
            fix="--python-a and --python-b with the path of a Python that has this package",
        ) from error
    return found
