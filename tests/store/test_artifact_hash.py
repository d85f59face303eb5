"""A build keeps its name as long as its bytes do: old folders in a cache stay found."""

import pytest

from harness.builder.quantize.levels import LEVELS
from harness.models.catalog.catalog import load_spec
from harness.store import hashes

# Of builder version 4. A later field of a spec or of a level changes them: leave it out of the hash
# at the value with which nothing changes, or raise the version and these with it.
HASHES = {
    "fp32": "e57c05b7348c7363",
    "fp16": "bd1bbf4ba4bbd535",
    "int8": "54374f0c15dc7922",
    "int8-block": "215e445cf7151635",
    "int4": "585d43bb7c2248d7",
    "int4-b128": "1a5a43356556eaf2",
}


@pytest.mark.parametrize("level", HASHES)
def test_a_level_keeps_its_hash(level, monkeypatch):
    monkeypatch.setattr(hashes, "BUILDER_VERSION", "4")
    spec = load_spec("smollm2-135m")
    assert hashes.content_hash(spec, level, "seed 0") == HASHES[level]


def test_every_level_has_a_hash_of_its_own():
    spec = load_spec("smollm2-135m")
    found = {hashes.content_hash(spec, level, "seed 0") for level in LEVELS}
    assert len(found) == len(LEVELS)
