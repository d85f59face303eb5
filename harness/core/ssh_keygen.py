"""Signatures by OpenSSH's own `ssh-keygen -Y`: nothing here computes or decodes one itself.

Its format is PROTOCOL.sshsig of OpenSSH: an armoured signature of any bytes, for one namespace, by
a key that lies in a file, in an agent or on a token. Who may sign is a file of "allowed signers",
see ssh-keygen(1).
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.core.environment import child_variables
from harness.core.errors import DeviceError, UsageError

TOOL = "ssh-keygen"
DEBIAN_PACKAGE = "openssh-client"
NEEDED = "8.8 or newer"  # -Y is older, but not the time for which a signer is asked
AGENT = ("SSH_AUTH_SOCK", "SSH_ASKPASS", "SSH_ASKPASS_REQUIRE")  # how it finds and asks for a key
ANSWERS_WITHIN_S = 60.0  # where nobody is asked anything
AT_ONCE = 500  # texts that one process signs: a command line of Windows has 32,767 characters
END = b"-----END SSH SIGNATURE-----"
# What is said of `-Y` by versions that lack it (before 8.1), or a word or option behind it.
TOO_OLD = ("unknown option", "illegal option", "Unsupported operation for -Y", "Invalid option")
KEY = re.compile(r"with (\S+) key (SHA256:\S+)")


@dataclass(frozen=True, slots=True)
class Checked:
    """What ssh-keygen says of a signature.

    Attributes:
        is_good: it is one of these bytes, for this namespace.
        key: kind and fingerprint of the key, `ED25519 SHA256:...`; empty where it is not good.
        said: why it is not good, its own words; empty where it is.
    """

    is_good: bool
    key: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed, of the allowed signers.

    Attributes:
        name: a principal of their file; empty: the signature is bad, or its key is not theirs.
        said: what keeps a line of the file from counting, `line 2: key has expired`; empty: no
            line does.
    """

    name: str = ""
    said: str = ""


def sign_texts(texts: Sequence[bytes], key: Path, namespace: str, asks: bool) -> list[bytes]:
    """Sign every text with one key, which is unlocked once.

    Args:
        texts: bytes.
        key: file of a private key, or of a public one whose private key an agent has.
        namespace: what the signatures are for; they are good for nothing else.
        asks: there is a terminal, where ssh-keygen asks for a passphrase or a touch.

    Returns:
        Armoured signatures, in the order of the texts.

    Raises:
        UsageError: the key cannot be used.
        DeviceError: there is no ssh-keygen, or one that is too old.
    """
    if not key.is_file():
        raise UsageError(f"--key {key} is no file", fix="an ssh key: ssh-keygen -t ed25519")
    with TemporaryDirectory() as folder:
        files = [Path(folder) / str(number) for number in range(len(texts))]
        for file, text in zip(files, texts, strict=True):
            file.write_bytes(text)
        words = ["-q", "-Y", "sign", "-f", str(key.absolute()), "-n", namespace]
        for first in range(0, len(files), AT_ONCE):
            names = [file.name for file in files[first : first + AT_ONCE]]
            _sign([*words, *names], folder, key, asks)
        return [file.with_name(f"{file.name}.sig").read_bytes() for file in files]


def check_signature(signature: bytes, text: bytes, namespace: str) -> Checked:
    """Whether a signature is one of these bytes, whoever made it.

    Args:
        signature: armoured; what follows its last line is no part.
        text: what was signed.
        namespace: what it has to be for.

    Raises:
        DeviceError: there is no ssh-keygen, or one that is too old.
    """
    with _file_of(signature) as file:
        words = ["-Y", "check-novalidate", "-n", namespace, "-s", file]
        return _checked(_run(words, text))


