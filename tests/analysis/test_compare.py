"""Two sides, cell by cell: matching, pairing, units of replication, and what is refused."""

import math
import random
import re
from pathlib import Path

import pytest
from msgspec import structs

from harness.analysis.compare import Question, compare_axis, compare_documents
from harness.analysis.compare_sides import compared as comparable_metrics
from harness.analysis.compare_sides import find_compared
from harness.analysis.gate import GATES, failing, judge_gates, parse_gate
from harness.core.errors import ResultFormatError, UsageError
from harness.report.compare_table import draw_table, line_name
from harness.results.document import read_document
from harness.results.metrics import METRICS
from harness.results.schema import METHOD_VERSION, Metric, Reason, Record, Trust
from tests.measured_documents import cell, document, quality, record, scattered
from tests.replies import sample

RESULTS = Path(__file__).resolve().parents[2] / "results"
BASE = [10.0, 10.1, 9.9, 10.05, 9.95]
SLOW = [time * 1.2 for time in BASE]
ASK = Question()
RUNS = (("run-a", BASE), ("run-b", SLOW))


def compared(base, new, question=ASK, **options):
    """Rows of two runs by metric name."""
    found = compare_documents(
        [document(*base)], [document(*new, run_id="run-b")], question, **options
    )
    return {row.metric.name: row for row in found.rows}


def test_a_rate_that_falls_is_slower():
    """20 % longer steps: the rate is 1 / 1.2 = 0.833 of the base's."""
    row = compared([record(BASE)], [record(SLOW)])["decode_tok_s"]
    assert row.word == "SLOWER"
    assert row.center == pytest.approx(1 / 1.2)
    assert row.interval is not None
    assert row.interval[0] < row.center < row.interval[1] < 1
    assert (row.basis, row.counts) == ("processes", (5, 5))


def test_runs_that_a_precision_ended_stand_on_a_wider_scatter():
    """Six of at most 30 rounds, by either side: Welch's error grows by t(0.99, 5) / t(0.975, 5)."""
    times = [*BASE, 10.02]
    plans = ({}, {"precision": 0.02, "max_rounds": 30}, {"precision": 0.02, "max_rounds": 6})
    errors = []
    for plan in plans:
        sides = [
            document(record(times), run_id=name, plan={"rounds": 5, **plan})
            for name in ("run-a", "run-b")
        ]
        rows = compare_documents([sides[0]], [sides[1]], ASK).rows
        (row,) = (row for row in rows if row.metric.name == "decode_tok_s")
        errors.append(row.difference.standard_error)
    assert errors[1] / errors[0] == pytest.approx(3.3649 / 2.5706, rel=1e-4)
    assert errors[2] / errors[0] == pytest.approx(2.7565 / 2.5706, rel=1e-4)


def test_exchanging_the_sides_mirrors_everything():
    there = compared([record(BASE)], [record(SLOW)])["decode_tok_s"]
    back = compared([record(SLOW)], [record(BASE)])["decode_tok_s"]
    assert back.word == "FASTER"
    assert back.center == pytest.approx(1 / there.center)


def test_each_metric_has_its_own_words():
    rows = compared(
        [record(BASE, quality=quality(0.01))],
        [record(BASE, peak_bytes=220_000_000, quality=quality(0.05))],
    )
    assert rows["peak_rss_bytes"].word == "LARGER"
    assert rows["kld_nats"].word == "WORSE"
    assert rows["top1_agreement"].word == "SAME"
    assert rows["weights_bytes"].word == "SAME"


def test_a_loss_is_compared_as_a_difference():
    """0.05 - 0.01 nats over 20 chunks; 0 nats would have no logarithm."""
    row = compared(
        [record(BASE, quality=quality(0.0, half=0.0))], [record(BASE, quality=quality(0.05))]
    )["kld_nats"]
    assert row.center == pytest.approx(0.05)
    assert row.interval == pytest.approx((0.048, 0.052), abs=1e-4)


def test_the_same_is_said_of_close_runs_only():
    """Equal times of little noise are the SAME; of large noise nobody can tell."""
    chance = random.Random(1)
    quiet = [record(scattered(chance, 8, 0.005)) for _ in range(2)]
    noisy = [record(scattered(chance, 5, 0.15)) for _ in range(2)]
    assert compared(quiet[:1], quiet[1:])["decode_tok_s"].word == "SAME"
    assert compared(noisy[:1], noisy[1:])["decode_tok_s"].word == "INCONCLUSIVE"


