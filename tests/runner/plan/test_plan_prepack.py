"""When kernels copy weights is an axis of the plan; where nothing does, it is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.core.errors import UsageError
from harness.devices.probe import Probe
from harness.devices.states import DeviceState
from harness.runner.plan import make_plan
from harness.runner.settings import Settings, flag_values

EXPORT = Path(__file__).parents[2] / "fixtures" / "exports" / "genai" / "llama-int4"
SMALL = Settings(
    model=("bytelm",), quant=("int4",), prompt=(16,), prepack=("off", "on", "parallel")
)


def test_each_word_is_a_session_of_the_same_tests():
    """Saved copies are another build; parallel packing is another session over the same one.

    Saved copies are made once more at load, on all threads.
    """
    groups = make_plan(SMALL, 1).groups
    assert [group.key for group in groups] == [
        "bytelm/int4/cpu/ort/t1/b1",
        "bytelm/int4/prepacked/cpu/ort/t1/b1",
        "bytelm/int4/cpu/ort/prepack-parallel/t1/b1",
    ]
    assert len({group.workloads for group in groups}) == 1
    assert [group.is_prepacked for group in groups] == [False, True, False]
    assert [group.device.parallel_prepack for group in groups] == [False, True, True]
    assert [group.device.sent().parallel_prepack for group in groups] == [False, True, True]


def test_beside_a_cache_of_its_own():
    (group,) = make_plan(replace(SMALL, prepack=("on",), kv_cache=("int8",)), 1).groups
    assert group.stored_name == "int4/kv-int8/prepacked"


def test_the_flag_takes_words():
    assert flag_values({"prepack": "off,on"}) == {"prepack": ("off", "on")}


def test_the_plan_is_kept_as_asked():
    assert make_plan(SMALL, 1).as_asked().prepack == ("off", "on", "parallel")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"prepack": ("never",)}, "--prepack 'never' is none of its words"),
        ({"model": (str(EXPORT),), "quant": ("usual",)}, "there is none of exported files"),
        ({"device": ("webgpu",)}, "there is none on webgpu"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_where_there_is_none_it_is_refused(changes, problem):
    with pytest.raises(UsageError, match=problem):
        make_plan(
            replace(SMALL, **changes), 1, probe=lambda device: Probe(device.row, DeviceState.WORKS)
        )


def test_sessions_of_genai_are_not_ours_to_set(monkeypatch):
    from harness.runner.plan import runtimes

    monkeypatch.setattr(runtimes, "find_spec", lambda name: object())
    with pytest.raises(UsageError, match="there is none of sessions that genai opens"):
        make_plan(replace(SMALL, runtime=("genai",)), 1)
    assert len(make_plan(replace(SMALL, runtime=("genai",), prepack=("on",)), 1).groups) == 1


def test_files_of_llama_cpp_have_no_copies_of_ours(monkeypatch):
    from harness.runner.plan import runtimes

    monkeypatch.setattr(runtimes, "find_spec", lambda name: object())
    with pytest.raises(UsageError, match=r"there is none of files that llama\.cpp opens"):
        make_plan(replace(SMALL, runtime=("ort", "llama.cpp")), 1)
