"""Which machine `--on` means: its name goes to ssh, scp or adb as one word of its own. Pure."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address

from harness.core.errors import UsageError

SSH, ADB = KINDS = ("ssh", "adb")
FORMS = "--on ssh:HOST, --on ssh:USER@HOST or --on adb:SERIAL"
# Signs that no shell, and neither ssh, scp nor adb, reads as anything else than themselves.
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
SERIAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:\[\]%-]*")
IN_CONFIG = "give it a name in ~/.ssh/config (Host, HostName, Port, User) and that name here"


@dataclass(frozen=True, slots=True)
class Target:
    """One machine that is reached by a program of the system.

    Attributes:
        kind: `ssh` or `adb`.
        name: what that program calls it: a host with or without its user, or a serial number.
    """

    kind: str
    name: str

    @property
    def word(self) -> str:
        """As it is typed."""
        return f"{self.kind}:{self.name}"

    @property
    def scp_name(self) -> str:
        """What stands before the colon of a path for scp: an address with colons in brackets."""
        user, at, host = self.name.rpartition("@")
        return f"{user}{at}[{host}]" if ":" in host else self.name


def parse_target(text: str) -> Target:
    """Read `--on`.

    Raises:
        UsageError: no such form, or a name that could be taken for an option or for code.
    """
    kind, colon, name = text.partition(":")
    if kind not in KINDS or not colon or not name:
        raise UsageError(f"--on {text!r} is no machine", fix=FORMS)
    if kind == ADB:
        return Target(kind, _serial(text, name))
    user, at, host = name.rpartition("@")
    if (at and not USER.fullmatch(user)) or not (HOST.fullmatch(host) or _is_address(host)):
        why = " and a port is none of it" * bool(re.search(r":\d+$", host))
        raise UsageError(f"--on {text!r}: {host!r} is no name of a host{why}", fix=IN_CONFIG)
    return Target(kind, name)


def _serial(text: str, name: str) -> str:
    """The serial number of a device.

    Raises:
        UsageError: it is none.
    """
    if not SERIAL.fullmatch(name):
        raise UsageError(f"--on {text!r}: no device has such a serial number", fix="adb devices")
    return name


def _is_address(host: str) -> bool:
    """Whether it is an address of IPv6, with or without its interface."""
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return re.fullmatch(r"[0-9A-Fa-f:.]+(%[A-Za-z0-9_.-]+)?", host) is not None