def test_what_the_data_would_have_shown_grows_with_its_noise():
    chance = random.Random(2)
    rows = [
        compared([record(scattered(chance, 5, noise))], [record(scattered(chance, 5, noise))])
        for noise in (0.01, 0.1)
    ]
    quiet, noisy = (found["decode_tok_s"] for found in rows)
    assert 0.03 < quiet.could_show < quiet.mde < noisy.mde


def test_memory_of_one_process_has_the_scatter_of_the_reference_machine():
    """Sqrt 2 * 0.5 % * 1.96 = 1.4 % on each side of the ratio."""
    row = compared([record(BASE)], [record(BASE)])["peak_rss_bytes"]
    assert row.basis == "known scatter"
    assert row.interval == pytest.approx((1 / 1.01396, 1.01396), abs=1e-4)


def test_a_session_is_compared_once():
    """Both tests of a session carry its load time; it is one line."""
    sides = [[record(BASE), record(BASE, "pp8")], [record(SLOW), record(SLOW, "pp8")]]
    found = compare_documents([document(*sides[0])], [document(*sides[1], run_id="run-b")], ASK)
    names = [row.metric.name for row in found.rows]
    assert names.count("load_ms") == names.count("weights_bytes") == 1
    assert names.count("decode_tok_s") == names.count("prefill_tok_s") == 1


def test_cells_match_by_all_that_they_are():
    found = compare_documents(
        [document(record(BASE), record(BASE, threads=1))],
        [document(record(BASE), record(BASE, depth=512), run_id="run-b")],
        ASK,
    )
    assert {row.cell for row in found.rows} == {cell()}
    assert "only in base: smollm2-135m int4 tg4 @ d0 cpu t1" in found.notes
    assert "only in new: smollm2-135m int4 tg4 @ d512 cpu t2" in found.notes


def test_how_a_level_is_printed_does_not_matter():
    rows = compared([record(BASE)], [record(BASE, level_label="int4 (block 32)")])
    assert "decode_tok_s" in rows


def test_records_that_do_not_count_are_left_out_and_told():
    bad = Trust(grade="INVALID", reasons=(Reason(code="THROTTLED", detail="hot"),))
    found = compare_documents(
        [document(record(BASE), record(BASE, threads=1), record(BASE, threads=4))],
        [
            document(
                record(BASE),
                record(SLOW, threads=1, status={"trust": bad}),
                record(SLOW, threads=4, status={"simulated": True}),
                run_id="run-b",
            )
        ],
        ASK,
    )
    assert {row.cell.threads for row in found.rows} == {2}
    assert "left out of new, INVALID THROTTLED: smollm2-135m int4 tg4 @ d0 cpu t1" in found.notes
    assert "left out of new, simulated: smollm2-135m int4 tg4 @ d0 cpu t4" in found.notes


def test_one_process_on_a_side_has_no_verdict():
    row = compared([record(BASE)], [record([12.0])])["decode_tok_s"]
    assert row.word == "INCONCLUSIVE"
    assert row.interval is None
    assert row.reason == "a side has 1 of the processes that a verdict needs two of; --rounds 5"
    assert row.center == pytest.approx(1 / 1.2, rel=1e-2)


def test_a_metric_on_one_side_only_is_told():
    found = compare_documents(
        [document(record(BASE, peak_bytes=None))], [document(record(BASE), run_id="run-b")], ASK
    )
    assert "peak_rss_bytes only in new: 1 cells" in found.notes


def test_without_samples_the_interval_itself_is_enough():
    """A document whose samples were cut off gives the same comparison by its intervals."""
    whole = compared([record(BASE)], [record(SLOW)])["decode_tok_s"]
    cut = [
        Record(cell=one.cell, status="ok", metrics=one.metrics)
        for one in (record(BASE), record(SLOW))
    ]
    found = compared(cut[:1], cut[1:])["decode_tok_s"]
    assert found.interval == pytest.approx(whole.interval, rel=1e-9)


