"""What is tried: each row where it says something, one change at a time."""

from dataclasses import replace

import numpy as np
import pytest

import harness
from harness.devices.session_options import (
    AFFINITIES,
    BLOCK_BASE,
    OPTIONS,
    SPIN_TIME,
    SPINNING,
    parse_session_options,
)
from harness.devices.table import find_row
from harness.results.entries import TuneSetting
from harness.runner.tuning.space import OF_PROVIDERS, TABLE, Where, changes

CPU = Where(find_row("cpu"), "linux", (0, 1, 2, 3))
FOUR = TuneSetting(threads=4, level="int4")


def names(where, now=FOUR):
    return [one.beyond(now) for one in changes(where, now)]


def row(where, called, now=FOUR):
    return [one.beyond(now) for one, of in changes(where, now).items() if of.name == called]


def test_every_candidate_is_one_change_and_may_be_given_as_flags():
    for one, tunable in changes(CPU, FOUR).items():
        assert one != FOUR, tunable.name
        assert one.level == FOUR.level
        words = [f"{name}={value}" for name, value in one.session_options]
        assert parse_session_options(words) == one.session_options
        assert all(OPTIONS[name].keeps_results for name, _ in one.session_options)


def test_the_first_value_of_each_row_comes_first():
    """A search that is short of time leaves out the rest."""
    assert names(CPU)[:5] == [
        "3 threads",
        f"{SPINNING}=0",
        f"{BLOCK_BASE}=4",
        f"{AFFINITIES}=2;3;4",
        "enable_mem_pattern=0",
    ]


def test_threads():
    assert row(CPU, "threads") == ["3 threads", "2 threads", "1 thread"]
    assert row(replace(CPU, threads=(4, 2)), "threads") == ["2 threads"]
    assert row(replace(CPU, threads=(4,)), "threads") == []
    two = replace(CPU, cores=(0, 1))
    assert row(two, "threads", TuneSetting(threads=2, level="int4")) == ["1 thread"]


def test_one_thread_has_no_pool():
    one = TuneSetting(threads=1, level="int4")
    assert {of.name for of in changes(CPU, one).values()} == {"threads", "memory"}
    assert names(replace(CPU, cores=(0,)), one) == [
        "enable_mem_pattern=0",
        "enable_cpu_mem_arena=0",
    ]
    spinning = TuneSetting(threads=2, level="int4", session_options=((SPINNING, "0"),))
    found = [one for one in changes(CPU, spinning) if one.threads == 1]
    assert [one.session_options for one in found] == [()]


def test_places_are_cores_of_the_fastest_kind_first():
    hybrid = replace(CPU, cores=(4, 6, 0, 1), fast=(4, 6))
    assert row(hybrid, "places") == [f"{AFFINITIES}=7;1;2"]
    two = TuneSetting(threads=2, level="int4")
    assert row(hybrid, "places", two) == [f"{AFFINITIES}=7"]
    assert row(replace(CPU, system="darwin"), "places") == []


def test_what_the_user_gave_is_not_varied():
    fixed = replace(CPU, fixed=frozenset({BLOCK_BASE, SPINNING}))
    assert row(fixed, "blocks") == []
    assert row(fixed, "waiting") == []
    assert row(fixed, "places")


def test_what_the_runtime_does_not_know_is_not_tried():
    old = replace(CPU, known=[name for name in OPTIONS if name != SPIN_TIME])
    assert not any(SPIN_TIME in name for name in names(old))


def test_levels_only_where_they_are_named():
    assert row(CPU, "level") == []
    assert row(replace(CPU, levels=("int4", "int8")), "level") == ["int8"]


def test_provider_options_are_those_of_the_row():
    webgpu = Where(find_row("webgpu"), "linux", (0, 1))
    found = row(webgpu, "provider")
    assert "powerPreference=high-performance" in found
    taken = {name.partition("=")[0] for name in found}
    assert taken <= {option.name for option in find_row("webgpu").options} & {*OF_PROVIDERS}
    assert row(CPU, "provider") == []
    rows = {of.name for of in changes(webgpu, FOUR).values()}
    assert rows == {"threads", "waiting", "provider"}  # nothing of the CPU's kernels
    fixed = replace(webgpu, fixed=frozenset({"powerPreference"}))
    assert "powerPreference=high-performance" not in row(fixed, "provider")


def test_a_setting_says_what_it_is_beyond_another():
    one = TuneSetting(threads=2, level="int8", session_options=((BLOCK_BASE, "4"),))
    assert one.name == f"int8, 2 threads, {BLOCK_BASE}=4"
    assert one.beyond(FOUR) == f"int8, 2 threads, {BLOCK_BASE}=4"
    assert FOUR.beyond(one) == f"int4, 4 threads, without {BLOCK_BASE}"
    assert all(row.why and row.applies for row in TABLE)


@pytest.mark.parametrize("level", [pytest.param("fp32", marks=pytest.mark.slow), "int4"])
def test_no_candidate_changes_an_output(tiny_folder, shared_cache, level):
    """Bit by bit, of a prompt and a step after it: threads, and every option of the CPU's table."""
    two = TuneSetting(threads=2, level=level)
    ids = np.arange(24).reshape(1, 24) % 32
    outputs = {}
    for one in (two, *changes(replace(CPU, cores=(0, 1)), two)):
        model = harness.load(
            tiny_folder,
            level=level,
            threads=one.threads,
            session_options=dict(one.session_options),
            cache=shared_cache,
            context_tokens=32,
        )
        outputs[one.name] = [model.prefill(ids), model.step(ids[:, :1]), model.logits(ids)]
    base = outputs.pop(two.name)
    for name, found in outputs.items():
        for mine, theirs in zip(base, found, strict=True):
            assert np.array_equal(mine, theirs), name
