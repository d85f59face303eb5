"""Settings become session groups; every bad name or number stops before anything is built."""

from dataclasses import replace

import pytest
from msgspec import UNSET

from harness.builder.graph.static.geometry import EncoderShapes, StaticShapes, TextShape
from harness.builder.quantize.levels import LEVELS, STATIC_LEVELS
from harness.core.errors import UsageError
from harness.devices.probe import Probe
from harness.devices.row import ProviderRow
from harness.devices.table import ROWS
from harness.runner.plan import make_plan
from harness.runner.settings import Settings, load_settings

SMALL = Settings(model=("smollm2-135m",), quant=("int4",), prompt=(128,))


def works(device):
    """A probe that every device passes."""
    return Probe(device.row, "works")


def test_groups_are_the_product_and_tests_stay_inside():
    """2 levels x 2 threads are 4 sessions; 2 depths x (1 pp + 1 tg) + 1 pg are 5 tests each."""
    settings = replace(
        SMALL, quant=("fp32", "int4"), threads=("1", "all"), depth=(0, 64), gen=(8,), pg=((16, 4),)
    )
    plan = make_plan(settings, usable_threads=2)
    assert [len(group.workloads) for group in plan.groups] == [5, 5, 5, 5]
    assert plan.cell_count == 20


def test_caches_are_an_axis_and_a_level_s_own_keeps_the_key():
    """`fp32` beside int4 weights is what `auto` is: one group, called as before."""
    plan = make_plan(replace(SMALL, kv_cache=("auto", "int8", "fp32")), 1)
    keys = [group.key for group in plan.groups]
    assert keys == ["smollm2-135m/int4/cpu/ort/t1/b1", "smollm2-135m/int4/kv-int8/cpu/ort/t1/b1"]
    assert [group.cache.name for group in plan.groups] == ["fp32", "int8"]


def test_chunks_are_an_axis_of_prompts_alone():
    """A prompt that is no longer than its chunk is the usual test; steps have none."""
    settings = replace(
        SMALL, prompt=(128, 512), gen=(8,), pg=((256, 4),), prefill_chunk=(0, 128, 256)
    )
    (group,) = make_plan(settings, 1).groups
    names = [test.test for test in group.workloads]
    assert names == [
        *("pp128", "pp512", "pp512c128", "pp512c256"),
        *("tg8", "pg256+4", "pg256+4c128"),
    ]
    for prompts in ((), (64, 128)):
        lost = replace(SMALL, prompt=prompts, gen=(8,), prefill_chunk=(128,))
        with pytest.raises(UsageError, match="no test has a longer prompt"):
            make_plan(replace(lost, given=("prefill_chunk",)), 1)


def test_a_part_has_caches_of_its_own():
    part = replace(SMALL, kv_cache=("int4",))
    plan = make_plan(replace(SMALL, part=(SMALL, part)), 1)
    assert [group.cache.name for group in plan.groups] == ["fp32", "int4"]


def test_a_cache_must_go_with_every_level_it_is_asked_for():
    with pytest.raises(UsageError, match="int4 computes in float32"):
        make_plan(replace(SMALL, quant=("fp16", "int4"), kv_cache=("fp16",)), 1)
    assert make_plan(replace(SMALL, quant=("fp16",), kv_cache=("fp16", "int4")), 1).cell_count == 2


def test_cache_serves_the_longest_test():
    """pp128 from depth 64 needs 192 positions, pg100+100 needs 200."""
    plan = make_plan(replace(SMALL, depth=(64,), pg=((100, 100),)), usable_threads=1)
    assert plan.groups[0].capacity_tokens == 200


def test_all_threads_and_the_same_number_are_one_group():
    plan = make_plan(replace(SMALL, threads=("2", "all")), usable_threads=2)
    assert [group.threads for group in plan.groups] == [2]


def test_a_context_of_exactly_the_limit_is_allowed():
    limit = 8192  # of smollm2-135m
    assert make_plan(replace(SMALL, prompt=(limit,)), 1).cell_count == 1
    with pytest.raises(UsageError, match=str(limit)):
        make_plan(replace(SMALL, prompt=(limit,), depth=(1,)), 1)


