"""OpenSSH's server on loopback for one test: its own keys, port and settings, no system service."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fleet.remote.pretend import write_program
from tests.ssh_keys import make_key

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
SFTP = Path("/usr/lib/openssh/sftp-server")
needs_sshd = pytest.mark.skipif(
    SSHD is None or not SFTP.exists(), reason="sshd (Debian: openssh-server) is missing"
)
# As it comes up to PubkeyAuthentication; then whoever logs in has a folder of the test as a home.
CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
AuthorizedKeysFile {folder}/user.pub
Subsystem sftp {sftp}
ForceCommand cd "{home}" && HOME="{home}" && export HOME && eval "$SSH_ORIGINAL_COMMAND"
"""
OURS = """
Host board
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile {folder}/user
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
"""


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        folder: of its keys and settings.
        home: of whoever logs in.
        child: its process.
    """

    folder: Path
    home: Path
    child: "subprocess.Popen[bytes]"

    def forget_host(self) -> None:
        """Let ssh know no host key."""
        (self.folder / "known_hosts").write_text("", encoding="utf-8")

    def hang_up(self) -> None:
        """End every connection, as a network that is gone would in the end."""
        children = subprocess.run(
            ["pgrep", "-P", str(self.child.pid)], capture_output=True, text=True, check=False
        )
        for pid in children.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), 9)


@contextmanager
def serving(folder: Path, monkeypatch: pytest.MonkeyPatch, variables: str = "") -> Iterator[Server]:
    """Run a server for `ssh board`, whose settings a wrapper in PATH gives to ssh and scp.

    `variables` are set for whoever logs in. ssh finds ~/.ssh/config by the user's entry of the
    system, whatever HOME says.
    """
    home = folder / "its home"
    home.mkdir()
    host = make_key(folder, "host")
    make_key(folder, "user")
    port = _free_port()
    known = host.with_name("host.pub").read_text(encoding="utf-8").rsplit(" ", 1)[0].strip()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {known}\n", encoding="utf-8")
    words = {"port": port, "folder": folder, "home": home, "sftp": SFTP}
    said = CONFIG.format(**words) + f"SetEnv {variables}\n" * bool(variables)
    (folder / "sshd_config").write_text(said, encoding="utf-8")
    user = pwd.getpwuid(os.getuid()).pw_name
    (folder / "config").write_text(OURS.format(user=user, **words), encoding="utf-8")
    for name in ("ssh", "scp"):
        real = shutil.which(name)
        text = f'#!/bin/sh\nexec {real} -F "{folder}/config" "$@"\n'
        write_program(folder / "bin", name, text)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where root's sshd shuts itself in
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen([str(SSHD), "-D", "-e", "-f", str(folder / "sshd_config")],
                                 stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # fmt: skip
        try:
            _await(port, child, folder / "log")
            yield Server(folder, home, child)
        finally:
            child.terminate()
            child.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _await(port: int, child: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until it listens."""
    for _ in range(200):
        if child.poll() is not None:
            pytest.fail(f"sshd ended: {log.read_text(encoding='utf-8')}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    pytest.fail("sshd does not listen")
