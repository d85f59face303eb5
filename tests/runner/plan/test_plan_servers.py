"""A server is a runtime made of its address: which model is meant, what it cannot be asked."""

from dataclasses import replace

import pytest

from harness.core.errors import DeviceError, UsageError
from harness.runner.plan import in_one_session, make_plan
from harness.runner.settings import Settings
from tests.engine.served_stub import Stub, serving

TWO = ("qwen2.5:0.5b", "llama3.2:latest")


def asked(*runtimes, **changes):
    """A plan of one prompt, with these keys given."""
    given = frozenset(("runtime", *changes))
    return Settings(**{"prompt": (16,), **changes}, runtime=runtimes, given=given)


@pytest.fixture
def one():
    """A server with one model."""
    with serving(Stub(owner="llamacpp", meta={"n_params": 134_515_008, "size": 1})) as stub:
        yield stub


@pytest.fixture
def ollama():
    """A server with two models."""
    with serving(Stub(ollama=True, names=TWO)) as stub:
        yield stub


def test_a_server_brings_its_only_model(one):
    plan = make_plan(asked(one.url, gen=(4,)), 2)
    keys = [group.key for group in plan.groups]
    head = "tiny of llama-server@loopback/served/server/llama-server@loopback/t0"
    assert keys == [f"{head}/pp16", f"{head}/tg4"]  # a process of its own for each test
    (group, _) = plan.groups
    assert (group.provider, group.worker) == ("http", "harness.engine.served_worker")
    assert group.model.identity(None) == "tiny"


def test_the_plan_that_is_kept_names_models_and_no_other_machine(one):
    kept = make_plan(asked(one.url), 2).as_asked()
    assert (kept.model, kept.runtime, kept.quant) == (("tiny",), (one.url,), ("served",))


@pytest.mark.parametrize("word", ["qwen2.5:0.5b", "llama3.2"])
def test_a_model_is_called_as_the_server_calls_it(ollama, word):
    (group,) = make_plan(asked(ollama.url, model=(word,)), 2).groups
    assert group.source.listed.name.startswith(word)
    assert (group.level.name, group.model.parameters) == ("q4_0", 1234)


def test_names_behind_the_address_are_taken_beside_a_model_of_ours(one):
    settings = asked("ort", f"{one.url}#tiny", model=("smollm2-135m",), quant=("int4", "fp32"))
    ours, served, other = make_plan(settings, 2).groups
    assert [ours.runtime, other.runtime] == ["ort", "ort"]
    assert (served.source.listed.name, served.model.identity(None)) == ("tiny", "smollm2-135m")
    assert (served.threads, served.device.key) == (0, "server")


def test_the_only_model_of_a_server_is_not_taken_for_one_of_ours(one):
    with pytest.raises(UsageError, match="calls its only model 'tiny', which does not say") as e:
        make_plan(asked("ort", one.url, model=("smollm2-135m",)), 2)
    assert "URL#tiny if it is" in e.value.fix


@pytest.mark.parametrize(
    ("names", "word", "found"),
    [
        (("/m/SmolLM2-135M-Instruct-Q4_0.gguf",), "smollm2-135m", 0),
        (("qwen2.5:0.5b", "qwen2.5:1.5b"), "qwen2.5-0.5b", 0),
        (("SmolLM-135M.gguf",), "smollm2-135m", None),
        (("qwen3-11.7b", "qwen3-1.7b-q4"), "qwen3-1.7b", 1),
        (("qwen3-0.6b-q4", "qwen3-0.6b-q8"), "qwen3-0.6b", None),
        (("bytelm.gguf",), "bytelm", 0),
        (("not-bytelm",), "bytelm", None),
    ],
)
def test_a_name_of_ours_is_found_in_that_of_a_server(names, word, found):
    """With what servers write around it, and one alone."""
    settings = asked("ort", "", model=(word,))
    with serving(Stub(names=names)) as stub:
        settings = replace(settings, runtime=("ort", stub.url))
        if found is None:
            with pytest.raises(UsageError, match=r"does not say that it is|has more than one"):
                make_plan(settings, 2)
            return
        served = [one for one in make_plan(settings, 2).groups if one.device.key == "server"]
    assert [one.source.listed.name for one in served] == [names[found]]