def test_a_context_beyond_what_is_built_is_refused():
    """Llama-3.2 takes 131,072 tokens; its graph is built for 32,768."""
    with pytest.raises(UsageError, match="32768"):
        make_plan(replace(SMALL, model=("llama-3.2-1b",), depth=(40_000,)), 1)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model": ("smollm2-135",)}, "smollm2-135"),
        ({"quant": ("int5",)}, "int5"),
        ({"kv_cache": ("int5",)}, "int5"),
        ({"device": ("gpux",)}, "gpux"),
        ({"threads": ("0",)}, "--threads 0"),
        ({"threads": ("-1",)}, "--threads -1"),
        ({"threads": ("3",)}, "--threads 3"),
        ({"threads": ("two",)}, "--threads two"),
        ({"batch": (0,)}, "--batch"),
        ({"prompt": (0,)}, "--prompt"),
        ({"pg": ((128, 0),)}, "--pg"),
        ({"rounds": 0}, "--rounds"),
        ({"seed": -1}, "--seed -1"),
        ({"min_passes": 0}, "min_passes"),
        ({"budget": 0.0}, "--budget"),
        ({"budget": float("nan")}, "--budget"),
        ({"prompt": ()}, "no test"),
        (
            {"sensitivity": True, "quant": ("fp32", "fp16")},
            "--sensitivity ranks levels of integers, and fp32, fp16 store floats",
        ),
        ({"sensitivity": True, "reference": "bytelm"}, "--reference"),
    ],
)
def test_bad_values_are_refused_by_name(change, word):
    with pytest.raises(UsageError) as caught:
        make_plan(replace(SMALL, **change), usable_threads=2)
    assert word in str(caught.value)


def test_one_folder_under_two_names_is_refused(tiny_folder):
    models = (str(tiny_folder), f"{tiny_folder}/.")
    with pytest.raises(UsageError, match="same folder"):
        make_plan(replace(SMALL, model=models, prompt=(8,)), usable_threads=1)


def test_a_test_asked_for_twice_is_one_cell():
    plan = make_plan(replace(SMALL, prompt=(), pg=((16, 4), (16, 4))), usable_threads=1)
    assert plan.cell_count == 1


def test_stored_plan_names_no_path(tmp_path):
    """The results document carries the last component of a local model, never its folder."""
    plan = make_plan(SMALL, 1)
    assert plan.as_asked().model == ("smollm2-135m",)


def test_parts_of_one_session_share_its_worker():
    """Two parts name int4: one session with both tests; fp32 has the first part's test only."""
    first = replace(SMALL, quant=("fp32", "int4"))
    second = replace(SMALL, prompt=(), gen=(8,), depth=(64,))
    plan = make_plan(replace(SMALL, part=(first, second)), usable_threads=1)
    names = {group.level.name: [w.name for w in group.workloads] for group in plan.groups}
    assert names == {"fp32": ["pp128 @ d0"], "int4": ["pp128 @ d0", "tg8 @ d64"]}


def test_a_plan_of_parts_lists_them_and_no_cells_of_its_own():
    table = make_plan(replace(SMALL, part=(SMALL,)), usable_threads=1).as_asked()
    assert table.prompt is UNSET
    assert [part.prompt for part in table.part] == [(128,)]


def test_sweep_stands_for_every_level():
    """Alone, with a name that it holds, and in a part; the stored plan names the levels."""
    plan = make_plan(replace(SMALL, quant=("sweep",)), usable_threads=1)
    assert [group.level.name for group in plan.groups] == list(LEVELS)
    assert plan.as_asked().quant == tuple(LEVELS)
    beside = make_plan(replace(SMALL, quant=("int4", "sweep")), usable_threads=1)
    assert [group.level.name for group in beside.groups][:2] == ["int4", "fp32"]
    assert len(beside.groups) == len(LEVELS)
    part = replace(SMALL, part=(replace(SMALL, quant=("sweep",)),))
    assert len(make_plan(part, usable_threads=1).groups) == len(LEVELS)
    with pytest.raises(UsageError, match="sweeps"):
        make_plan(replace(SMALL, quant=("sweep", "sweeps")), usable_threads=1)


def test_a_level_that_the_device_cannot_run_is_refused():
    """The way out names the levels of the device, and devices where there are some."""
    settings = replace(SMALL, quant=("int4", "a16w8"), device=("webgpu",))
    with pytest.raises(UsageError, match="static decoder, which webgpu cannot run") as caught:
        make_plan(settings, usable_threads=1, probe=works)
    assert "int4-b128" in caught.value.fix
    assert caught.value.fix.startswith("--device cpu or ")
    assert " or qnn or openvino-npu or " in caught.value.fix


