"""This package as a wheel, made of the files that run now: the same bytes for the same files.

A wheel of an index may not be there, and would be another one than the code that asks.
Format: the binary distribution format of PyPA (packaging.python.org), version 1.0.
"""

import base64
import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from harness.core.errors import DeviceError
from harness.core.records import KINDS, data_folder
from harness.core.version import DISTRIBUTION, NOT_INSTALLED, dependencies, installed_version

PACKAGE = Path(__file__).resolve().parents[2]
EARLIEST = (1980, 1, 1, 0, 0, 0)  # that a zip file can say
READABLE = 0o100644 << 16  # rw-r--r-- of a file, where zip keeps it


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel.

    Attributes:
        name: of its file.
        files: name in it -> content, in order.
    """

    name: str
    files: dict[str, bytes]

    @property
    def digest(self) -> str:
        """16 hexadecimal digits over its files."""
        whole = hashlib.sha256()
        for item in self.files.items():
            whole.update(_recorded(item).encode())
        return whole.hexdigest()[:16]

    def packed(self) -> bytes:
        """The content of its file."""
        buffer = BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.files.items():
                entry = zipfile.ZipInfo(name, EARLIEST)
                entry.external_attr, entry.compress_type = READABLE, zipfile.ZIP_DEFLATED
                archive.writestr(entry, content)
        return buffer.getvalue()


def own_wheel() -> Wheel:
    """Make it.

    Raises:
        DeviceError: this is a bare checkout, which has no version.
    """
    version = installed_version()
    if version == NOT_INSTALLED:
        raise DeviceError("bench is not installed here: it has no version", fix="pip install .")
    base = f"{DISTRIBUTION.replace('-', '_')}-{version}"
    files = dict(_package_files()) | _metadata(base, version)
    record = f"{base}.dist-info/RECORD"
    files[record] = ("".join(map(_recorded, files.items())) + f"{record},,\n").encode()
    return Wheel(f"{base}-py3-none-any.whl", files)


def _package_files() -> Iterator[tuple[str, bytes]]:
    """Name in the wheel and content of every file of the package and of its data, in order."""
    folders = [("harness", PACKAGE), *((f"harness/_data/{one}", data_folder(one)) for one in KINDS)]
    for name, folder in folders:
        for path in sorted(folder.rglob("*")):
            inner = path.relative_to(folder)
            if "__pycache__" in inner.parts or not path.is_file():
                continue
            if name == "harness" and inner.parts[0] == "_data":
                continue
            yield f"{name}/{inner.as_posix()}", path.read_bytes()


def _metadata(base: str, version: str) -> dict[str, bytes]:
    """The files that say what the wheel is."""
    needs = "".join(f"Requires-Dist: {line}\n" for line in dependencies())
    said = f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {version}\n"
    return {
        f"{base}.dist-info/METADATA": f"{said}Requires-Python: >=3.11\n{needs}".encode(),
        f"{base}.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: bench\n"
        b"Root-Is-Purelib: true\nTag: py3-none-any\n",
        f"{base}.dist-info/entry_points.txt": b"[console_scripts]\n"
        b"bench = harness.__main__:run_and_exit\n",
    }


def _recorded(item: tuple[str, bytes]) -> str:
    """A line of RECORD: name, digest, size."""
    name, content = item
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}\n"
