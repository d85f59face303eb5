"""Certificates of an authority that a test makes, by openssl."""

import subprocess
from pathlib import Path

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


def openssl(folder: Path, *words: str) -> None:
    """Run openssl in a folder."""
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def certificates(folder: Path) -> Path:
    """An authority of its own, and one side that it has signed: `ca`, `cert` and `key`."""
    folder.mkdir()
    openssl(folder, "req", "-x509", *CURVE, "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca")
    openssl(folder, "req", *CURVE[:-2], "-subj", "/CN=side", "-keyout", "key", "-out", "side.csr")
    signed = ("-CA", "ca", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-out", "cert")
    openssl(folder, "x509", "-req", "-in", "side.csr", *signed)
    return folder
