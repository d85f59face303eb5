"""The address of a scheduler, and the certificates of who talks to it.

Whoever reaches a dask scheduler can make it run code: tasks are pickles. So only two kinds of
addresses are taken: of this machine itself, and those with TLS, where both sides show a certificate
of the fleet's own authority.
"""

import ipaddress
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import DeviceError, StorageError, UsageError

ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})")
EXAMPLE = "tls://10.0.0.5:8786 with --tls-ca, --tls-cert and --tls-key, or tcp://127.0.0.1:8786"


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files of PEM texts.

    Attributes:
        ca: certificates of the authority that signs those of the fleet, of nobody else.
        cert: of this side.
        key: that belongs to it.
    """

    ca: Path
    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class SchedulerAddress:
    """Where a scheduler is, and how it is talked to.

    Attributes:
        text: `tcp://127.0.0.1:8786`, as dask takes it.
        is_local: it is this machine, over its loopback.
        certificates: None: without TLS.
    """

    text: str
    is_local: bool
    certificates: Certificates | None = None

    def own_host(self) -> str:
        """The address of this machine that the scheduler's network has; it sends nothing.

        dask would ask for the way to the internet, which a shelf of devices may not have.

        Raises:
            DeviceError: there is no way to the scheduler.
        """
        host, _, port = self.text.partition("://")[2].rpartition(":")
        try:
            found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
            with socket.socket(found[0], socket.SOCK_DGRAM) as one:
                one.connect(found[4])
                return str(one.getsockname()[0])
        except OSError as error:
            raise DeviceError(
                f"there is no way to {self.text}: {error.strerror}", fix="check name and network"
            ) from error

    def security(self) -> dict[str, Any]:
        """Keyword arguments of distributed.Security for a worker or a client."""
        files = self.certificates
        if files is None:
            return {"require_encryption": False}
        ours = {"cert": str(files.cert), "key": str(files.key)}
        return {
            "require_encryption": True,
            "tls_ca_file": str(files.ca),
            **{f"tls_{role}_{what}": ours[what] for role in ("client", "worker") for what in ours},
        }


def scheduler_address(
    text: str, ca: Path | None = None, cert: Path | None = None, key: Path | None = None
) -> SchedulerAddress:
    """Check an address and the files that belong to it.

    Args:
        text: `tcp://HOST:PORT` or `tls://HOST:PORT`.
        ca: the authority's certificates.
        cert: of this side.
        key: of this side.

    Raises:
        UsageError: no address, TLS without all three files, files without TLS, or an address beyond
            this machine without TLS.
        StorageError: a file cannot be read.
    """
    match = ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match[3]) < 2**16:
        raise UsageError(f"--scheduler {text!r} is no address", fix=EXAMPLE)
    is_local = _is_loopback(match[2].strip("[]"))
    if match[1] == "tcp":
        if any((ca, cert, key)):
            raise UsageError(f"{text} does not use the certificates", fix=f"tls{text[3:]}")
        if not is_local:
            raise UsageError(
                f"{text} is beyond this machine and without TLS: whoever reaches a dask scheduler"
                " can run code",
                fix=EXAMPLE,
            )
        return SchedulerAddress(text, is_local)
    if ca is None or cert is None or key is None:
        raise UsageError(f"{text} needs certificates", "--tls-ca, --tls-cert and --tls-key")
    for file in (ca, cert, key):
        _check_readable(file)
    return SchedulerAddress(text, is_local, Certificates(ca, cert, key))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, which may be anybody's
        return False


def _check_readable(file: Path) -> None:
    try:
        with file.open("rb") as opened:
            opened.read(1)
    except OSError as error:
        raise StorageError(
            f"{str(file)!r} cannot be read: {error.strerror}", fix="the path of a PEM file"
        ) from error
