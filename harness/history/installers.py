"""What makes an environment and installs into it: uv, or venv and pip."""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.core.environment import child_variables
from harness.core.errors import DeviceError, StorageError

TIMEOUT_S = 1800.0
QUIET_PIP = {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
# Addresses of an index, which may hold a password: an installer needs them as they are.
INDEX_VARIABLES = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"),
    *("UV_DEFAULT_INDEX", "UV_INDEX", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"),
)
NO_NETWORK = re.compile(
    r"dns error|failed to fetch|connection|network is unreachable|name resolution|timed out"
    r"|error sending request|proxy",
    re.IGNORECASE,
)
NO_SPACE = re.compile(r"no space left|os error 28|disk quota", re.IGNORECASE)
WHO = re.compile(r"(?<=://)[^/@\s]+@")  # name and password of an address
ABSENT = re.compile(r"there is no version of [^ ,]+")
NO_PACKAGE = re.compile(r"from versions: none|not found in the package registry")
NO_VERSION = re.compile(r"no version of|no matching distribution|unsatisfiable", re.IGNORECASE)


class Installer(Protocol):
    """What makes an environment."""

    def install(self, folder: Path, requirements: Sequence[str]) -> None:
        """Make an environment in a folder that is not there yet, with these packages.

        Raises:
            DeviceError: it cannot be made; says which requirement or what of the network.
            StorageError: the disk is full.
        """


@dataclass(frozen=True, slots=True)
class Commands:
    """An installer that is a command: uv where it is found, else venv and pip.

    Attributes:
        uv: path of uv; None: venv and pip of this interpreter.
    """

    uv: str | None

    def install(self, folder: Path, requirements: Sequence[str]) -> None:
        """Make it, then install into it."""
        python = str(python_of(folder))
        if self.uv is not None:
            _call([self.uv, "venv", "-q", "-p", sys.executable, str(folder)])
            _call([self.uv, "pip", "install", "-q", "-p", python, *requirements])
            return
        _call([sys.executable, "-m", "venv", str(folder)])
        _call([python, "-m", "pip", "install", "-q", *requirements])


def usual_installer() -> Commands:
    """Uv where there is one, else pip."""
    return Commands(shutil.which("uv"))


def python_of(folder: Path) -> Path:
    """The interpreter of an environment."""
    windows = sys.platform == "win32"
    return folder / ("Scripts/python.exe" if windows else "bin/python")


def _call(words: Sequence[str]) -> None:
    """Run an installer's command.

    Raises:
        DeviceError: it failed; its reason in one sentence.
        StorageError: for want of space.
    """
    variables = child_variables(INDEX_VARIABLES) | QUIET_PIP
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):  # of this interpreter, not of that one
        variables.pop(name, None)
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, errors="replace", env=variables,
            timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(
            f"{Path(words[0]).name} did not answer: {error}", fix="check the installation of it"
        ) from error
    if done.returncode != 0:
        raise installer_error(done.stderr or done.stdout)


def installer_error(output: str) -> DeviceError | StorageError:
    """What an installer's last words mean: a sentence for what is wrong, one for what helps."""
    reason = " ".join(re.sub(r"[×╰─▶│╭╯├]", " ", WHO.sub("", output)).split())
    absent = ABSENT.search(reason)
    said = absent[0] if absent else reason.rpartition("ERROR: ")[2] or reason
    said = said if len(said) <= 240 else f"{said[:240]}…"
    if NO_SPACE.search(reason):
        return StorageError(
            f"no space for it: {said}", fix="free the disk, or --cache with a folder on another one"
        )
    if NO_NETWORK.search(reason):
        return DeviceError(
            f"the package index does not answer: {said}",
            fix="check the network and the installer's index, and give the same command again",
        )
    if NO_PACKAGE.search(reason):
        return DeviceError(
            f"the index knows no such package, or does not answer: {said}",
            fix="check the name, the network and the installer's index",
        )
    if NO_VERSION.search(reason):
        return DeviceError(
            f"the index has no such version for this Python and system: {said}",
            fix="pip index versions NAME lists them",
        )
    return DeviceError(f"it cannot be installed: {said}", fix="try it in an environment by hand")
