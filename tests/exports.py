"""The exported toy models of tests/fixtures/exports, whole: large files lie there compressed."""

import lzma
import shutil
from atexit import register
from pathlib import Path
from tempfile import TemporaryDirectory

STORED = Path(__file__).parent / "fixtures" / "exports"


def unpacked() -> Path:
    """A folder of every export as its exporter wrote it, which lives as long as the tests run."""
    kept = TemporaryDirectory()
    register(kept.cleanup)
    for kind in ("optimum", "genai"):
        shutil.copytree(STORED / kind, Path(kept.name) / kind)
    return unpack(Path(kept.name))


def unpack(folder: Path) -> Path:
    """Put every file of a folder in the place of what is compressed."""
    for file in folder.rglob("*.xz"):
        file.with_suffix("").write_bytes(lzma.decompress(file.read_bytes()))
        file.unlink()
    return folder


EXPORTS = unpacked()
