"""Pareto fronts, the level to ship and surprises, on sweeps small enough to check by eye."""

import msgspec
import pytest
from msgspec import convert, structs

from harness.report.render import render
from harness.report.rows import make_rows
from harness.report.sweep import pareto_fronts, sweep_notes, sweeps
from harness.results.quality import Quality, TaskScores
from harness.results.replies import Placement
from harness.results.schema import Metric
from harness.stats.proportions import mcnemar_p
from tests.report.report_documents import document, metric, one_pass, record

MIB = 2**20
TEXT, RANDOM = {"label": ""}, {"label": "numeric fidelity only"}


def level(name, tok_s, peak_mib, kld, nll=0.0, quality=TEXT, cache="", **other):
    """A decode record of one level; 2 % half-width."""
    metrics = {
        "decode_tok_s": metric(tok_s),
        "peak_rss_bytes": Metric(value=peak_mib * MIB, unit="bytes", processes=1),
    }
    if kld is not None:
        metrics["kld_nats"] = Metric(value=kld, unit="nats", processes=1)
        metrics["nll_delta"] = Metric(value=nll, unit="nats/token", processes=1)
    return record(
        "tg32", metrics, cell={"level": name, "kv_cache": cache}, quality=quality, **other
    )


def rows(*records):
    return make_rows(document(*records).records)


def marks(*records):
    found = rows(*records)
    return {found[place].cell.level: mark for place, mark in pareto_fronts(found).items()}


SWEEP = (
    level("fp32", 40.0, 700, 0.0),
    level("int8", 60.0, 240, 0.001, nll=0.001),
    level("int8-block", 55.0, 250, 0.001, nll=0.001),
    level("int4", 100.0, 200, 0.02, nll=0.015),
    level("int2", 110.0, 150, 1.5, nll=1.2),
)


def test_the_front_leaves_out_what_another_level_beats():
    """int8-block loses as much as int8, is slower and larger; every other level has its reason."""
    assert marks(*SWEEP) == dict.fromkeys(("fp32", "int8", "int4", "int2"), "both")


def test_a_ladder_holds_the_cache_fixed():
    """Levels with their own float cache are one sweep, fp16 among them; int8 caches another."""
    records = (
        level("fp32", 40.0, 700, 0.0),
        level("fp16", 41.0, 600, 0.0),
        level("int4", 100.0, 200, 0.01),
        level("fp32", 50.0, 690, 0.001, cache="int8"),
        level("int4", 120.0, 190, 0.012, nll=0.001, cache="int8"),
    )
    found = sweeps(rows(*records))
    assert [[one.level for one in group] for group in found] == [
        ["fp32", "fp16", "int4"],
        ["fp32", "int4"],
    ]
    notes = list(sweep_notes(rows(*records)))
    assert notes[0].startswith("smollm2-135m: ship int4")
    assert notes[1].startswith("smollm2-135m kv int8: ship int4")


def test_what_sweeps_of_a_model_differ_in_is_named_and_nothing_is_said_twice():
    records = [
        structs.replace(one, cell=structs.replace(one.cell, capacity=capacity, threads=threads))
        for capacity in (0, 512)
        for threads in (1, 2)
        for one in (level("fp32", 40.0, 700, 0.0), level("int2", 50.0, 150, 1.5, nll=1.2))
    ]
    notes = list(sweep_notes(rows(*records)))
    assert [note.partition(":")[0] for note in notes if "ship" in note] == [
        f"smollm2-135m threads {threads} capacity {capacity}"
        for capacity in ("tests", "512")
        for threads in (1, 2)
    ]
    assert sum("int2 is broken" in note for note in notes) == 1


def test_speed_and_memory_have_fronts_of_their_own():
    """`small` is slower than fp32 and loses more, but needs less memory."""
    found = marks(level("fp32", 40.0, 700, 0.0), level("small", 30.0, 300, 0.1))
    assert found == {"fp32": "both", "small": "memory"}


def test_equal_levels_are_both_on_the_front():
    found = marks(level("fp32", 40.0, 700, 0.0), level("twin", 40.0, 700, 0.0))
    assert found == {"fp32": "both", "twin": "both"}


def test_the_fastest_level_that_loses_next_to_nothing_is_shipped():
    """int4 loses 0.015 nats a token, int2 1.2: 100 / 40 = 2.50 times, 200 / 700 = 29 %."""
    note = next(iter(sweep_notes(rows(*SWEEP))))
    assert note == (
        "smollm2-135m: ship int4: the fastest that loses at most 0.02 nats a token, decodes 2.50"
        " times as fast as fp32, in 29% of its memory, +0.0150 nats a token"
    )


