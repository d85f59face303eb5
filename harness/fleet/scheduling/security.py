"""The address of a scheduler, and the certificates of who talks to it.

Whoever reaches a dask scheduler can make it run code: tasks are pickles. So only two kinds of
addresses are taken: of this machine itself, and those with TLS, where both sides show a certificate
of the fleet's own authority.
"""

import ipaddress
import re
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import DeviceError, StorageError, UsageError

ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})")
HANDSHAKE_S = 5.0
FIX = "certificates that one authority has signed, on every side (docs/fleet.md)"
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
            this machine without TLS; files that are no certificates, or no key that belongs to one.
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
    files = Certificates(ca, cert, key)
    _context(files)
    return SchedulerAddress(text, is_local, files)


def check_handshake(scheduler: SchedulerAddress) -> None:
    """Shake hands with a scheduler once, which says in words what dask repeats in silence.

    One that does not answer at all is for dask to wait for.

    Raises:
        DeviceError: it shows or takes another authority's certificates, or speaks no TLS.
    """
    if scheduler.certificates is None:
        return
    context = _context(scheduler.certificates)
    host, _, port = scheduler.text.partition("://")[2].rpartition(":")
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), HANDSHAKE_S) as plain,
            context.wrap_socket(plain) as shaken,
        ):
            shaken.recv(1)  # of TLS 1.3 a refusal of our certificate comes only now
    except ssl.SSLError as error:
        raise DeviceError(_refusal(scheduler, error), fix=FIX) from error
    except OSError:
        return


def _refusal(scheduler: SchedulerAddress, error: ssl.SSLError) -> str:
    """Which side does not take which certificate, and why."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message
        return f"the certificate of {scheduler.text} is not taken: {why} (--tls-ca)"
    reason = (error.reason or "").lower().replace("_", " ")
    _, is_alert, alert = reason.partition("alert ")
    if is_alert:
        return f"{scheduler.text} does not take our certificate: {alert} (--tls-cert)"
    return f"{scheduler.text} speaks no TLS: {reason or error}"


def _context(files: Certificates) -> ssl.SSLContext:
    """What TLS makes of the files.

    Raises:
        UsageError: one is no PEM file of its kind, or the key belongs to another certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # as dask has it: whoever the authority signed is of the fleet
    try:
        context.load_verify_locations(files.ca)
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(
            f"{str(files.ca)!r} holds no certificates", fix="--tls-ca: those of the authority, PEM"
        ) from error
    try:
        context.load_cert_chain(files.cert, files.key, password=lambda: b"")
    except (ssl.SSLError, ValueError) as error:
        reason = (getattr(error, "reason", None) or str(error)).lower().replace("_", " ")
        raise UsageError(
            f"{str(files.cert)!r} and {str(files.key)!r} are no certificate with its key: {reason}",
            fix="--tls-cert and --tls-key of one side, PEM, the key without a password",
        ) from error
    return context


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
