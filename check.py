"""The one command before a commit: format, lint, strict types, fast tests; CI runs it too."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
STEPS = (
    ("format", ["-m", "ruff", "format", "--check", "."]),
    ("lint", ["-m", "ruff", "check", "."]),
    ("types", ["-m", "mypy"]),
    ("tests", ["-m", "pytest", "-n", "2", "--dist", "loadfile"]),
)


def main(arguments: list[str]) -> int:
    """Run the steps in order and stop at the first that fails; arguments go to pytest."""
    for name, command in STEPS:
        extra = arguments if name == "tests" else []
        print(f"== {name}", flush=True)
        code = subprocess.run([sys.executable, *command, *extra], cwd=ROOT, check=False).returncode
        if code:
            print(f"== {name} failed", flush=True)
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