def test_another_size_is_another_model(one):
    with pytest.raises(UsageError, match=r"134,515,008 parameters, qwen2.5-0.5b has .* another"):
        make_plan(asked(f"{one.url}#tiny", model=("qwen2.5-0.5b",)), 2)


@pytest.mark.parametrize(
    ("changes", "problem", "fix"),
    [
        ({}, "has 2 models, and none is named", "qwen2.5:0.5b, llama3.2:latest"),
        ({"model": ("llama3",)}, "has no model 'llama3'", "did you mean llama3.2:latest"),
        ({"model": ("llama3.2",), "quant": ("int4",)}, "loaded llama3.2 as it is", "leave --quant"),
        ({"model": ("llama3.2",), "batch": (2,)}, "--batch: llama3.2 has no test", "leave it out"),
        ({"model": ("llama3.2",), "depth": (8,)}, "pp16 @ d8: a server's cache", "--gen alone"),
        ({"model": ("llama3.2",), "kv_cache": ("int8",)}, "a cache of its own", "--kv-cache auto"),
        ({"model": ("llama3.2",), "quality": True}, "llama3.2 is held by a server", "--quality"),
        (
            {"model": ("llama3.2",), "prepack": ("parallel",)},
            "that a server holds",
            "--prepack off",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value),
)
def test_what_cannot_be_asked_of_a_server_is_refused(ollama, changes, problem, fix):
    with pytest.raises(UsageError, match=problem) as caught:
        make_plan(asked(ollama.url, **changes), 2)
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("model", "changes", "problem"),
    [
        ("all-minilm-l6-v2", {"prompt": ()}, "does not run an encoder"),
        ("smollm2-135m", {"prefill_chunk": (8,)}, "a server reads a prompt as it likes"),
        ("smollm2-135m", {"quality": True}, "a server shows no logits"),
    ],
)
def test_what_only_others_run_is_refused_beside_a_server(one, model, changes, problem):
    settings = asked("ort", f"{one.url}#tiny", model=(model,), quant=("fp32",), **changes)
    with pytest.raises(UsageError, match=problem):
        make_plan(settings, 2)


def test_two_servers_that_results_call_alike_are_refused(one):
    with serving(replace(one, port=0)) as other, pytest.raises(UsageError) as caught:
        make_plan(asked(one.url, other.url, model=("tiny",)), 2)
    assert "bench ab" in caught.value.fix


def test_two_kinds_of_servers_share_a_plan(one, ollama):
    runtimes = (f"{one.url}#tiny", f"{ollama.url}#llama3.2")
    groups = make_plan(asked(*runtimes, model=("mine",)), 2).groups
    assert [group.runtime for group in groups] == ["llama-server@loopback", "ollama@loopback"]
    assert {group.model.identity(None) for group in groups} == {"mine"}


def test_a_server_without_models_says_how_one_is_loaded():
    with serving(Stub(names=())) as stub, pytest.raises(DeviceError, match="lists no model") as e:
        make_plan(asked(stub.url, model=("tiny",)), 2)
    assert "ollama pull" in e.value.fix


def test_a_server_that_is_away_ends_the_plan():
    with serving(Stub()) as stub:
        pass
    with pytest.raises(DeviceError, match="cannot be reached"):
        make_plan(asked(stub.url), 2)


def test_an_unknown_runtime_names_servers_too():
    with pytest.raises(UsageError, match="no runtime is called 'olama'") as caught:
        make_plan(asked("olama", model=("smollm2-135m",)), 2)
    assert "http://localhost:8080" in caught.value.fix


def test_what_takes_turns_has_one_session_for_all_tests_of_a_server(one):
    """Those of our own loop stay as they are."""
    both = asked(
        "ort", f"{one.url}#tiny", model=("smollm2-135m",), quant=("fp32", "int4"), gen=(4,)
    )
    groups = in_one_session(make_plan(both, 2).groups)
    assert [group.runtime for group in groups] == ["ort", "llama-server@loopback", "ort"]
    assert [test.name for test in groups[1].workloads] == ["pp16 @ d0", "tg4 @ d0"]
