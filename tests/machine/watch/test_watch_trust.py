"""The trust table of metrics.md, limit by limit, and the evidence behind it."""

from dataclasses import replace

import pytest
from msgspec import structs

from harness.machine.watch.evidence import clock_fault, clock_share, gather_evidence
from harness.machine.watch.trust import RULES, Evidence, grade
from harness.results.enums import ReasonCode
from harness.results.environment import MachineFacts
from harness.results.replies import ProcessSamples, Warmed, WatchInterval
from tests import replies

QUIET = WatchInterval(
    wall_ns=1_000_000,
    processors=1,
    background_cpu_ns=0,
    steal_ns=0,
    throttled_periods=0,
    thermal_events=0,
    swapped_in_bytes=0,
    swapped_out_bytes=0,
)
GOOD = Evidence(processes=5, half_width_share=0.03, steady_processes=5, watch=QUIET)


def watched(**counters: int | None) -> Evidence:
    return replace(GOOD, watch=structs.replace(QUIET, **counters))


def test_the_best_evidence_is_an_a_without_reasons():
    assert grade(GOOD).grade == "A"
    assert grade(GOOD).reasons == ()


@pytest.mark.parametrize(
    ("evidence", "expected", "code"),
    [
        (replace(GOOD, processes=4, steady_processes=4), "B", "FEW_PROCESSES"),
        (replace(GOOD, half_width_share=0.031), "B", "WIDE_INTERVAL"),
        (replace(GOOD, half_width_share=0.08), "B", "WIDE_INTERVAL"),
        (replace(GOOD, half_width_share=0.081), "C", "WIDE_INTERVAL"),
        (replace(GOOD, half_width_share=None), "C", "WIDE_INTERVAL"),
        (replace(GOOD, steady_processes=4), "B", "NOT_STEADY"),
        (watched(background_cpu_ns=20_001), "B", "BACKGROUND_CPU"),
        (watched(background_cpu_ns=50_000), "B", "BACKGROUND_CPU"),
        (watched(background_cpu_ns=50_001), "C", "BACKGROUND_CPU"),
        (watched(processors=64, background_cpu_ns=200_001), "B", "BACKGROUND_CPU"),
        (watched(processors=64, background_cpu_ns=1_000_000), "C", "BACKGROUND_CPU"),
        (watched(processors=64, steal_ns=1_000_000), "C", "STEAL"),
        (watched(other_bench=True), "C", "OTHER_BENCH"),
        (watched(steal_ns=20_001), "B", "STEAL"),
        (watched(steal_ns=50_001), "C", "STEAL"),
        (watched(background_cpu_ns=None), "C", "UNKNOWN_LOAD"),
        (replace(GOOD, watch=None), "C", "UNKNOWN_LOAD"),
        (watched(throttled_periods=1), "INVALID", "THROTTLED"),
        (watched(thermal_events=1), "INVALID", "THROTTLED"),
        (watched(swapped_in_bytes=4096), "INVALID", "SWAPPED"),
        (watched(swapped_out_bytes=4096), "INVALID", "SWAPPED"),
        (replace(GOOD, finite=False), "INVALID", "NON_FINITE"),
        (replace(GOOD, file_changed=True), "INVALID", "FILE_CHANGED"),
        (replace(GOOD, outputs=2), "INVALID", "OUTPUT_CHANGED"),
        (replace(GOOD, clock_fault="it ran backwards"), "INVALID", "CLOCK"),
        (replace(GOOD, drift="it slowed down"), "B", "DRIFT"),
        (replace(GOOD, major_faults=1), "B", "MAJOR_FAULTS"),
        (replace(GOOD, clock_share=0.006), "B", "COARSE_CLOCK"),
        (replace(GOOD, clock_share=0.03), "C", "COARSE_CLOCK"),
        (replace(GOOD, governor="powersave"), "B", "GOVERNOR"),
        (replace(GOOD, on_battery=True), "B", "ON_BATTERY"),
    ],
)
def test_one_fault_gives_one_grade_and_one_reason(evidence, expected, code):
    graded = grade(evidence)
    assert graded.grade == expected
    assert [found for found, _ in graded.reasons] == [code]
    assert graded.reasons[0][1]


def test_every_code_is_covered_above():
    """A rule without a row in the table of the test before this one fails here."""
    parameters = test_one_fault_gives_one_grade_and_one_reason.pytestmark[0].args[1]
    assert {row[2] for row in parameters} == set(RULES)


