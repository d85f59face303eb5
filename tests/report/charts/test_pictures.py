"""The pictures of the README are what their document draws: marks, data and words, not pixels."""

import importlib.util
import re
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SVG = "{http://www.w3.org/2000/svg}"
README = (ROOT / "README.md").read_text(encoding="utf-8")
MOST_BYTES = 60_000
SHOWN = re.compile(r'="https://raw\.githubusercontent\.com/[\w-]+/[\w-]+/main/([^"]+\.svg)"')


def load_script():
    """docs/pictures.py as a module; docs is no package."""
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "docs" / "pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def redrawn():
    return load_script().pictures()


def structure(svg):
    """Elements of each kind, every text, and the data that each mark says it stands for."""
    root = ET.fromstring(svg)
    elements = Counter(one.tag.removeprefix(SVG) for one in root.iter())
    texts = sorted("".join(one.itertext()) for one in root.iter(f"{SVG}text"))
    labels = sorted(one.get("aria-label", "") for one in root.iter())
    return elements, texts, labels


def test_they_are_those_of_the_document(redrawn):
    """Draw them again: python docs/pictures.py."""
    for path, svg in redrawn.items():
        assert structure(path.read_text(encoding="utf-8")) == structure(svg), path.name


def test_they_hold_the_data_of_their_marks(redrawn):
    for svg in redrawn.values():
        assert any("int4" in label for label in structure(svg)[2])


def test_they_are_small(redrawn):
    assert all(path.stat().st_size < MOST_BYTES for path in redrawn)


def test_the_readme_opens_with_them(redrawn):
    """Before the first heading below the title, light and dark."""
    shown = {ROOT / name for name in SHOWN.findall(README.split("\n## ")[0])}
    assert shown == set(redrawn)
