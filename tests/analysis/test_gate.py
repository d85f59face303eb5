"""Gates: three outcomes by where the interval lies, and what decides nothing."""

import random

import pytest
from msgspec import structs

from harness.analysis.compare import Question, compare_documents
from harness.analysis.gate import (
    Cause,
    Inconclusive,
    Outcome,
    confirmed,
    failing,
    is_failure,
    judge_gates,
    parse_gate,
    refuse_few,
    watched_metrics,
)
from harness.core.errors import UsageError
from harness.core.ranges import parse_share
from harness.results.background import Background, background_of
from harness.results.replies import SustainWindow, WatchInterval
from harness.results.schema import Reason, Trust
from harness.results.sustained import sustained, sustained_metrics
from tests.measured_documents import busy, document, quality, record, scattered

BASE = [10.0, 10.1, 9.9, 10.05, 9.95]
SLOW = [time * 1.2 for time in BASE]
RUNS = (("run-a", BASE), ("run-b", SLOW))
FAIL, INCONCLUSIVE, PASS = Outcome


def judged(base, new, *gates):
    """What every gate says of two runs of so many records."""
    parsed = [parse_gate(text) for text in gates]
    question = Question(watched=watched_metrics(parsed))
    found = compare_documents([document(*base)], [document(*new, run_id="run-b")], question)
    return judge_gates(found, parsed)


def outcomes(base, new, *gates):
    """Outcome of every gate."""
    return [one.outcome for one in judged(base, new, *gates)]


def causes(base, new, gate):
    """Why each line of a gate is INCONCLUSIVE."""
    (one,) = judged(base, new, gate)
    return [line.cause for line in one.lines]


def test_a_gate_fails_when_the_whole_interval_is_beyond_it():
    sides = [record(BASE)], [record(SLOW)]
    assert outcomes(*sides, "slower:3%", "slower:0.15") == [FAIL, FAIL]
    assert outcomes(*reversed(sides), "slower:3%") == [PASS]


def test_a_limit_inside_the_interval_is_no_green():
    """20 % slower, give or take 1.2 %: nobody can say whether by more than 20 %."""
    sides = [record(BASE)], [record(SLOW)]
    assert outcomes(*sides, "slower:20%") == [INCONCLUSIVE]
    assert causes(*sides, "slower:20%") == [Cause.STRADDLES]


def test_gates_of_memory_and_quality():
    base = [record(BASE, quality=quality(0.01))]
    new = [record(BASE, peak_bytes=210_000_000, quality=quality(0.05, top1=0.90))]
    assert outcomes(base, new, "memory:2%", "kld:0.01", "top1:0.03") == [FAIL] * 3
    assert outcomes(base, new, "memory:4%") == [INCONCLUSIVE]  # 5 % less 1.4 % of scatter
    assert outcomes(base, new, "memory:7%", "kld:0.05") == [PASS, PASS]


def lasting(times, end, cpu_share=0.0):
    """A record whose test also ran without a rest, and came to so many tok/s."""
    window = SustainWindow(start_s=0.0, rate=end, background_cpu_share=cpu_share, steal_share=0.0)
    one, found = record(times), sustained([window], "decode_tok_s", "tok/s", 1.0)
    return structs.replace(
        one, sustain=found, metrics=one.metrics | sustained_metrics(found, one.metrics)
    )


def test_gates_on_what_is_left_of_a_speed():
    """Processes scatter by 0.8 %: one of each side tells 20 % from 5 %, and not from 20 %."""
    base, new = [lasting(BASE, 100.0)], [lasting(BASE, 80.0)]
    assert outcomes(base, new, "sustained:5%", "sustained_decode_tok_s:5%") == [FAIL, FAIL]
    assert outcomes(base, base, "sustained:5%") == [PASS]
    assert causes(base, new, "sustained:25%") == [Cause.STRADDLES]
    assert outcomes(base, new, "slower:3%") == [PASS]


def test_a_busy_or_a_rare_process_decides_no_such_gate():
    base = [lasting(BASE, 100.0)]
    assert causes(base, [lasting(BASE, 80.0, cpu_share=0.2)], "sustained:5%") == [Cause.BUSY]
    assert causes(base, [lasting(BASE[:3], 80.0)], "sustained:5%") == [Cause.FEW]
    with pytest.raises(UsageError, match="can never fail") as caught:
        judged([record(BASE)], [record(BASE)], "sustained:5%")
    assert "--sustain 10m" in caught.value.fix


def test_the_memory_of_two_single_processes_can_pass_two_percent():
    """0.5 % of scatter a side: (1.96 + 0.84) * 0.5 % * sqrt 2 = 1.98 in ln, 2.0 % of the base."""
    (one,) = judged([record(BASE)], [record(BASE)], "memory:2%")
    assert one.outcome is PASS
    assert {line.mde for line in one.lines} == {0.0, 0.02}  # counted weights, and the peak
    assert outcomes([record(BASE)], [record(BASE)], "memory:1.9%") == [INCONCLUSIVE]


