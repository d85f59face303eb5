"""What does not fit is refused before it is built, with what would fit."""

import pytest

from harness.builder.quantize.levels import find_level
from harness.core.errors import WorkerError
from harness.models.catalog.catalog import load_spec
from harness.runner.loop import builds, memory_limit
from harness.runner.loop.memory_limit import held_bytes, refuse_unbuilt
from harness.runner.plan import make_plan
from harness.runner.settings import Settings

GIB = 2**30


def group_of(model, level, **settings):
    (group,) = make_plan(Settings(model=(model,), quant=(level,), gen=(8,), **settings), 1).groups
    return group


def test_weights_as_held_are_what_kernels_copy():
    """llama-3.2-1b is tied: at fp32 4 bytes of every parameter, at int4 0.75 in matrices."""
    spec = load_spec("llama-3.2-1b")
    assert held_bytes(spec, find_level("fp32")) == 4 * 1_235_814_400
    in_matrices = 0.75 * 1_235_814_400
    assert held_bytes(spec, find_level("int4")) == pytest.approx(in_matrices, rel=0.001)


def test_a_mixture_that_does_not_fit_names_a_level_and_a_model_that_do(monkeypatch):
    """gpt-oss-20b at int4 holds 14 GiB: with 12 free int2 fits, and a model of half its size."""
    monkeypatch.setattr(memory_limit, "free_memory_bytes", lambda: 12 * GIB)
    with pytest.raises(WorkerError, match="weights alone need") as caught:
        refuse_unbuilt(group_of("gpt-oss-20b", "int4"))
    assert caught.value.status == "out_of_memory"
    level, model, besides = caught.value.fix.split("; ")
    assert level.startswith("--quant int2")
    assert model.startswith("--model ")
    name = model.split()[1].rstrip(",")
    assert held_bytes(load_spec(name), find_level("int4")) <= 10.8 * GIB
    assert besides.startswith("a smaller --batch")


def test_saved_copies_are_mapped_so_nothing_is_refused_for_them(monkeypatch):
    monkeypatch.setattr(memory_limit, "free_memory_bytes", lambda: 10 * GIB)
    refuse_unbuilt(group_of("gpt-oss-20b", "int4", prepack=("on",)))


def test_nothing_is_built_for_it(monkeypatch, tmp_path):
    monkeypatch.setattr(memory_limit, "free_memory_bytes", lambda: 1)
    monkeypatch.setattr(builds, "ensure_group", None)
    plan = make_plan(Settings(model=("smollm2-135m",), quant=("int4",), gen=(8,)), 1)
    found = builds.build_all(plan, tmp_path)
    assert [error.status for error in found.failures.values()] == ["out_of_memory"]
    assert not found.artifacts