def test_of_levels_as_fast_as_the_fastest_the_smallest_is_shipped():
    """Half-widths of 2 %: 98 and 100 overlap, 90 does not; the noise of a run decides nothing."""
    for fast, slower in ((100.0, 98.5), (98.5, 100.0)):
        records = (
            level("fp32", 40.0, 700, 0.0),
            level("int8", fast, 250, 0.001, nll=0.001),
            level("int4", slower, 200, 0.01, nll=0.01),
            level("int3", 90.0, 100, 0.01, nll=0.01),
        )
        note = next(iter(sweep_notes(rows(*records))))
        assert "ship int4: the smallest of those as fast as the fastest" in note
        assert "(not told apart: int8)" in note


def few(one):
    """A record of three processes."""
    rate = msgspec.structs.replace(one.metrics["decode_tok_s"], processes=3)
    return msgspec.structs.replace(one, metrics={**one.metrics, "decode_tok_s": rate})


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (few(level("int4", 100.0, 200, 0.02)), "int4 has 3 of 5 processes (--rounds 5)"),
        (level("int4", None, 200, 0.02), "int4 has no speed that counts"),
        (level("int4", 100.0, 200, None), "int4 has no quality on text (--quality)"),
    ],
)
def test_no_level_is_shipped_before_all_are_judged(last, told):
    note = next(iter(sweep_notes(rows(*SWEEP[:3], last))))
    assert note.startswith(f"smollm2-135m: no level to ship yet: {told}")


def test_a_loss_whose_interval_passes_the_bound_is_not_small():
    wide = level("int4", 100.0, 200, 0.02, nll=0.015)
    delta = Metric(value=0.015, low=-0.01, high=0.04, unit="nats/token", processes=1)
    wide = msgspec.structs.replace(wide, metrics={**wide.metrics, "nll_delta": delta})
    assert "ship int8:" in next(iter(sweep_notes(rows(*SWEEP[:3], wide))))


def answered(one, lost=0, won=0, **other):
    """The same record with answers to 300 questions."""
    tasks = {"name": "mine", "items": 300, "lost": lost, "won": won, **other}
    scores = convert(tasks | {"mcnemar_p": mcnemar_p(lost, won)}, TaskScores)
    return msgspec.structs.replace(one, quality=msgspec.structs.replace(one.quality, tasks=scores))


def test_a_level_that_is_shown_to_answer_worse_is_not_shipped():
    """int4 keeps the likelihood and is the fastest, and loses 60 questions for 20 won."""
    asked = [answered(one) for one in SWEEP[:3]]
    note = next(iter(sweep_notes(rows(*asked, answered(SWEEP[3], 60, 20)))))
    assert "ship int8: the fastest that loses at most 0.02 nats a token and is not shown to" in note
    assert "answer worse (300 questions, McNemar, 5 %; left out for it: int4)" in note
    kept = next(iter(sweep_notes(rows(*asked, answered(SWEEP[3], 22, 20)))))
    assert "ship int4: " in kept
    assert "(300 questions, McNemar, 5 %), decodes" in kept


def test_divergences_whose_intervals_overlap_are_not_ranked():
    """Overlapping: a and b, b and c, but not all three; d stands alone; fp32 is the reference."""

    def ranged(name, low, kld, high):
        one = level(name, 50.0, 200, kld)
        metric = Metric(value=kld, low=low, high=high, unit="nats", processes=1)
        return msgspec.structs.replace(one, metrics={**one.metrics, "kld_nats": metric})

    first, second = ranged("a", 0.001, 0.002, 0.003), ranged("b", 0.002, 0.003, 0.004)
    third, fourth = ranged("c", 0.0035, 0.004, 0.0045), ranged("d", 0.01, 0.02, 0.03)
    exact = ranged("fp32", 0.0, 0.0, 0.0)
    told = "KLD cannot rank these, whose 95 % intervals overlap: a, b; b, c"
    assert told in list(sweep_notes(rows(exact, fourth, third, second, first)))
    notes = list(sweep_notes(rows(exact, first, fourth)))
    assert not any("cannot rank" in note for note in notes)


@pytest.mark.parametrize("style", ["table", "md"])
def test_answers_have_a_table_of_their_own(style):
    share = {"value": 0.7, "low": 0.65, "high": 0.75}
    told = {"task_accuracy": share, "reference_accuracy": share, "task_flips": share}
    found = [answered(SWEEP[0], chance=0.25, **told), answered(SWEEP[4], 60, 20, **told)]
    text = render(document(*found), style)
    assert "smollm2-135m · 300 questions, mine, 25.0% by guessing\n" in text
    for word in ("worse", "same answers", "65.0%", "McNemar"):
        assert word in text
    lost = answered(SWEEP[0])
    broken = msgspec.structs.replace(lost.quality, tasks=TaskScores(reason="a reason"))
    lost = msgspec.structs.replace(lost, quality=broken)
    assert "smollm2-135m fp32: no answers: a reason" in render(document(lost), style)


