"""Names of pages: safe on every file system, and never two of one name."""

import re
import unicodedata

import pytest

from harness.report.site import slugs as module
from harness.report.site.slugs import slug, slugs

RESERVED = ("con", "NUL", "aux", "com1", "lpt9.txt", "prn.json", "CONIN$")
HOSTILE = (
    *("", ".", "..", "../../etc/passwd", "/etc/passwd", "C:\\Windows", "a/b", "a\\b", "a\0b"),
    *(".git", "_draft", "-rf", "trailing. ", "a.", "a?x=1#y", "%2e%2e", "<script>", "&amp;"),
    *("\u202egpj.exe", "x" * 300, "é" * 300, "模型", "😀", "a\nb", "\ud800", "İ", "ﬁ", "A", "a"),
    *RESERVED,
)
SAFE = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?\Z")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_slug_is_a_plain_name_wherever_it_is_written(name):
    found = slug(name)
    assert SAFE.match(found)
    assert ".." not in found
    assert len(found) <= module.LONGEST + len("x-")
    assert found.partition(".")[0] not in ("con", "nul", "aux", "prn", "com1", "lpt9")
    assert unicodedata.normalize("NFC", found) == unicodedata.normalize("NFD", found)


def test_names_that_a_file_system_confuses_have_different_slugs():
    """Upper and lower case, signs that fold to others, and what one slug would look like."""
    found = slugs(HOSTILE)
    assert len({name.casefold() for name in found.values()}) == len(set(HOSTILE))


def test_a_plain_name_is_its_own_slug_and_no_other_name_takes_it():
    assert slug("smollm2-135m") == "smollm2-135m"
    assert slug("qwen2.5-0.5b") == "qwen2.5-0.5b"
    other = slug("SmolLM2-135M")
    assert other.startswith("smollm2-135m-")
    assert slug(other) != other


def test_a_slug_does_not_depend_on_its_neighbours():
    """A page keeps its address when another one is added."""
    assert slugs(["A b", "a"])["A b"] == slugs(["A b", "c", "d"])["A b"] == slug("A b")


def test_names_whose_short_digests_meet_stay_apart(monkeypatch):
    monkeypatch.setattr(module, "DIGITS", 0)
    names = ["A b", "a  b", "a_b"]
    found = slugs(names)
    assert len(set(found.values())) == len(names)
    assert found == slugs(reversed(names))
