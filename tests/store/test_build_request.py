"""A request says where its build lies, by everything that decides the bytes and nothing else."""

from dataclasses import replace

import pytest

from harness.builder.graph.static.geometry import StaticShapes
from harness.core.errors import UsageError
from harness.models.weights.source import resolve_model
from harness.store.hashes import source_hash
from harness.store.request import build_request

SMOLLM = resolve_model("smollm2-135m")


def test_its_folder_is_named_by_its_hash():
    request = build_request(SMOLLM, "int4")
    digest = source_hash(SMOLLM, request.level, "seeded-v1-0", request.cache)
    assert request.content_hash == digest
    assert request.folder_name == f"smollm2-135m-int4-{digest}"


def test_another_cache_is_part_of_the_name():
    request = build_request(SMOLLM, "int4", kv_cache="int8")
    assert request.folder_name == f"smollm2-135m-int4-kv-int8-{request.content_hash}"
    assert build_request(SMOLLM, "int4", kv_cache="fp32") == build_request(SMOLLM, "int4")


def test_what_decides_the_bytes_decides_the_hash():
    static = ("a16w8", 0, "auto", StaticShapes(16, 64))
    asked = (("int4",), ("int8",), ("int4", 1), ("int4", 0, "int8"), static)
    assert len({build_request(SMOLLM, *words).content_hash for words in asked}) == len(asked)


def test_an_alias_of_the_same_numbers_is_the_same_build():
    """A name describes a model and builds nothing."""
    other = replace(SMOLLM, spec=replace(SMOLLM.spec, name="other", license="mit"))
    assert build_request(other, "int4").content_hash == build_request(SMOLLM, "int4").content_hash


@pytest.mark.parametrize(
    ("words", "said"),
    [(("a8w8",), "for the tests of a plan"), (("int3",), "int3"), (("int4", -1), "seed")],
)
def test_what_cannot_be_built_is_refused(words, said):
    with pytest.raises(UsageError, match=said):
        build_request(SMOLLM, *words)