def test_answers_of_random_weights_say_nothing():
    one = msgspec.structs.replace(SWEEP[0], quality=convert(RANDOM, Quality))
    assert "says nothing" in render(document(answered(one)), "table")


@pytest.mark.parametrize(
    "fields", [{"simulated": True}, {"placement": Placement(verdict="PARTIAL")}]
)
def test_a_level_whose_device_was_no_real_one_is_on_no_sweep(fields):
    """int2 is the fastest and smallest; where its device did not do the work it has no rank."""
    records = (*SWEEP[:4], level("int2", 900.0, 10, 0.0, **fields))
    assert "int2" not in marks(*records)
    assert "ship int4" in next(iter(sweep_notes(rows(*records))))


def test_random_weights_make_no_level_the_best():
    records = [
        level("fp32", 40.0, 700, 0.0, quality=RANDOM),
        level("int4", 90.0, 200, 0.1, quality=RANDOM),
    ]
    assert marks(*records) == {}
    assert any("no best level" in note for note in sweep_notes(rows(*records)))


def test_no_level_that_keeps_the_likelihood_is_said():
    records = [level("int4", 90.0, 200, 0.3, nll=0.3), level("int2", 95.0, 150, 0.9, nll=0.8)]
    assert "no level keeps" in next(iter(sweep_notes(rows(*records))))


def test_a_slower_level_has_its_cause():
    """Held as float32 beside fp32: nothing is read less; else the kernel's own bound."""

    def explained(held, bound):
        memory = [{"part": "weights as held", "bytes": held}]
        return one_pass("decode step", bound) | {"memory": memory}

    twin = level("fp32", 40.0, 700, 0.0, explanation=explained(500.0, "memory"))
    half = level("fp16", 30.0, 700, 0.0, explanation=explained(500.0, "memory"))
    slow = level("int2", 20.0, 150, 0.0, explanation=explained(50.0, "compute"))
    notes = list(sweep_notes(rows(twin, half, slow)))
    assert any("fp16 decodes slower" in note and "float32" in note for note in notes)
    assert any("int2 decodes slower" in note and "dequantization" in note for note in notes)


def test_a_level_within_noise_of_the_twin_is_no_surprise():
    notes = list(sweep_notes(rows(level("fp32", 40.0, 700, 0.0), level("int8", 39.5, 300, 0.0))))
    assert not any("slower" in note for note in notes)


def test_a_broken_level_is_named():
    assert any("int2 is broken: KLD 1.50" in note for note in sweep_notes(rows(*SWEEP)))


def test_a_level_of_random_weights_cannot_be_broken():
    seeded = [level("fp32", 40.0, 700, 0.0, quality=RANDOM)]
    seeded.append(level("int2", 110.0, 150, 3.0, quality=RANDOM))
    assert not any("broken" in note for note in sweep_notes(rows(*seeded)))


@pytest.mark.parametrize(("expected_mib", "is_named"), [(40.0, True), (64.0, False)])
def test_a_level_much_larger_than_its_bits_is_named(expected_mib, is_named):
    """72.6 MiB are stored: 1.8 times 40, 1.1 times 64."""
    estimates = {"weights_bytes": {"params": expected_mib * MIB}}
    large = level("int4", 90.0, 300, None, estimates=estimates)
    notes = list(sweep_notes(rows(level("fp32", 40.0, 700, None), large)))
    assert any("times parameters" in note for note in notes) == is_named


def test_a_single_level_is_no_sweep():
    assert list(sweep_notes(rows(SWEEP[0]))) == []
    assert pareto_fronts(rows(SWEEP[0])) == {}


@pytest.mark.parametrize("style", ["table", "md"])
def test_the_table_shows_quality_and_says_what_to_ship(style):
    text = render(document(*SWEEP), style)
    for word in ("KLD", "front", "0.0200", "ship int4"):
        assert word in text


def test_a_lost_quality_says_why():
    why = "its fp32 reference could not be built"
    lost = level("int4", 90.0, 200, None, quality={"reason": why})
    assert f"no quality: {why}" in render(document(lost), "table")


@pytest.mark.parametrize("style", ["table", "md"])
def test_sensitivities_have_a_table_of_their_own(style):
    """A group whose logits were no numbers shows no divergence."""
    losses = [
        {"group": "head", "saved_bytes": MIB, "kld_nats": None, "kld_nats_per_mib": None},
        {
            "group": "down",
            "saved_bytes": 2 * MIB,
            "kld_nats": {"value": 0.0125, "low": 0.01, "high": 0.015},
            "kld_nats_per_mib": 0.00625,
        },
    ]
    found = {"label": "numeric fidelity only", "sensitivity": losses}
    text = render(document(level("int4", 90.0, 200, 0.1, quality=found)), style)
    for word in ("one group at int4", "numeric fidelity only", "0.00625", "0.0125", "–"):
        assert word in text
