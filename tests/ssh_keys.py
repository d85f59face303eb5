"""Keys of tests, made by ssh-keygen for one test and good for nothing else."""

import shutil
import subprocess

import pytest

needs_keygen = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="ssh-keygen (Debian: openssh-client) is missing"
)


def make_key(folder, name, passphrase=""):
    """An Ed25519 key pair; its private file."""
    file = folder / name
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", str(file)]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    return file


def allowed_line(who, key, options=""):
    """A line of allowed signers, for a private key's file."""
    public = key.with_name(f"{key.name}.pub").read_text(encoding="utf-8").strip()
    return " ".join(filter(None, (who, options, public))) + "\n"
