"""What a run knows so far: complete rounds, and what is filed under what."""

import pytest
from msgspec import structs

from harness.results.enums import Status
from harness.results.losses import FailureEntry
from harness.runner.loop.entries import Entries
from harness.runner.plan import make_plan
from harness.runner.settings import Settings
from tests import replies


@pytest.fixture
def plan():
    """Two groups of two tests each, three rounds."""
    settings = Settings(
        model=("smollm2-135m",), quant=("fp32", "int4"), prompt=(8,), gen=(4,), rounds=3
    )
    return make_plan(settings, usable_threads=1)


def entries_of_round(plan, round_index, groups=(0, 1)):
    """A test entry for every test of the groups in one round."""
    return [
        replies.entry(plan.groups[i].key, test.name, round_index)
        for i in groups
        for test in plan.groups[i].workloads
    ]


def failed(group):
    reason = "it crashed"
    return FailureEntry(
        group=group.key, workload=None, status=Status.CRASHED, reason=reason, exit_code=3
    )


def test_a_round_counts_once_every_group_is_done(plan):
    """Round 0 whole, round 1 half: one round is done."""
    entries = Entries([*entries_of_round(plan, 0), *entries_of_round(plan, 1, groups=(0,))])
    assert entries.rounds_done(plan) == 1


def test_a_failed_group_holds_no_round_up(plan):
    failure = failed(plan.groups[1])
    entries = Entries([*entries_of_round(plan, 0, groups=(0,)), failure])
    assert entries.rounds_done(plan) == 1


def test_nothing_measured_is_no_round(plan):
    failures = [failed(group) for group in plan.groups]
    assert Entries([]).rounds_done(plan) == 0
    assert Entries(failures).rounds_done(plan) == 0


def test_the_later_entry_of_a_test_is_the_one_that_counts(plan):
    (first, *_) = entries_of_round(plan, 0)
    entries = Entries([first, structs.replace(first, order=7)])
    found = entries.tests_of(plan.groups[0], plan.groups[0].workloads[0])
    assert [entry.order for entry in found] == [7]