@pytest.mark.parametrize(
    "evidence",
    [
        replace(GOOD, half_width_share=0.0),
        watched(background_cpu_ns=20_000),
        watched(background_cpu_ns=-50_000),
        watched(steal_ns=None),
        watched(throttled_periods=None, thermal_events=None),
        watched(swapped_in_bytes=None, swapped_out_bytes=None),
        replace(GOOD, clock_share=0.005),
        replace(GOOD, governor="performance"),
    ],
)
def test_limits_themselves_and_counters_that_no_system_has_cost_nothing(evidence):
    assert grade(evidence).grade == "A"


def test_the_gravest_reason_comes_first_and_none_is_lost():
    bad = replace(watched(swapped_in_bytes=1, background_cpu_ns=30_000), processes=3)
    graded = grade(replace(bad, steady_processes=3, half_width_share=0.2))
    assert graded.grade == "INVALID"
    codes = [code for code, _ in graded.reasons]
    assert codes == ["SWAPPED", "WIDE_INTERVAL", "BACKGROUND_CPU", "FEW_PROCESSES"]


def test_reasons_carry_their_numbers():
    graded = grade(replace(GOOD, half_width_share=0.1234))
    assert "12.3%" in graded.reasons[0][1]
    assert "8%" in graded.reasons[0][1]


def test_every_rule_has_a_code_and_every_code_but_those_of_the_runner_a_rule():
    of_runner = {
        *(ReasonCode.STEPS_DIFFER, ReasonCode.SIZE_IGNORED),
        *(ReasonCode.WARM_START, ReasonCode.SLOWED),
        *(ReasonCode.SIMULATED, ReasonCode.PLACEMENT, ReasonCode.LOST_WORKER),
    }
    assert set(RULES) == set(ReasonCode) - of_runner


def said(**changes: object) -> ProcessSamples:
    steps = replies.sample(itl_ns=[[100, 200], [300]])
    return structs.replace(replies.process(steps, watch=QUIET), **changes)


def test_evidence_counts_processes_and_pools_the_watch():
    evidence = gather_evidence([said(), said(warm=Warmed(steady=False))], half_width_share=0.01)
    assert evidence == Evidence(
        processes=2,
        half_width_share=0.01,
        steady_processes=1,
        watch=structs.replace(QUIET, wall_ns=2_000_000, suspended_ns=None),
    )


def test_evidence_sees_bad_and_changing_outputs():
    bad = replies.sample(itl_ns=[[1]], finite=False, digest="bb")
    evidence = gather_evidence([said(), said(sample=bad)], None, file_changed=True)
    assert (evidence.finite, evidence.outputs, evidence.file_changed) == (False, 2, True)


def test_a_process_that_nobody_watched_makes_the_load_unknown():
    evidence = gather_evidence([said(), said(watch=None)], 0.01)
    assert evidence.watch is None
    assert grade(evidence).reasons[0][0] == "UNKNOWN_LOAD"


@pytest.mark.parametrize(
    ("sample", "wall_ms", "fault"),
    [
        ({"prefill_ns": [500_000_000]}, 501, False),
        ({"prefill_ns": [900_000_000]}, 501, True),
        ({"itl_ns": [[400_000_000], [400_000_000]]}, 500, True),
        (
            {"prefill_ns": [400_000_000], "ttft_ns": [450_000_000], "e2e_ns": [500_000_000]},
            500,
            False,
        ),
        ({"prefill_ns": [510_000_000]}, 500, False),
    ],
)
def test_what_was_timed_fits_into_the_parents_clock(sample, wall_ms, fault):
    """Parts of a request lie inside each other; a coarse clock may end a tick late."""
    watch = WatchInterval(wall_ns=wall_ms * 1_000_000, processors=1)
    assert (clock_fault(replies.sample(**sample), watch) is not None) == fault


def test_a_machine_that_slept_is_a_clock_fault():
    pass_ = replies.sample(prefill_ns=[1])
    slept = WatchInterval(wall_ns=10, processors=1, suspended_ns=2_000_000_000)
    fault = clock_fault(pass_, slept)
    assert fault == "the machine slept for 2000 ms"
    assert clock_fault(pass_, None) is None


def test_the_clocks_share_is_of_the_shortest_timed_part():
    """Steps of 100, 200 and 300 ns by a clock of 1 ns: 1 / 100."""
    samples = [replies.sample(itl_ns=[[100, 200], [300]])]
    assert clock_share(samples, 1.0) == 0.01
    assert clock_share(samples, None) is None
    assert clock_share([replies.sample()], 1.0) is None


def test_evidence_takes_faults_and_the_machines_state():
    faulty = said(sample=replies.sample(itl_ns=[[100]], major_faults=3))
    facts = MachineFacts(governor="powersave", on_battery=True, clock_resolution_ns=1.0)
    evidence = gather_evidence([faulty, said()], 0.01, machine=facts)
    assert (evidence.major_faults, evidence.governor, evidence.on_battery) == (3, "powersave", True)
    assert evidence.clock_share == 0.01
