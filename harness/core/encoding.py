"""Text files as people have them: UTF-8 with or without a mark, UTF-16 and UTF-32.

An editor of Windows puts a mark before UTF-8, and `>` of PowerShell 5 writes UTF-16. Every JSON
and TOML file, of others or our own, is read through here.
"""

import codecs
import io
import json
from pathlib import Path
from typing import Any

MARKS = (  # the longer first: the mark of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Which of the first four bytes are zero where there is no mark: JSON and TOML begin in ASCII.
ZEROS: dict[tuple[bool, ...], str] = {
    (False, True, True, True): "utf-32-le",
    (True, True, True, False): "utf-32-be",
    (False, True, False, True): "utf-16-le",
    (True, False, True, False): "utf-16-be",
}

# How what an output cannot hold is drawn: as wide as it was, so that tables stay in line.
ASCII_SIGNS = {
    **dict.fromkeys("–—−‐‑", "-"),
    **dict.fromkeys("‘’", "'"),
    **dict.fromkeys("“”", '"'),
    "×": "x",
    "·": "-",
    "…": "~",
    "±": "~",
    "≤": "<",
    "≥": ">",
    "→": ">",
    "²": "2",
}
REPLACED = "bench.replaced"
PLAIN = "bench_ascii"


def text_from(content: bytes) -> str:
    """Decode the bytes of a text file; a mark at its beginning is no part of the text.

    Raises:
        ValueError: it is no text in the encoding that it begins in; the encoding is named.
    """
    mark, encoding = next(
        ((mark, name) for mark, name in MARKS if content.startswith(mark)), (b"", "")
    )
    encoding = encoding or ZEROS.get(tuple(byte == 0 for byte in content[:4]), "utf-8")
    try:
        return content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        wrong = content[len(mark) + error.start]
        raise ValueError(
            f"byte {wrong:#04x} at {len(mark) + error.start} is no text in "
            f"{encoding[:6].upper()}; save it as UTF-8"
        ) from error


def utf8_from(content: bytes) -> bytes:
    """The same text in UTF-8 without a mark; what is so already is passed on unread.

    Raises:
        ValueError: as text_from.
    """
    marked = content.startswith(tuple(mark for mark, _ in MARKS)) or b"\0" in content[:4]
    return text_from(content).encode() if marked else content


def read_text(path: Path) -> str:
    """Read a text file.

    Raises:
        OSError: it cannot be read.
        ValueError: as text_from.
    """
    return text_from(path.read_bytes())


def read_json_file(path: Path) -> Any:
    """Read a JSON file, its errors as Python has them; records.read_json says them to a user.

    Raises:
        OSError: it cannot be read.
        ValueError: as text_from, or it is no JSON.
        RecursionError: it is nested too deep.
    """
    return json.loads(read_text(path))


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """Draw what an output's encoding cannot hold: by ASCII_SIGNS, else as its visible escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    drawn = (
        ASCII_SIGNS.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in lost
    )
    return "".join(drawn), error.end


codecs.register_error(REPLACED, _replaced)


def printable(stream: io.TextIOWrapper) -> None:
    """Let a stream draw what its encoding cannot hold with other signs, instead of failing.

    Of ASCII the name is changed as well: click takes it for a mistake and writes UTF-8.
    """
    is_ascii = codecs.lookup(stream.encoding).name == "ascii"
    stream.reconfigure(encoding=PLAIN if is_ascii else None, errors=REPLACED)


def _plain(name: str) -> codecs.CodecInfo | None:
    """ASCII under a name of ours."""
    if name != PLAIN:
        return None
    found = codecs.lookup("ascii")
    return codecs.CodecInfo(
        found.encode,
        found.decode,
        found.streamreader,
        found.streamwriter,
        found.incrementalencoder,
        found.incrementaldecoder,
        PLAIN,
    )


codecs.register(_plain)