def test_a_gate_adds_its_metrics_and_no_other_line():
    """`tpot_ms` beside the default ones; the prefill rate of a request stays out."""
    sides = [document(record(times, "pg8+4"), run_id=name) for name, times in RUNS]
    plain = compare_documents(sides[:1], sides[1:], Question())
    gated = compare_documents(sides[:1], sides[1:], Question(watched=("tpot_ms",)))
    names = [row.metric.name for row in gated.rows]
    assert sorted([*(row.metric.name for row in plain.rows), "tpot_ms"]) == sorted(names)
    assert "prefill_tok_s" not in names


def test_a_gate_that_could_not_have_failed_does_not_pass():
    """20 % of noise: five processes could show half again as much, and no less."""
    chance = random.Random(6)
    sides = [[record(scattered(chance, 5, 0.2))] for _ in range(2)]
    (one,) = judged(*sides, "slower:3%")
    assert (one.outcome, one.lines[0].cause) == (INCONCLUSIVE, Cause.WEAK)
    assert one.lines[0].mde > 0.2


def test_noise_that_happens_to_look_faster_does_not_pass():
    """The interval lies within the limit, but data like this could not have shown 3 %."""
    base, new = [10.0, 14.0, 11.0, 15.0, 12.0], [5.0, 7.0, 5.5, 7.5, 6.0]
    assert causes([record(base)], [record(new)], "slower:3%") == [Cause.WEAK]


def test_one_line_that_nobody_can_judge_keeps_a_gate_from_green():
    chance = random.Random(6)
    base = [record(BASE), record(scattered(chance, 5, 0.2), threads=1)]
    new = [record(BASE), record(scattered(chance, 5, 0.2), threads=1)]
    (one,) = judged(base, new, "slower:3%")
    assert [line.outcome for line in one.lines] == [PASS, INCONCLUSIVE]
    assert one.outcome is INCONCLUSIVE


# A neighbour.


def test_others_shares_add_up_over_processes():
    """0.3 s of 2 s on each of two processors, then 0.1: 0.4 of 8 processor seconds."""
    watches = [
        WatchInterval(wall_ns=2 * 10**9, processors=2, background_cpu_ns=ns, steal_ns=0)
        for ns in (300_000_000, 100_000_000)
    ]
    assert background_of(watches) == Background(0.05, 0.0)
    assert not Background(0.05, 0.05).is_busy
    assert Background(0.051, None).is_busy
    assert Background(0.0, 0.051).is_busy


@pytest.mark.parametrize(
    "watches", [[], [None], [WatchInterval(wall_ns=5, processors=2, background_cpu_ns=5), None]]
)
def test_what_nobody_watched_is_not_known(watches):
    assert background_of(watches) == Background(None, None)
    assert not background_of(watches).is_busy


@pytest.mark.parametrize("shares", [(0.03, 0.84), (0.84, 0.03), (0.3, 0.3)])
@pytest.mark.parametrize(("base", "new"), [(BASE, SLOW), (BASE, BASE), (SLOW, BASE)])
def test_a_side_beside_other_programs_neither_fails_nor_passes(shares, base, new):
    sides = [[busy(record(times), share)] for times, share in zip((base, new), shares, strict=True)]
    assert causes(*sides, "slower:3%") == [Cause.BUSY]


def test_grade_b_may_decide():
    sides = [[busy(record(times), 0.049)] for times in (BASE, SLOW)]
    assert outcomes(*sides, "slower:3%") == [FAIL]


def test_a_neighbour_moves_neither_sizes_nor_quality():
    base = [busy(record(BASE, quality=quality(0.01)), 0.9)]
    new = [busy(record(BASE, peak_bytes=230_000_000, quality=quality(0.05)), 0.9)]
    assert outcomes(base, new, "memory:2%", "kld:0.01") == [FAIL, FAIL]


def test_a_hypervisor_is_a_neighbour():
    sides = [[busy(record(BASE), 0.0, steal=0.2)], [busy(record(SLOW), 0.0, steal=0.0)]]
    assert causes(*sides, "slower:3%") == [Cause.BUSY]


# Too few.


@pytest.mark.parametrize(("base", "new"), [(5, 4), (1, 5), (3, 3)])
def test_fewer_than_five_processes_are_refused(base, new):
    found = judged([record(BASE[:base])], [record(SLOW[:new])], "slower:3%")
    assert found[0].outcome is INCONCLUSIVE
    with pytest.raises(UsageError, match=f"5 processes a side; base has {base}, new {new}") as told:
        refuse_few(found)
    assert "--rounds 5" in told.value.fix


