"""A build keeps its name as long as its bytes do: old folders in a cache stay found."""

import pytest

from harness.artifacts import hashes
from harness.quantize.levels import LEVELS
from harness.specs.load import load_spec

# Of builder version 3 before levels had zero points, methods and sensitive matrices.
FIRST_HASHES = {
    "fp32": "ccc94e311aaec215",
    "fp16": "60e60bb1037a4a93",
    "int8": "9b8d790af6a10066",
    "int8-block": "17860893eea6f246",
    "int4": "47f5bd23e409af27",
    "int4-b128": "5cede94c4d591cf8",
}


@pytest.mark.parametrize("level", FIRST_HASHES)
def test_first_levels_keep_their_hashes(level, monkeypatch):
    monkeypatch.setattr(hashes, "BUILDER_VERSION", "3")
    spec = load_spec("smollm2-135m")
    assert hashes.content_hash(spec, level, "seed 0") == FIRST_HASHES[level]


def test_every_level_has_a_hash_of_its_own():
    spec = load_spec("smollm2-135m")
    found = {hashes.content_hash(spec, level, "seed 0") for level in LEVELS}
    assert len(found) == len(LEVELS)
