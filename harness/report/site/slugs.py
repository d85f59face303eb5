"""Names of files for names that anybody may have chosen: safe everywhere, and all different. Pure.

A slug is small ASCII letters, digits, dots and hyphens, begins with a letter or a digit and ends
with none but these: no folder above is reached, no file is hidden, nothing depends on whether a
file system tells `A` from `a`, and no name is one that Windows keeps for a device. A name that is
its own slug keeps it; any other one gets a digest behind it, so that a page keeps its address
whatever else is published.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable

LONGEST = 80  # characters, the digest included; with folders and suffix far below 255
DIGITS, ALL_DIGITS = 10, 64
_UNSAFE = re.compile(r"[^a-z0-9.]+")
_LIKE_OURS = re.compile(rf"-[0-9a-f]{{{DIGITS}}}\Z")
_DOTS = re.compile(r"\.{2,}")
# Devices of Windows, with any suffix; https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9]|conin|conout)(?:\..*)?\Z")


def slug(text: str) -> str:
    """The slug of one name, the same whatever other names there are."""
    plain = _plain(text)
    is_ours = _LIKE_OURS.search(plain) or _RESERVED.match(plain)
    is_own = plain and plain == text and not is_ours
    return plain if is_own else _with_digest(plain, text, DIGITS)


def slugs(texts: Iterable[str]) -> dict[str, str]:
    """The slug of each name; names whose short digests meet get whole ones.

    Args:
        texts: names; the same one may come twice.
    """
    known: dict[str, str] = {}
    taken: set[str] = set()
    for text in sorted(set(texts)):
        found = slug(text)
        if found in taken:
            found = _with_digest("", text, ALL_DIGITS)
        taken.add(found)
        known[text] = found
    return known


def _plain(text: str) -> str:
    """What of a name may stand in a slug; empty where nothing may."""
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    plain = _DOTS.sub(".", _UNSAFE.sub("-", folded.lower()))
    return plain[: LONGEST - DIGITS - 1].strip("-.")


def _with_digest(plain: str, text: str, digits: int) -> str:
    """A slug that no other name has; `x-` before what could be read as a device."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]
    head = f"x-{plain}" if _RESERVED.match(plain) else plain
    return f"{head}-{digest}" if head else f"x-{digest}"