def test_several_runs_of_a_side_count_as_one_value_each():
    """Three runs a side: three values, however many processes each has."""
    sides = [
        [
            document(record([time * drift for time in BASE]), run_id=f"{name}{place}")
            for place, drift in enumerate((1.0, 1.1, 0.9))
        ]
        for name in "ab"
    ]
    row = {r.metric.name: r for r in compare_documents(*sides, ASK).rows}["decode_tok_s"]
    assert (row.basis, row.counts) == ("runs", (3, 3))
    assert row.word == "INCONCLUSIVE"


def test_one_run_beside_several_has_no_verdict():
    several = [document(record(SLOW), run_id=f"b{place}") for place in range(3)]
    found = compare_documents([document(record(BASE))], several, ASK)
    row = {r.metric.name: r for r in found.rows}["decode_tok_s"]
    assert row.reason == "a side has 1 of the runs that a verdict needs two of; measure once more"
    assert any(note.startswith("no interval in 3 lines, such as smoll") for note in found.notes)


def test_an_axis_is_paired_by_round():
    """Rounds drift by a factor of two, both levels alike: pairs see 5 %, two samples would not."""
    drift = [1.0, 1.2, 1.5, 1.8, 2.0]
    wobble = [0.0, 0.002, -0.002, 0.001, -0.001]
    base = [10 * factor for factor in drift]
    new = [10.5 * factor * (1 + part) for factor, part in zip(drift, wobble, strict=True)]
    run = document(record(base, level="fp32"), record(new, level="int4"))
    row = {r.metric.name: r for r in compare_axis(run, "quant", None, ASK).rows}["decode_tok_s"]
    assert (row.basis, row.counts, row.word) == ("rounds", (5, 5), "SLOWER")
    apart = compared([record(base)], [record(new)])["decode_tok_s"]
    assert apart.word == "INCONCLUSIVE"


@pytest.mark.parametrize(
    "axis", ["quant", "level", "threads", "device", "batch", "depth", "weights"]
)
def test_any_field_of_a_cell_is_an_axis(axis):
    field = "level" if axis == "quant" else axis
    value = {"level": "fp32", "device": "gpu", "model": "other"}.get(field, 4)
    other = record(
        SLOW, provider="Other" if axis == "device" else "CPUExecutionProvider", **{field: value}
    )
    question = Question(metrics=("tpot_ms",))
    found = compare_axis(document(record(BASE), other), axis, None, question)
    assert [row.word for row in found.rows if row.metric.name == "tpot_ms"] == ["SLOWER"]
    assert getattr(found.rows[0].new_cell, field) == value


def test_a_cache_as_long_as_tests_need_is_a_word_of_the_axis():
    run = document(record(BASE), record(SLOW, capacity=8192), record(SLOW, capacity=256))
    question = Question(metrics=("tpot_ms",))
    for base in (None, "tests"):
        found = compare_axis(run, "capacity", base, question)
        assert [row.new_cell.capacity for row in found.rows] == [8192, 256]
    with pytest.raises(UsageError, match="its values are tests, 8192, 256"):
        compare_axis(run, "capacity", "0", question)


def test_tables_and_gates_call_it_so_too():
    cells = [record(SLOW, depth=depth, capacity=room) for depth in (0, 8) for room in (0, 256)]
    question = Question(metrics=("tpot_ms",))
    beside = compare_axis(document(*cells), "depth", None, question)
    drawn = draw_table(beside, "wide")
    lines = [line.split() for line in drawn.splitlines() if " tpot_ms " in line]
    assert [words[0] for words in lines] == ["tests", "256"]
    (row, _) = compare_axis(document(*cells), "capacity", None, question).rows
    assert line_name(row).endswith("capacity tests to 256")


def test_runtimes_are_paired_by_levels_that_store_a_weight_likewise():
    """One q8_0 stands for both forms of 8 bits, its cache of floats of 16 bits for theirs of 32."""
    theirs = {"runtime": "llama.cpp", "provider": "llama.cpp"}
    run = document(
        record(BASE, level="int8", kv_cache="fp32"),
        record(BASE, level="int8-block", kv_cache="fp32"),
        record(BASE, level="int4", kv_cache="fp32"),
        record(BASE, level="int2", kv_cache="fp32"),
        record(SLOW, level="q8_0", kv_cache="fp16", **theirs),
        record(SLOW, level="q4_0", kv_cache="fp16", **theirs),
    )
    found = compare_axis(run, "runtime", None, Question(metrics=("tpot_ms",)))
    pairs = [(row.cell.level, row.new_cell.level, row.word) for row in found.rows]
    assert pairs == [
        ("int8", "q8_0", "SLOWER"),
        ("int8-block", "q8_0", "SLOWER"),
        ("int4", "q4_0", "SLOWER"),
    ]
    (note,) = (note for note in found.notes if note.startswith("only in one value"))
    assert "int2" in note
    assert "q8_0" not in note