def find_signer(
    signature: bytes, text: bytes, namespace: str, allowed: Path, when: datetime | None
) -> Signer:
    """Who signed these bytes, of those who may.

    Args:
        signature: armoured.
        text: what was signed.
        namespace: what it has to be for.
        allowed: file of allowed signers.
        when: the time at which the key had to be valid; None: now.

    Raises:
        DeviceError: there is no ssh-keygen, or one that is too old.
    """
    said = ""
    at = [] if when is None else [f"-Overify-time={when.astimezone():%Y%m%d%H%M%S}"]
    with _file_of(signature) as file:
        words = ["-s", file, "-f", str(allowed.absolute()), *at]
        found = _run(["-Y", "find-principals", *words], b"")
        if found.returncode != 0:
            return Signer(said=_of_line(allowed, found.stderr))
        for name in found.stdout.splitlines():
            done = _run(["-Y", "verify", "-I", name, "-n", namespace, *words], text)
            if done.returncode == 0:
                return Signer(name)
            said = _of_line(allowed, done.stderr)
    return Signer(said=said)


@contextmanager
def _file_of(signature: bytes) -> Iterator[str]:
    """A file with a signature, without what follows it, while the block lasts."""
    head, end, _ = signature.partition(END)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "signature"
        file.write_bytes(head + end + b"\n")
        yield str(file)


def _sign(words: Sequence[str], folder: str, key: Path, asks: bool) -> None:
    """Write a signature beside each file of a folder that is named last in `words`.

    With a terminal the standard streams are left to ssh-keygen: it asks only where stdin is one.
    """
    done = subprocess.run(
        [_program(), *words],
        cwd=folder,
        env=child_variables(AGENT),
        stdin=None if asks else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=None if asks else subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        return
    said = done.stderr or ""
    _refuse_old(said)
    why = _last_line(said, key) or "ssh-keygen says above why"
    fix = "the key that fits, and its passphrase"
    if not asks:
        fix = "a terminal, where ssh-keygen asks for a passphrase, or first: ssh-add KEY"
    raise UsageError(f"--key {key} cannot sign: {why}", fix=fix)


def _run(words: Sequence[str], text: bytes) -> "subprocess.CompletedProcess[str]":
    """Ask what needs no key of ours; its streams are text that nobody vouches for.

    Raises:
        DeviceError: there is no ssh-keygen, one that is too old, or one that does not answer.
    """
    try:
        done = subprocess.run(
            [_program(), *words],
            env=child_variables(),
            input=text,
            capture_output=True,
            timeout=ANSWERS_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(
            f"{TOOL} did not answer within {ANSWERS_WITHIN_S:.0f} s", fix="another one in PATH"
        ) from error
    out, err = (stream.decode("utf-8", "replace") for stream in (done.stdout, done.stderr))
    _refuse_old(err)
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def _of_line(allowed: Path, said: str) -> str:
    """What is said of a line of the allowed signers, `line 2: key has expired`; empty: nothing."""
    found = re.search(rf"^{re.escape(str(allowed.absolute()))}:(\d+): (.+)$", said, re.MULTILINE)
    return f"line {found[1]}: {found[2]}" if found else ""


def _checked(done: "subprocess.CompletedProcess[str]") -> Checked:
    found = KEY.search(done.stdout)
    if done.returncode == 0 and found:
        return Checked(True, key=f"{found[1]} {found[2]}")
    return Checked(False, said=_last_line(done.stderr) or f"{TOOL} says no more")


def _program() -> str:
    """Where ssh-keygen lies.

    Raises:
        DeviceError: nowhere in PATH.
    """
    found = shutil.which(TOOL)
    if found is None:
        raise DeviceError(
            f"signatures need {TOOL}, which is not installed",
            fix=f"the package {DEBIAN_PACKAGE} of Debian and Ubuntu, or OpenSSH {NEEDED}",
        )
    return found


def _refuse_old(said: str) -> None:
    """Name an ssh-keygen that does not know what it is asked.

    Raises:
        DeviceError: it is one.
    """
    if any(words in said for words in TOO_OLD):
        raise DeviceError(
            f"this {TOOL} is too old for signatures: {_last_line(said.partition('usage:')[0])}",
            fix=f"OpenSSH {NEEDED} (Debian and Ubuntu: {DEBIAN_PACKAGE})",
        )


def _last_line(said: str, key: Path | None = None) -> str:
    """The last thing that was said; a key by its name as it was given."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if not lines:
        return ""
    return lines[-1] if key is None else lines[-1].replace(str(key.absolute()), str(key))
