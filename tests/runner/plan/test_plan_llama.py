"""llama.cpp beside the others: levels of its own, each standing for ours that store likewise."""

from dataclasses import replace

import pytest

from harness.core.errors import DeviceError, UsageError
from harness.runner.plan import make_plan, runtimes
from harness.runner.settings import Settings
from tests.engine.served_stub import Stub, serving
from tests.models.gguf_files import PAIRS, tiny_gguf

GIVEN = ("quant", "runtime")
SMALL = Settings(
    model=("bytelm",), quant=("int4",), prompt=(16,), runtime=("ort", "llama.cpp"), given=GIVEN
)


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """As if the packages were there: nothing here runs them."""
    monkeypatch.setattr(runtimes, "find_spec", lambda name: object())


def cells(settings):
    """`level/runtime` of every group."""
    groups = make_plan(settings, 1).groups
    return [f"{group.stored_name}/{group.runtime}" for group in groups]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["int4/ort", "q4_0/llama.cpp"]),
        (
            {"quant": ("fp32", "int8", "int8-block")},
            ["fp32/ort", "f32/llama.cpp", "int8/ort", "q8_0/llama.cpp", "int8-block/ort"],
        ),
        ({"quant": ("int4", "int4-b128")}, ["int4/ort", "q4_0/llama.cpp", "int4-b128/ort"]),
        ({"quant": ("a16w8", "int4")}, ["a16w8/ort", "int4/ort", "q4_0/llama.cpp"]),
        ({"quant": ("int4", "q4_0")}, ["int4/ort", "q4_0/llama.cpp"]),
        ({"quant": ("Q4_K_M",), "runtime": ("llama.cpp",)}, ["q4_k_m/llama.cpp"]),
        ({"quant": ("q8_0",), "runtime": ("ort",), "given": ("quant",)}, ["q8_0/llama.cpp"]),
        ({"kv_cache": ("fp32",)}, ["int4/ort", "q4_0/kv-fp32/llama.cpp"]),
    ],
    ids=str,
)
def test_each_runtime_runs_its_own_form_of_a_level(changes, expected):
    assert cells(replace(SMALL, **changes)) == expected


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"runtime": ("llama",)}, "no runtime is called 'llama'"),
        (
            {"quant": ("int2",), "runtime": ("llama.cpp",)},
            "--runtime llama.cpp does not hold int2",
        ),
        ({"quant": ("q4_0",), "runtime": ("ort",)}, "--runtime ort does not hold q4_0"),
        ({"quant": ("q4_0",)}, "--runtime ort holds none of q4_0"),
        ({"batch": (2,)}, "--runtime llama.cpp does not run 2 sequences at once"),
        ({"kv_cache": ("int8",)}, "q4_0 is run by llama.cpp, whose cache is one of floats"),
        ({"model": ("all-minilm-l6-v2",)}, "does not run an encoder"),
        ({"model": ("falcon-h1-0.5b",)}, "no row for the family falcon_h1"),
        ({"model": ("phi-3-mini-4k",), "depth": (2040,)}, "it looks at the last 2047 tokens only"),
    ],
    ids=str,
)
def test_what_llama_cpp_does_not_run_is_refused(changes, problem):
    with pytest.raises(UsageError) as caught:
        make_plan(replace(SMALL, **changes), 1)
    assert problem in caught.value.problem


def test_without_the_package_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    with pytest.raises(DeviceError) as caught:
        make_plan(SMALL, 1)
    assert caught.value.fix == "pip install 'ondevice-bench[llamacpp]'"


def test_a_file_brings_its_runtime_and_its_level(tmp_path):
    path = tiny_gguf(tmp_path / "tiny-Q4_0.gguf")
    plan = make_plan(Settings(model=(str(path),), prompt=(16,), gen=(4,)), 1)
    (group,) = plan.groups
    assert (group.runtime, group.level.name, group.provider) == ("llama.cpp", "q4_0", "llama.cpp")
    assert [test.test for test in group.workloads][:2] == ["pp16", "tg4"]
    artifact = group.model.build(group.level, group.cache, tmp_path)
    assert artifact.kv_bytes_per_token == 128 * 2
    assert group.model.identity(artifact).startswith("tiny@")


def test_a_file_is_found_on_a_server_by_its_own_name(tmp_path):
    """Results call it by its header, a server by its path."""
    path = tiny_gguf(tmp_path / "words-Q4_0.gguf", PAIRS)
    with serving(Stub(names=("models/words-Q4_0.gguf",))) as stub:
        runtimes = {"runtime": ("llama.cpp", stub.url), "given": frozenset(("runtime",))}
        groups = make_plan(Settings(model=(str(path),), prompt=(16,), **runtimes), 1).groups
    assert {group.device.key for group in groups} == {"cpu", "server"}


def test_a_file_of_an_encoder_is_refused(tmp_path):
    path = tiny_gguf(tmp_path / "words-Q8_0.gguf", PAIRS | {"llama.attention.causal": False})
    with pytest.raises(UsageError, match="words, whose architecture llama is that of an encoder"):
        make_plan(Settings(model=(str(path),), prompt=(16,), gen=(4,)), 1)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"quant": ("int4",), "given": ("quant",)}, "tiny holds q4_0"),
        ({"prompt": (200,)}, "tiny has 128"),
        ({"runtime": ("ort",), "given": ("runtime",)}, "does not run tiny, whose file holds q4_0"),
        ({"quality": True}, "quality is measured of models that are built here"),
        ({"batch": (2,)}, "does not run 2 sequences at once"),
    ],
    ids=str,
)
def test_what_a_file_cannot_answer_is_refused(tmp_path, changes, problem):
    path = tiny_gguf(tmp_path / "tiny-Q4_0.gguf", PAIRS)
    with pytest.raises(UsageError, match=problem):
        make_plan(replace(Settings(model=(str(path),), prompt=(16,)), **changes), 1)