PLAIN, SMALL = "m@aaaaaaaa", "m@bbbbbbbb"
EXPORT = (
    record(BASE, model=PLAIN, parameters=9728, level="fp32", weights="exported"),
    record(SLOW, model=SMALL, parameters=9700, level="int8", weights="exported", kv_cache="int8"),
)


@pytest.mark.parametrize("axis", ["model", "quant"])
def test_two_files_of_one_export_are_paired(axis):
    """Level, count, hash and type of the cache follow from the file."""
    found = compare_axis(document(*EXPORT), axis, None, Question(metrics=("tpot_ms",)))
    assert [row.word for row in found.rows] == ["SLOWER"]
    assert (found.rows[0].cell.model, found.rows[0].new_cell.model) == (PLAIN, SMALL)


def test_models_of_other_names_are_not_one_by_their_levels():
    other = structs.replace(EXPORT[1], cell=structs.replace(EXPORT[1].cell, model="n@bbbbbbbb"))
    with pytest.raises(UsageError, match="files are of other exports: m; n"):
        compare_axis(document(EXPORT[0], other), "quant", None, ASK)


def exported(level, digest, kv_cache="fp32"):
    return record(BASE, model=f"m@{digest * 8}", level=level, kv_cache=kv_cache, weights="exported")


@pytest.mark.parametrize(("axis", "base"), [("quant", "int8"), ("model", "m@bbbbbbbb")])
def test_three_files_of_one_export_are_paired_with_the_base(axis, base):
    """By level or by file; without a word the first is the base."""
    run = document(exported("fp32", "a"), exported("int8", "b", "int8"), exported("int4", "c"))
    question = Question(metrics=("tpot_ms",))
    plain, chosen = (compare_axis(run, axis, name, question).rows for name in (None, base))
    assert [(row.cell.level, row.new_cell.level) for row in plain] == [
        ("fp32", "int8"),
        ("fp32", "int4"),
    ]
    assert {row.cell.level for row in chosen} == {"int8"}
    assert {row.new_cell.level for row in chosen} == {"fp32", "int4"}


def test_files_that_are_stored_alike_are_compared_by_file_not_by_level():
    run = document(exported("fp32", "a"), exported("int4", "b"), exported("int4", "c"))
    with pytest.raises(UsageError, match=r"m@bbbbbbbb and m@cccccccc at int4") as caught:
        compare_axis(run, "quant", None, ASK)
    assert "--axis model" in caught.value.fix
    rows = compare_axis(run, "model", None, Question(metrics=("tpot_ms",))).rows
    assert [row.new_cell.model for row in rows] == ["m@bbbbbbbb", "m@cccccccc"]


def test_a_level_that_a_model_has_beside_others_stays_in_the_key():
    """Two models at two levels each: along the models each level is a pair of its own."""
    both = [
        record(BASE, model=model, level=level) for model in ("a", "b") for level in ("fp32", "int4")
    ]
    found = compare_axis(document(*both), "model", None, Question(metrics=("tpot_ms",)))
    assert [(row.cell.level, row.new_cell.level) for row in found.rows] == [
        ("fp32", "fp32"),
        ("int4", "int4"),
    ]


def test_a_new_export_is_compared_by_name_with_a_note():
    """Another hash and, of merged vectors, another count; the level is the same."""
    new = record(SLOW, model="m@cccccccc", parameters=9700, level="fp32", weights="exported")
    found = compare_documents([document(EXPORT[0])], [document(new, run_id="run-b")], ASK)
    assert {row.new_cell.model for row in found.rows} == {"m@cccccccc"}
    assert "compared by name, the files are others: m@aaaaaaaa with m@cccccccc" in found.notes


def test_two_exports_of_one_name_are_not_guessed():
    new = [
        record(SLOW, model=f"m@{letter * 8}", level="fp32", weights="exported") for letter in "cd"
    ]
    with pytest.raises(UsageError, match="share nothing"):
        compare_documents([document(EXPORT[0])], [document(*new, run_id="run-b")], ASK)


