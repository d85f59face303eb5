"""What a first run says before it starts, from a plan and a cache that hold nothing yet."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.builder.quantize.layout import stored_bytes
from harness.builder.quantize.levels import find_level
from harness.devices.device import Device
from harness.devices.table import find_row
from harness.estimator.calibration.store import FOLDER
from harness.runner.loop.builds import build_all, missing_builds
from harness.runner.loop.expected import expect, first_words
from harness.runner.plan import make_plan
from harness.runner.settings import Settings


@pytest.fixture(scope="module")
def plan():
    """The default plan: 2 levels x 5 rounds, 3 tests each."""
    settings = Settings(
        model=("smollm2-135m",), quant=("fp32", "int4"), prompt=(128,), gen=(32,), pg=((128, 16),)
    )
    return make_plan(settings, usable_threads=2)


def test_a_first_run_says_what_it_builds_how_long_and_where(plan, tmp_path):
    """513 and 80 MiB of 135 million values each, 80 million a second and 1 s to start: 5 s."""
    found = expect(plan, tmp_path)
    spec = plan.groups[0].built.spec
    sizes = [stored_bytes(spec, find_level(level)) for level in ("fp32", "int4")]
    assert (found.models, found.built_bytes) == (2, sum(sizes))
    assert (found.calibrations, found.processes) == (1, (10, 2))
    assert 60 < found.seconds < 180
    first, second = first_words(found, tmp_path, Path("results"))
    assert first.startswith("first run here: builds 2 models (593 MiB, about 5 s), measures this")
    assert "10 timed processes and 2 for memory; about " in first
    assert second == (
        f"writes 593 MiB and the peaks into {tmp_path}, which later runs use again,"
        " and the results into results"
    )


def test_a_graphics_processor_that_was_not_measured_is_announced(plan, tmp_path):
    """The second device of a row has a colon in its name and none in its file's."""
    device = Device(find_row("webgpu"), index=1)
    groups = tuple(replace(group, device=device) for group in plan.groups)
    on_gpu = replace(plan, groups=groups)
    assert expect(on_gpu, tmp_path).calibrations == 1
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "webgpu-1-2t-0123456789abcdef.json").write_text("{}")
    assert expect(on_gpu, tmp_path).calibrations == 0


def test_what_lies_in_the_cache_is_not_announced(plan, tmp_path):
    for name in ("smollm2-135m-fp32", "smollm2-135m-int4"):
        (tmp_path / f"{name}-0123456789abcdef").mkdir()
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "cpu-2t-0123456789abcdef.json").write_text("{}")
    found = expect(plan, tmp_path)
    assert not found.is_first
    assert first_words(found, tmp_path, Path("results")) == []


def test_another_cache_of_a_level_is_another_build(tmp_path):
    settings = Settings(model=("bytelm",), quant=("int4",), kv_cache=("auto", "int8"), gen=(4,))
    plan = make_plan(settings, usable_threads=1)
    (tmp_path / "bytelm-int4-0123456789abcdef").mkdir()
    assert [group.stored_name for group, _ in missing_builds(plan, tmp_path)] == ["int4/kv-int8"]


def test_a_build_is_told_with_its_level_size_and_time(tiny_folder, tmp_path):
    """Once a model; what is in the cache is not told again."""
    settings = Settings(model=(str(tiny_folder),), quant=("int4",), gen=(4,), threads=("1",))
    plan, told = make_plan(settings, usable_threads=1), []
    for _ in range(2):
        build_all(plan, tmp_path, lambda what, done, total: told.append((what, done)))
    name = plan.groups[0].source.name
    assert told == [(f"building {name} int4: 0.0 MiB, about 1 s", 0)]


def test_one_process_is_one(plan, tmp_path):
    found = replace(expect(plan, tmp_path), processes=(1, 1))
    assert "then 1 timed process and 1 for memory" in first_words(found, tmp_path, Path("r"))[0]