def test_each_device_runs_the_levels_of_its_own_variant(monkeypatch):
    """`sweep` is that of each device; the CPU runs static levels too, where they are named."""
    npu = ProviderRow("fake-npu", "npu", "Fake", "fake-wheel", "pip", needs_static=True)
    for module in ("harness.runner.plan.levels", "harness.devices.table"):
        monkeypatch.setattr(f"{module}.ROWS", (npu, *ROWS))
    both = replace(SMALL, device=("cpu", "fake-npu"))
    plan = make_plan(replace(both, quant=("int4", "a16w8")), 1, works)
    assert [(g.level.name, g.device.key) for g in plan.groups] == [
        ("int4", "cpu"),
        ("a16w8", "cpu"),
        ("a16w8", "fake-npu"),
    ]
    with pytest.raises(UsageError, match="fake-npu runs none of int4"):
        make_plan(replace(both, quant=("int4",)), 1, works)
    sweep = make_plan(replace(both, quant=("sweep",)), 1, works)
    assert [g.level.name for g in sweep.groups] == [*LEVELS, *STATIC_LEVELS]
    assert {g.device.key for g in sweep.groups[len(LEVELS) :]} == {"fake-npu"}
    usual = make_plan(replace(both, quant=("usual",)), 1, works)
    assert [(g.level.name, g.device.key) for g in usual.groups] == [
        ("fp32", "cpu"),
        ("int4", "cpu"),
        ("a16w8", "fake-npu"),
        ("a8w8", "fake-npu"),
    ]
    assert usual.settings.quant == ("fp32", "int4", "a16w8", "a8w8")


def test_static_decoders_of_a_plan_share_one_build():
    """Of 2 devices and 2 parts: the longest prompt is a pass, the longest test the cache."""
    first = replace(SMALL, quant=("a8w8", "int4"), prompt=(40,), gen=(8,), depth=(0, 70))
    second = replace(first, quant=("a8w8",), device=("qnn",), prompt=(300,), depth=(0,))
    plan = make_plan(replace(SMALL, part=(first, second)), 1, works)
    shapes = {(g.level.name, g.device.key): g.shapes for g in plan.groups}
    wanted = StaticShapes(prefill_tokens=128, capacity_tokens=320)
    assert shapes == {("a8w8", "cpu"): wanted, ("int4", "cpu"): None, ("a8w8", "qnn"): wanted}
    assert {g.capacity_tokens for g in plan.groups if g.shapes} == {320}


def test_static_encoders_open_one_shape_and_share_one_build():
    """A group for each test, as each has a graph of its own; the build has both."""
    encoder = replace(SMALL, model=("all-minilm-l6-v2",), quant=("a8w8", "fp32"))
    plan = make_plan(replace(encoder, enc=((16, 2), (8, 1)), batch=(4,)), 1)
    found = [(g.level.name, [test.test for test in g.workloads]) for g in plan.groups]
    assert found == [("a8w8", ["enc16x2"]), ("a8w8", ["enc8x1"]), ("fp32", ["enc16x2", "enc8x1"])]
    static, other, fused = plan.groups
    assert static.key.endswith("/t1/enc16x2")
    assert other.key.endswith("/t1/enc8x1")
    assert static.shapes == other.shapes == EncoderShapes((TextShape(8, 1), TextShape(16, 2)))
    assert fused.shapes is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch": (1, 4)}, "reads one sequence, not 4"),
        ({"kv_cache": ("int8",)}, "whose cache is a part of its graphs"),
        ({"depth": (8100,)}, "8192"),
    ],
)
def test_what_a_static_decoder_cannot_do_is_refused(change, words):
    with pytest.raises(UsageError, match=words):
        make_plan(replace(SMALL, quant=("a8w8",), **change), usable_threads=1)


def test_the_plan_of_version_0_1_is_still_found():
    assert load_settings("ladder") == load_settings("sweep")


def test_the_shipped_sweep_lists_every_level():
    assert load_settings("sweep").quant == tuple(LEVELS)


@pytest.mark.parametrize("change", [{"sensitivity": True}, {"reference": "a/path/bytelm"}])
def test_what_needs_quality_asks_for_it(change):
    plan = make_plan(replace(SMALL, **change), usable_threads=1)
    assert plan.settings.quality
    assert plan.as_asked().reference in (None, "bytelm")


def test_exact_activations_are_rows_beside_those_that_round():
    """fp32 rounds nothing; a plan that is laid out again is the same."""
    settings = replace(SMALL, quant=("fp32", "int8-block", "int4"), activations="exact")
    plan = make_plan(settings, 1)
    names = ["fp32", "int8-block", "int4", "int8-block-exact", "int4-exact"]
    assert [group.level.name for group in plan.groups] == names
    assert list(plan.settings.quant) == names
    again = make_plan(plan.settings, 1)
    assert [group.key for group in again.groups] == [group.key for group in plan.groups]
    assert plan.groups[-1].model.kernels(plan.groups[-1].level) is None