def test_the_base_of_an_axis_can_be_chosen():
    run = document(
        record(BASE, level="fp32"), record(SLOW, level="int4"), record(BASE, level="int8")
    )
    found = compare_axis(run, "quant", "int4", ASK)
    assert {row.cell.level for row in found.rows} == {"int4"}
    assert {row.new_cell.level for row in found.rows} == {"fp32", "int8"}


def test_ranks_are_given_from_six_processes():
    few = compared([record(BASE)], [record(SLOW)])["decode_tok_s"]
    many = compared([record([*BASE, 10.02])], [record([*SLOW, 12.02])])["decode_tok_s"]
    assert few.ranks is None
    assert many.ranks is not None
    assert many.ranks.low < 1 / 1.2 < many.ranks.high < 1


def test_one_wild_process_is_told_when_ranks_disagree():
    """Means call it slower; ranks do not: the note says so."""
    base = [10.0, 10.3, 10.6, 10.1, 10.4, 10.2]
    new = [10.25, 10.55, 10.9, 10.3, 10.65, 10.5]
    question = Question(tolerance=0.02)
    found = compare_documents(
        [document(record(base))], [document(record(new), run_id="run-b")], question
    )
    row = {r.metric.name: r for r in found.rows}["decode_tok_s"]
    told = [note for note in found.notes if "by ranks" in note]
    assert row.ranks is not None
    supports = row.ranks.high < 1
    assert bool(told) == (row.word == "SLOWER" and not supports)


def test_a_line_alone_may_not_hold_in_a_large_table():
    """P = 0.02 of one line stays; among 20 lines of nothing it does not."""
    chance = random.Random(4)
    base = [record(scattered(chance, 5, 0.02), threads=place + 1) for place in range(20)]
    new = [record(scattered(chance, 5, 0.02), threads=place + 1) for place in range(20)]
    names = ("decode_tok_s",)
    rows = compare_documents(
        [document(*base)], [document(*new, run_id="run-b")], Question(metrics=names)
    ).rows
    alone = compare_documents(
        [document(*base)],
        [document(*new, run_id="run-b")],
        Question(metrics=names, no_correction=True),
    ).rows
    assert not any(row.holds_together for row in rows)
    assert all(one.p_adjusted >= other.p_adjusted for one, other in zip(rows, alone, strict=True))
    assert [row.word for row in rows] == [row.word for row in alone]


def test_the_reference_machine_beside_itself_an_hour_later():
    """180 cells measured twice by 3 processes: no claim holds, and few lines mistake alone.

    The two runs are an hour apart on a shared machine, so what is found is real drift or chance:
    at most 5 % of the lines and 3 standard errors.
    """
    sides = [
        [read_document(RESULTS / "validation" / name)] for name in ("again.json.xz", "first.json")
    ]
    found = compare_documents(*sides, ASK)
    rows = [row for row in found.rows if row.basis == "processes"]
    claims = [row for row in rows if row.word in ("FASTER", "SLOWER")]
    assert len(rows) > 200
    assert not any(row.holds_together for row in claims)
    assert re.search(r"9 in 10 of 26\d speeds differ by at most 2\d\.\d% \[", found.notes[-1])
    assert len(claims) / len(rows) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / len(rows))


def decode_steps(record):
    """All steps of all processes in one list, as no test should take them."""
    return [step for one in record.samples for steps in one.sample.itl_ns for step in steps]


def test_tests_over_pooled_steps_call_most_of_the_same_cells_different():
    """What the README says of the usual tests, on the same two runs: more than half of 74 cells."""
    stats = pytest.importorskip("scipy.stats")
    sides = [
        read_document(RESULTS / "validation" / name) for name in ("again.json.xz", "first.json")
    ]
    pooled = [
        {one.cell: decode_steps(one) for one in side.records if not one.cell.prompt}
        for side in sides
    ]
    cells = [cell for cell in pooled[0] if cell in pooled[1]]
    assert len(cells) == 74
    for test in (stats.ttest_ind, stats.mannwhitneyu):
        fired = [test(pooled[0][cell], pooled[1][cell]).pvalue < 0.05 for cell in cells]
        assert sum(fired) > len(cells) / 2


