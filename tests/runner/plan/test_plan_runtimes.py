"""A runtime is an axis of the plan; what genai does not run is refused before anything is built."""

from dataclasses import replace

import pytest

from harness.core.errors import DeviceError, UsageError
from harness.runner.plan import make_plan, runtimes
from harness.runner.settings import Settings, flag_values
from tests.exports import EXPORTS

SMALL = Settings(model=("bytelm",), quant=("int4",), prompt=(16,), runtime=("ort", "genai"))


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """As if onnxruntime-genai were there: nothing here runs it."""
    monkeypatch.setattr(runtimes, "find_spec", lambda name: object())


def test_both_runtimes_are_sessions_of_the_same_tests():
    ours, theirs = make_plan(SMALL, 1).groups
    assert ours.workloads == theirs.workloads
    keys = ["bytelm/int4/cpu/ort/t1/b1", "bytelm/int4/cpu/genai/t1/b1"]
    assert [ours.key, theirs.key] == keys
    assert ours.worker != theirs.worker


def test_the_flag_takes_names():
    assert flag_values({"runtime": "ort,genai"}) == {"runtime": ("ort", "genai")}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"runtime": ("llama",)}, "no runtime is called 'llama'"),
        ({"batch": (1, 4)}, "--runtime genai does not run 4 sequences at once"),
        ({"kv_cache": ("int8",)}, "--runtime genai does not run a cache of int8"),
        ({"model": ("all-minilm-l6-v2",)}, "does not run an encoder, all-minilm-l6-v2"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_what_genai_does_not_run_is_refused(changes, problem):
    with pytest.raises(UsageError, match=problem):
        make_plan(replace(SMALL, **changes), 1)


def test_models_that_keep_states_run_too():
    ours, theirs = make_plan(replace(SMALL, model=("lfm2-350m",)), 1).groups
    assert [ours.runtime, theirs.runtime] == ["ort", "genai"]


def test_an_exported_folder_needs_the_configuration_of_genai():
    """Of two exports of one model, the builder's runs and Optimum's is refused."""
    ours, theirs = make_plan(replace(SMALL, model=(str(EXPORTS / "genai/llama-int4"),)), 1).groups
    assert [ours.runtime, theirs.runtime] == ["ort", "genai"]
    with pytest.raises(UsageError, match=r"has no genai_config\.json"):
        make_plan(replace(SMALL, model=(str(EXPORTS / "optimum/llama-past"),)), 1)


def test_without_the_package_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    with pytest.raises(DeviceError) as caught:
        make_plan(SMALL, 1)
    assert caught.value.fix == "pip install 'ondevice-bench[genai]'"