def test_few_processes_are_enough_for_what_has_no_scatter_of_its_own():
    refuse_few(judged([record([10.0])], [record([10.0])], "memory:2%"))


def test_a_cell_with_few_processes_beside_whole_ones_is_inconclusive():
    base = [record(BASE), record(BASE, threads=1)]
    new = [record(BASE), record(BASE[:4], threads=1)]
    found = judged(base, new, "slower:3%")
    refuse_few(found)
    assert [line.cause for line in found[0].lines] == [None, Cause.FEW]


def test_five_runs_of_one_process_are_five_processes():
    sides = [
        [document(record([time]), run_id=f"{name}{place}") for place, time in enumerate(times)]
        for name, times in RUNS
    ]
    found = judge_gates(compare_documents(*sides, Question()), [parse_gate("slower:3%")])
    refuse_few(found)
    assert found[0].outcome is FAIL


def test_one_run_beside_several_cannot_be_told():
    several = [document(record(SLOW), run_id=f"b{place}") for place in range(3)]
    found = compare_documents([document(record(BASE))], several, Question())
    (one,) = judge_gates(found, [parse_gate("slower:3%")])
    assert one.lines[0].cause is Cause.SILENT


# What becomes of it.


def test_what_ends_a_command_with_one():
    fails = judged([record(BASE)], [record(SLOW)], "slower:3%")
    unsure = judged([record(BASE)], [record(SLOW)], "slower:20%")
    passes = judged([record(SLOW)], [record(BASE)], "slower:3%")
    assert all(is_failure(fails, policy) for policy in Inconclusive)
    assert [is_failure(unsure, policy) for policy in Inconclusive] == [False, True, False]
    assert not any(is_failure(passes, policy) for policy in Inconclusive)


def test_what_fails_once_only_is_inconclusive():
    fails = judged([record(BASE)], [record(SLOW)], "slower:3%")
    passes = judged([record(SLOW)], [record(BASE)], "slower:3%")
    kept, note = confirmed(fails, passes)
    assert (kept[0].outcome, kept[0].lines[0].cause) == (INCONCLUSIVE, Cause.ONCE)
    assert note == "measured anew, 0 of 1 failing lines fail again"
    again, note = confirmed(fails, fails)
    assert again == fails
    assert note == "measured anew, 1 of 1 failing lines fail again"


def test_a_metric_is_a_gate_by_its_own_name():
    assert outcomes([record(BASE)], [record(SLOW)], "tpot_ms:5%") == [FAIL]


def test_invalid_and_simulated_records_fail_no_gate():
    bad = Trust(grade="INVALID", reasons=(Reason(code="SWAPPED", detail=""),))
    base = [record(BASE), record(BASE, threads=1), record(BASE, threads=4)]
    new = [
        record(BASE),
        record(SLOW, threads=1, status={"trust": bad}),
        record(SLOW, threads=4, status={"simulated": True}),
    ]
    (one,) = judged(base, new, "slower:3%")
    assert failing([one]) == ()
    assert [(line.outcome, line.row.cell.threads) for line in one.lines] == [(PASS, 2)]
    assert [(cell.threads, why) for cell, why in one.lost] == [
        (1, "left out of new, INVALID SWAPPED"),
        (4, "left out of new, simulated"),
    ]
    assert one.outcome is INCONCLUSIVE  # what could not be measured was not tested


def test_a_cell_that_crashed_keeps_a_gate_from_green_and_one_never_asked_for_does_not():
    crashed = {"status": "crashed", "reason": "signal 11", "trust": None}
    base = [record(BASE), record(BASE, threads=1)]
    assert outcomes(base, [record(BASE)], "slower:3%") == [PASS]
    new = [record(BASE), record([], threads=1, status=crashed)]
    assert outcomes(base, new, "slower:3%", "memory:2%") == [INCONCLUSIVE, INCONCLUSIVE]
    assert outcomes(new, base, "slower:3%") == [INCONCLUSIVE]


def test_a_gate_that_could_never_fail_is_refused():
    with pytest.raises(UsageError, match="can never fail: no cell has kld_nats"):
        judged([record(BASE)], [record(BASE)], "kld:0.01")


@pytest.mark.parametrize(
    "text",
    [
        *("slower", "slower:", "slower:0", "slower:0%", "slower:-3%", "slower:101%", "slower:3"),
        *("slower:x", "slower:nan", "slower:inf", "nonesuch:3%", ":3%", "kld:0", "kld:-1"),
        "kld:1%",
    ],
)
def test_gates_that_cannot_be_meant_are_refused(text):
    with pytest.raises(UsageError):
        parse_gate(text)


def test_shares_are_read():
    assert parse_share("3%", "--tolerance") == pytest.approx(0.03)
    assert parse_share("0.03", "--tolerance") == 0.03
    assert parse_share("100%", "--tolerance") == 1.0
