"""An audit finds each fault by its own question, and nothing in a sound reply."""

import msgspec
import pytest
from msgspec import structs

from harness.analysis.audit import judge_audit
from harness.core.findings import ERROR, OK
from harness.results.replies import Audited

SOUND = msgspec.convert(
    {
        "timed_digest": "aa",
        "plain_digest": "aa",
        "tokens": 4,
        "expected_tokens": 4,
        "steps": 4,
        "expected_steps": 4,
        "same_ns": [100, 101, 99, 100],
        "new_ns": [100, 100, 100, 101],
        "timed_ns": 801,
        "wall_ns": 900,
        "cpu_ns": 800,
    },
    Audited,
)


def wrong(parent_ns: int = 1000, on_host: bool = True, **changes: object) -> list[str]:
    found = judge_audit(structs.replace(SOUND, **changes), parent_ns, on_host)
    return [one.check for one in found if one.state == ERROR]


def test_a_sound_test_passes_every_check():
    found = list(judge_audit(SOUND, 1000, on_host=True))
    assert [one.check for one in found] == ["output", "caching", "tokens", "clocks", "work"]
    assert {one.state for one in found} == {OK}


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"plain_digest": "bb"}, "output"),
        ({"same_ns": [80, 81, 79, 80]}, "caching"),
        ({"tokens": 3}, "tokens"),
        ({"steps": 5}, "tokens"),
        ({"timed_ns": 950}, "clocks"),
        ({"cpu_ns": 100}, "work"),
    ],
)
def test_one_fault_is_found_by_one_check(changes, check):
    assert wrong(**changes) == [check]


def test_a_whole_that_is_longer_than_the_parents_is_a_clocks_fault():
    assert wrong(parent_ns=850) == ["clocks"]


def test_the_same_input_may_be_a_little_faster():
    """5 % faster in every turn is warm caches, not a remembered result."""
    assert wrong(same_ns=[95, 96, 94, 95]) == []


def test_a_noisy_difference_is_no_caching():
    """Half the time in one turn of four: the interval reaches over the limit."""
    assert wrong(same_ns=[50, 101, 99, 100]) == []


def test_a_device_computes_without_this_process():
    assert wrong(on_host=False, cpu_ns=1) == []
