"""Addresses of servers: taken apart, and told without the place that they name."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from harness.core.errors import UsageError

EXAMPLE = "http://localhost:8080"
PORTS = {"http": 80, "https": 443}
PATHS = ("", "/v1", "/v3", "/api", "/api/v1")  # of servers as they are started
LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost")
# An address in a line of words: up to a space, a comma, a quote, or the name of a model behind `#`.
_WRITTEN = re.compile(r"(?i)\bhttps?:[^\s,'\"#]+")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens.

    Attributes:
        scheme: `http` or `https`.
        host: a name or a number; never kept in results.
        port: of it.
        path: in front of what is asked, such as `/v1`; empty: none was given.
        model: the server's own name of a model, written behind `#`; empty: none was given.
    """

    scheme: str
    host: str
    port: int
    path: str = ""
    model: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine, by an address that no other one reaches."""
        return is_loopback(self.host)

    @property
    def where(self) -> str:
        """`loopback` or `remote`: what results say in place of the host."""
        return "loopback" if self.is_loopback else "remote"

    @property
    def told(self) -> str:
        """The server in a sentence that may be kept."""
        return f"the server ({self.where}, port {self.port})"


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine."""
    if host.casefold() in LOCAL_NAMES:
        return True
    try:
        number = ip_address(host)
    except ValueError:
        return False
    return number.is_loopback or number.is_unspecified


def is_address(word: str) -> bool:
    """Tell whether a word is written as the address of a server."""
    return word.casefold().startswith(("http:", "https:"))


def parse_address(word: str) -> Address:
    """`http://host:port/path#model` -> its parts; `http:host:port` and `http:URL` are taken too.

    Raises:
        UsageError: no host, a port that is none, a query, or credentials in it.
    """
    rest, _, model = word.partition("#")
    scheme, _, behind = rest.partition(":")
    if is_address(behind):  # http:http://...
        scheme, _, behind = behind.partition(":")
    url = f"{scheme.casefold()}://{behind.lstrip('/')}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if not host or port == 0 or any(sign.isspace() for sign in url):
        raise UsageError(
            f"{without_hosts(word)!r} is no address of a server", fix=f"--runtime {EXAMPLE}"
        )
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "the address of the server holds a name or a password, which commands are logged with",
            fix=f"--runtime {EXAMPLE}, and the key in the variable BENCH_API_KEY",
        )
    if parts.query:
        raise UsageError(
            "the address of the server holds a query (?...)", fix=f"--runtime {EXAMPLE} without it"
        )
    path = parts.path.rstrip("/")
    return Address(parts.scheme, host, port or PORTS[parts.scheme], path, model)


def without_hosts(text: str) -> str:
    """A line of words without hosts of other machines: results name no place."""
    return _WRITTEN.sub(lambda found: _hidden(found.group()), text)


def _hidden(url: str) -> str:
    """An address as it may be kept: that of this machine with a usual path, else the scheme."""
    scheme, _, behind = url.partition(":")
    if is_address(behind):
        scheme, _, behind = behind.partition(":")
    try:
        parts = urlsplit(f"{scheme}://{behind.lstrip('/')}")
        host = parts.hostname or ""
    except ValueError:
        return f"{scheme.casefold()}://..."
    is_plain = "@" not in behind and not parts.query and parts.path.rstrip("/") in PATHS
    return url if is_plain and is_loopback(host) else f"{scheme.casefold()}://..."