def test_the_reference_levels_differ_as_everybody_knows():
    """Four-bit weights decode faster than fp32 and take less memory; the family agrees."""
    run = read_document(RESULTS / "reference" / "default.json")
    rows = {
        (r.cell.workload, r.metric.name): r for r in compare_axis(run, "quant", "fp32", ASK).rows
    }
    decode = rows["tg32 @ d0", "decode_tok_s"]
    assert decode.word == "FASTER"
    assert decode.holds_together
    assert rows["tg32 @ d0", "peak_rss_bytes"].word == "SMALLER"


def test_every_judged_metric_can_be_compared():
    known = comparable_metrics()
    assert {row.name for row in METRICS if row.judges or row.gate} <= known.keys()
    assert {name for names in GATES.values() for name in names} <= known.keys()


# What is refused.


def test_the_same_run_on_both_sides_is_refused():
    with pytest.raises(UsageError, match="agrees with itself"):
        compare_documents([document(record(BASE))], [document(record(BASE))], ASK)


def test_another_machine_is_refused_and_forced():
    other = document(record(SLOW), run_id="run-b", environment={"cpu_model": "Apple M2"})
    with pytest.raises(UsageError, match="cpu_model AMD EPYC and Apple M2") as caught:
        compare_documents([document(record(BASE))], [other], ASK)
    assert "--force" in caught.value.fix
    found = compare_documents([document(record(BASE))], [other], ASK, force=True)
    assert "FORCED: cpu_model AMD EPYC and Apple M2" in found.notes


def test_another_method_is_refused():
    other = document(record(SLOW), run_id="run-b", method_version=99)
    with pytest.raises(UsageError, match=f"method version {METHOD_VERSION} and 99"):
        compare_documents([document(record(BASE))], [other], ASK)


def test_another_runtime_version_is_told():
    packages = {"packages": {"onnxruntime": "1.32.0"}}
    other = document(record(SLOW), run_id="run-b", environment=packages, plan={"seed": 1})
    found = compare_documents([document(record(BASE))], [other], ASK)
    assert "onnxruntime 1.31.1 and 1.32.0" in found.notes
    assert "seed 0 and 1" in found.notes


def test_other_options_of_sessions_are_told():
    """Of a file of before there were any, that it had none."""
    plan = {"session_option": ["session.dynamic_block_base=4"]}
    other = document(record(SLOW), run_id="run-b", plan=plan)
    found = compare_documents([document(record(BASE))], [other], ASK)
    assert "session_option none and session.dynamic_block_base=4" in found.notes


def test_sides_that_share_nothing_are_refused():
    with pytest.raises(UsageError, match="share nothing"):
        compared([record(BASE)], [record(BASE, level="fp32")])
    with pytest.raises(UsageError, match="compared by kld_nats"):
        compared([record(BASE)], [record(SLOW)], Question(metrics=("kld_nats",)))


def test_mixed_units_are_refused():
    odd = record(BASE)
    metrics = {**odd.metrics, "decode_tok_s": Metric(value=1.0, unit="tok/min", processes=5)}
    other = Record(cell=odd.cell, status="ok", metrics=metrics)
    with pytest.raises(UsageError, match=r"in tok/s in base and in tok/min in new"):
        compared([odd], [other])


@pytest.mark.parametrize("bad", [0.0, -5.0, math.inf, math.nan])
def test_samples_that_are_no_times_are_refused(bad):
    odd = record(BASE)
    steps = structs.replace(odd.samples[0].sample, itl_ns=((bad,) * 4,))
    damaged = structs.replace(odd.samples[0], sample=steps)
    other = Record(
        cell=odd.cell, status="ok", metrics=odd.metrics, samples=(damaged, *odd.samples[1:])
    )
    with pytest.raises(ResultFormatError, match=r"run-b: the samples of decode_tok_s .* damaged"):
        compared([odd], [other])


def test_samples_of_another_test_are_refused():
    """A decode test without a step that was timed."""
    odd = record(BASE)
    empty = structs.replace(odd.samples[0], sample=sample())
    other = Record(cell=odd.cell, status="ok", metrics=odd.metrics, samples=(empty,))
    with pytest.raises(ResultFormatError, match="damaged"):
        compared([odd], [other])


@pytest.mark.parametrize("axis", ["nonesuch", "level_label"])
def test_an_unknown_axis_is_refused(axis):
    with pytest.raises(UsageError, match="no axis is called"):
        compare_axis(document(record(BASE)), axis, None, ASK)


