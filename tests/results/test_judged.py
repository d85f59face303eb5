"""Requirements beside records: where each metric's scatter comes from, and what is not told."""

import pytest
from msgspec import structs

from harness.results.enums import Outcome
from harness.results.judged import (
    BUSY,
    FEW,
    NO_SUSTAIN,
    NOT_MEASURED,
    RANDOM,
    STRADDLES,
    family_of,
    judge,
    judge_records,
    judge_runs,
    lines_of,
)
from harness.results.quality import Mean, TaskScores
from harness.results.replies import Sustained
from harness.results.requirement import parse_requirements
from harness.stats.limits import Family
from harness.stats.proportions import wilson_interval
from harness.stats.stopping import Looks
from tests.measured_documents import busy, quality, record

MET, NOT_MET, INCONCLUSIVE = Outcome
TIMES = [10.0, 10.1, 9.9, 10.05, 9.95]  # 100 tok/s


def outcome_of(text, one, family=None, **other):
    (asked,) = parse_requirements([text])
    return judge(asked, one, family or Family(), **other)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("decode>=90", MET),
        ("decode>=99.9", INCONCLUSIVE),
        ("decode>=110", NOT_MET),
        ("tpot<=11ms", MET),
        ("tpot<=9ms", NOT_MET),
        ("peak<=195MiB", MET),  # 190.7 MiB, known to 0.5 %
        ("peak<=191MiB", INCONCLUSIVE),
        ("peak<=185MiB", NOT_MET),
        ("weights<=84MB", MET),  # counted: just as large
        ("weights<=83MB", NOT_MET),
        ("kld<=0.02", MET),
        ("kld<=0.011", INCONCLUSIVE),
        ("kld<=0.005", NOT_MET),
        ("top1>=94%", MET),
        ("top1>=97%", NOT_MET),
    ],
)
def test_a_record_is_judged_by_the_whole_interval(text, outcome):
    found = outcome_of(text, record(TIMES, quality=quality(0.01)))
    assert found.outcome is outcome
    assert found.why == (STRADDLES if outcome is INCONCLUSIVE else "")
    if outcome is INCONCLUSIVE:
        assert found.low < found.requirement.limit < found.high


def test_more_lines_widen_the_interval():
    one, many = (
        outcome_of("decode>=98", record(TIMES), family) for family in (Family(1), Family(200))
    )
    assert (one.outcome, many.outcome) == (MET, INCONCLUSIVE)
    assert many.low < one.low


def test_a_width_that_ended_a_run_costs_some_of_the_share():
    plain = outcome_of("decode>=98", record(TIMES))
    stopped = outcome_of("decode>=98", record(TIMES), looks=Looks(5, 30))
    assert stopped.low < plain.low


@pytest.mark.parametrize(
    ("text", "one", "why"),
    [
        ("decode>=1", record(TIMES[:2]), FEW),
        ("ttft<=1s", record(TIMES), NOT_MEASURED),
        ("kld<=1", record(TIMES), NOT_MEASURED),
        ("decode>=1", record(TIMES, status={"status": "crashed", "reason": "gone"}), "crashed"),
        ("kld<=1", record(TIMES, quality=structs.replace(quality(0), label="random")), RANDOM),
        ("sustained_decode>=1", record(TIMES), NO_SUSTAIN),
        ("decode>=200", busy(record(TIMES), share=0.3), BUSY),
    ],
)
def test_what_is_not_told_says_why(text, one, why):
    found = outcome_of(text, one)
    assert found.outcome is INCONCLUSIVE
    assert why in found.why


def test_what_keeps_to_a_limit_beside_other_programs_keeps_to_it():
    assert outcome_of("decode>=50", busy(record(TIMES), share=0.3)).outcome is MET


@pytest.mark.parametrize(("rate", "outcome"), [(95.0, MET), (81.0, INCONCLUSIVE), (60.0, NOT_MET)])
def test_a_sustained_rate_scatters_as_processes_do(rate, outcome):
    ran = structs.replace(record(TIMES), sustain=Sustained(sustained=rate))
    assert outcome_of("sustained_decode>=80", ran).outcome is outcome


def test_what_a_session_has_once_is_one_line():
    records = [record(TIMES), record(TIMES, test="pp8"), record(TIMES, level="fp32")]
    asked = parse_requirements(["decode>=90, weights<=100MiB, load<=1s, peak<=1GiB, kld<=1"])
    lines = lines_of(records, asked)
    counts = {one.name: sum(other is one for _, other in lines) for one in asked}
    assert counts == {"decode": 2, "weights": 2, "load": 2, "peak": 3, "kld": 3}  # two paths
    assert family_of(lines).lines == 10  # weights are counted, so sure


def answered(accuracy, items=5):
    """What a level answers of so few questions, with Wilson's interval."""
    found = wilson_interval(round(accuracy * items), items)
    share = Mean(found.center, found.low, found.high)
    scores = TaskScores(items=items, task_accuracy=share, task_flips=share)
    return structs.replace(quality(0.01), tasks=scores)


def test_answers_of_a_level_are_one_line_whatever_its_tests():
    records = [record(TIMES, test=test, quality=answered(0.6)) for test in ("tg4", "pp8", "pg8+4")]
    lines = lines_of(records, parse_requirements(["accuracy>=50%, flips<=50%, kld<=1"]))
    names = [one.name for _, one in lines]
    assert [names.count(name) for name in ("accuracy", "flips", "kld")] == [1, 1, 2]


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_no_interval_of_a_share_is_wider_than_all_of_it(share):
    found = outcome_of("flips<=50%", record(TIMES, quality=answered(share)), Family(18))
    assert found.outcome is INCONCLUSIVE
    assert 0.0 <= found.low <= share <= found.high <= 1.0


def test_lines_of_a_run_are_told_together():
    found = judge_records([record(TIMES)], parse_requirements(["decode>=90, peak<=1GiB"]))
    assert [one.outcome for _, one in found] == [MET, MET]


def test_several_runs_give_one_value_each():
    runs = [[record([ms + shift for ms in TIMES])] for shift in (0.0, 0.1, -0.1)]
    (_, met), (_, peak) = judge_runs(runs, parse_requirements(["decode>=80, peak<=1GiB"]))
    assert (met.outcome, met.basis) == (MET, "3 processes")
    assert (peak.outcome, peak.value) == (MET, 200_000_000)
    (_, few), *_ = judge_runs(runs[:2], parse_requirements(["decode>=80"]))
    assert few.why == FEW