def test_an_axis_of_one_value_is_refused():
    with pytest.raises(UsageError, match="its values are int4"):
        compare_axis(document(record(BASE)), "quant", None, ASK)
    run = document(record(BASE), record(BASE, level="fp32"))
    with pytest.raises(UsageError, match="with int2") as caught:
        compare_axis(run, "quant", "int2", ASK)
    assert "int4, fp32" in caught.value.fix


def test_an_unknown_metric_is_refused():
    with pytest.raises(UsageError, match="decode_tok_s"):
        find_compared(("nonesuch",))


JOULES = [1.0, 1.02, 0.99, 1.01, 0.98]


def test_less_energy_is_better_and_stands_beside_speed_along_devices():
    """A card that is as fast as the CPU for three times its energy."""
    card = record(
        BASE,
        device="cuda",
        provider="CUDAExecutionProvider",
        joules=[3 * used for used in JOULES],
        counters=("rapl", "nvml"),
    )
    found = compare_axis(document(record(BASE, joules=JOULES), card), "device", None, ASK)
    rows = {row.metric.name: row for row in found.rows}
    assert rows["decode_tok_s"].word == "SAME"
    energy = rows["j_per_token"]
    assert (energy.word, energy.basis, energy.unit) == ("WORSE", "rounds", "J/token")
    assert energy.center == pytest.approx(3.0)
    assert "energy_j" not in rows, "it says the same once more"
    back = compare_axis(document(record(BASE, joules=JOULES), card), "device", "cuda", ASK)
    assert {row.metric.name: row.word for row in back.rows}["j_per_token"] == "BETTER"


def test_energy_of_two_counters_is_not_compared():
    """A battery feeds the whole machine, a package itself."""
    drained = record(SLOW, joules=JOULES, counters=("battery", None))
    found = compare_documents(
        [document(record(BASE, joules=JOULES))], [document(drained, run_id="run-b")], ASK
    )
    assert "j_per_token" not in {row.metric.name for row in found.rows}
    assert "j_per_token is from another counter in base than in new: 1 cells" in found.notes


def test_static_builds_of_two_cache_sizes_are_not_compared():
    """A step of a static decoder reads its whole cache, however much of it is filled."""
    sizes = ({"prefill_tokens": 64, "capacity_tokens": size} for size in (256, 512))
    small, large = (record(BASE, status={"shapes": shapes}) for shapes in sizes)
    other = record(BASE, threads=1)
    found = compare_documents(
        [document(small, other)], [document(large, other, run_id="run-b")], ASK
    )
    assert {row.cell.threads for row in found.rows} == {1}
    note = "built for other shapes in base than in new: smollm2-135m int4 tg4 @ d0 cpu t2"
    assert note in found.notes


def test_a_gate_watches_energy():
    thirsty = record(BASE, joules=[2 * used for used in JOULES])
    found = compare_documents(
        [document(record(BASE, joules=JOULES))], [document(thirsty, run_id="run-b")], ASK
    )
    (broken,) = failing(judge_gates(found, [parse_gate("energy:10%")]))
    assert broken.row.metric.name == "j_per_token"


def test_base_new_and_ratio_of_a_line_agree():
    """Geometric means of the values that the ratio is of: 1, 2 and 40 ms beside their doubles."""
    base, new = document(record([1.0, 2.0, 40.0])), document(record([2.0, 80.0, 4.0]), run_id="b")
    for row in compare_documents([base], [new], Question()).rows:
        if row.metric.is_ratio and row.base:
            assert row.new / row.base == pytest.approx(row.center, rel=1e-9)


def test_memory_within_two_percent_is_one_machine():
    """16.00 and 16.2 GiB may be one machine after an update of its kernel; 8 GiB is another."""
    base = document(record([1.0, 1.0, 1.1]), environment={"memory_bytes": 16_000_000_000})
    near, far = (
        document(record([1.0, 1.0, 1.1]), environment={"memory_bytes": size}, run_id="b")
        for size in (16_200_000_000, 15_600_000_000)
    )
    assert compare_documents([base], [near], Question()).rows
    with pytest.raises(UsageError, match="memory_bytes 16000000000 and 15600000000"):
        compare_documents([base], [far], Question())
