"""Errors of estimates by hand: sizes, signs, order statistics, classes, what is left out."""

import math
import random
from dataclasses import replace

import pytest

from harness.analysis.errors import (
    JUDGED,
    Pair,
    error_row,
    error_rows,
    estimate_pairs,
    group_rows,
    log_time_ratio,
    remeasure_pairs,
    study_errors,
    thread_class,
)
from harness.core.errors import UsageError
from harness.results.document import with_open_parts
from harness.results.schema import Cell, Document, Metric, Reason, Record, Trust

DECODE_RATE, PREFILL_RATE, TTFT, _ENCODE_RATE, PEAK, WEIGHTS = JUDGED


def cell(test="tg16", **other):
    """A cell of `pp64`, `tg16` or `pg64+16`."""
    numbers = [int(number) for number in test[2:].split("+")]
    fields = {
        "model": "m",
        "parameters": 1000,
        "level": "int4",
        "device": "cpu",
        "provider": "CPUExecutionProvider",
        "runtime": "ort",
        "prompt": numbers[0] if test[:2] in ("pp", "pg") else 0,
        "gen": numbers[-1] if test[:2] in ("tg", "pg") else 0,
        "depth": 0,
        "batch": 1,
        "threads": 2,
        "weights": "seeded",
        **other,
    }
    return Cell(workload=f"{test} @ d{fields['depth']}", **fields)


def record(measured, estimated, test="tg16", **other):
    """A good record with measured values and, per metric, estimates by estimator."""
    values = {name: Metric(value=value, unit="", processes=3) for name, value in measured.items()}
    fields = {"status": "ok", "trust": Trust(grade="A"), **other.pop("record", {})}
    return Record(cell=cell(test, **other), metrics=values, estimates=estimated, **fields)


def decode(measured, *, test="tg16", record_fields=None, fields=None, **estimated):
    """A decode record: tok/s measured, tok/s per estimator."""
    return record(
        {"decode_tok_s": measured},
        {"decode_tok_s": estimated},
        test,
        record=record_fields or {},
        **(fields or {}),
    )


def document(*records, run_id="run-1", **fields):
    """A document of the records."""
    head = {"created_utc": "2026-11-22T10:15:00+00:00", "environment": {}, "plan": {}}
    return Document(run_id=run_id, records=records, **with_open_parts({**head, **fields}))


def pairs_of(*errors_ln):
    """Pairs of one row whose cells are m0, m1, ..."""
    return [
        Pair("decode_tok_s", "all", "params", cell(model=f"m{index}"), error_ln)
        for index, error_ln in enumerate(errors_ln)
    ]


def test_a_rate_estimated_a_tenth_too_fast():
    """110 tok/s estimated, 100 measured: time is 100/110 of the real one, ln = -0.0953."""
    (row,) = study_errors([document(decode(100.0, params=110.0))]).rows
    assert (row.metric, row.threads, row.estimator, row.cells) == (
        *("decode_tok_s", "all", "params"),
        1,
    )
    assert row.median_ln == row.p90_ln == row.worst_ln == pytest.approx(0.0953, abs=1e-4)
    assert row.bias_ratio == pytest.approx(100 / 110)
    assert row.worst_cell == "m int4 tg16 @ d0"


@pytest.mark.parametrize(
    ("name", "test"),
    [("ttft_ms", "pg64+16"), ("peak_rss_bytes", "pp64"), ("weights_bytes", "tg16")],
)
def test_a_time_or_size_estimated_a_tenth_too_large(name, test):
    """110 of anything but a rate where there is 100: +0.0953, a bias of 1.1."""
    (row,) = study_errors([document(record({name: 100.0}, {name: {"params": 110.0}}, test))]).rows
    assert (row.metric, row.median_ln) == (name, pytest.approx(0.0953, abs=1e-4))
    assert row.bias_ratio == pytest.approx(1.1)


def test_errors_do_not_cancel_in_the_median_but_in_the_bias():
    """Twice and half: both are ln 2 away, and on average there is no bias."""
    study = study_errors([document(decode(100.0, params=200.0), decode(100.0, params=50.0))])
    (row,) = study.rows
    assert row.median_ln == pytest.approx(math.log(2))
    assert row.bias_ratio == pytest.approx(1.0)


@pytest.mark.parametrize("metric", JUDGED, ids=lambda metric: metric.name)
def test_swapping_estimate_and_measurement_keeps_the_size_and_inverts_the_bias(metric):
    """Over 50 seeded draws of five values each between 1e-3 and 1e3."""
    draw = random.Random(7)
    for _ in range(50):
        drawn = [(10 ** draw.uniform(-3, 3), 10 ** draw.uniform(-3, 3)) for _ in range(5)]
        row = error_row(pairs_of(*(log_time_ratio(metric, a, b) for a, b in drawn)))
        back = error_row(pairs_of(*(log_time_ratio(metric, b, a) for a, b in drawn)))
        assert (back.median_ln, back.p90_ln, back.worst_ln) == (
            *(row.median_ln, row.p90_ln),
            row.worst_ln,
        )
        assert back.bias_ratio == pytest.approx(1 / row.bias_ratio)


def test_order_statistics_of_ten_errors():
    """|e| of 0.1 to 0.9 and 2: median (0.5 + 0.6) / 2, p90 the ninth, worst 2; mean e -0.09."""
    errors_ln = [0.3, -0.1, 0.2, -0.9, 0.5, 0.4, -0.7, 0.6, 0.8, -2.0]
    row = error_row(pairs_of(*errors_ln))
    assert row.median_ln == pytest.approx(0.55)
    assert (row.p90_ln, row.worst_ln) == (0.9, 2.0)
    assert row.worst_cell == "m9 int4 tg16 @ d0"
    assert row.bias_ratio == pytest.approx(math.exp(-0.09))


def test_a_p90_of_fewer_than_44_cells_is_indicative():
    """From 43 values, even the largest lies under the 90th percentile in 1.08 % of draws."""
    assert error_row(pairs_of(*[0.1] * 43)).p90_is_indicative
    assert not error_row(pairs_of(*[0.1] * 44)).p90_is_indicative


def test_an_exact_estimate_has_no_worst_cell():
    sizes = {"weights_bytes": {"structure": 72_612_345.0}}
    (row,) = study_errors([document(record({"weights_bytes": 72_612_345.0}, sizes))]).rows
    assert (row.median_ln, row.p90_ln, row.worst_ln, row.bias_ratio) == (0.0, 0.0, 0.0, 1.0)
    assert row.worst_cell is None


def test_one_thread_and_all_threads_are_two_classes():
    """Of 1, 2 and 4 threads, 4 are all; a document of one thread has no `all`."""
    assert [thread_class(count, 4) for count in (1, 2, 4)] == ["1 thread", "2 threads", "all"]
    assert thread_class(1, 1) == "1 thread"


def test_rows_are_ordered_by_metric_threads_and_estimator():
    """Whatever the order of records and estimates, and 16 threads after 2."""
    prefill = record({"prefill_tok_s": 1.0}, {"prefill_tok_s": {"params": 1.0}}, "pp64")
    mixed = document(
        prefill,
        *(
            decode(1.0, calibrated=1.0, params=1.0, fields={"threads": threads})
            for threads in (16, 32, 1, 2)
        ),
    )
    assert [(row.metric, row.threads, row.estimator) for row in study_errors([mixed]).rows] == [
        *(
            ("decode_tok_s", threads, estimator)
            for threads in ("1 thread", "2 threads", "16 threads", "all")
            for estimator in ("params", "calibrated")
        ),
        ("prefill_tok_s", "2 threads", "params"),
    ]


def test_each_metric_is_judged_on_its_own_kind_of_test():
    """A request has a decode rate of its own, which no row of decode_tok_s counts."""
    estimates = {"decode_tok_s": {"params": 2.0}, "ttft_ms": {"params": 2.0}}
    request = record({"decode_tok_s": 1.0, "ttft_ms": 1.0}, estimates, "pg64+16")
    assert [pair.metric for pair in estimate_pairs([document(request)])] == ["ttft_ms"]


def test_an_estimator_without_a_value_is_counted_in_a_note():
    """None, absent and 0 are no estimates; one of four is."""
    study = study_errors(
        [
            document(
                decode(10.0, params=11.0, structure=None),
                decode(10.0, params=11.0),
                decode(10.0, params=11.0, structure=0.0),
                decode(10.0, params=11.0, structure=12.0),
            )
        ]
    )
    assert [(row.estimator, row.cells) for row in study.rows] == [("params", 4), ("structure", 1)]
    assert "structure has no value of decode_tok_s in 3 of 4 cells" in study.notes
    assert "calibrated has no value of anything measured here" in study.notes
    assert not [note for note in study.notes if note.startswith("params")]


def test_a_cell_without_the_measurement_is_counted_in_a_note():
    """The peak of one of two cells was not taken."""
    sizes = {"peak_rss_bytes": {"params": 90.0}}
    study = study_errors(
        [
            document(
                record({"peak_rss_bytes": 100.0}, sizes), record({"peak_rss_bytes": None}, sizes)
            )
        ]
    )
    assert [row.cells for row in study.rows] == [1]
    assert "peak_rss_bytes was not measured in 1 of 2 cells" in study.notes


def test_what_cannot_be_believed_is_left_out_and_counted():
    """One good cell; a crash, an INVALID and an emulated one are named with their numbers."""
    swapped = Trust(grade="INVALID", reasons=(Reason(code="SWAPPED", detail="3 MiB"),))
    study = study_errors(
        [
            document(
                decode(100.0, params=110.0),
                decode(1.0, params=9.0, record_fields={"status": "crashed", "reason": "it died"}),
                decode(1.0, params=9.0, record_fields={"trust": swapped}),
                decode(1.0, params=9.0, record_fields={"simulated": True}),
            )
        ]
    )
    assert [(row.cells, row.worst_cell) for row in study.rows] == [(1, "m int4 tg16 @ d0")]
    assert study.rows[0].worst_ln < 0.1
    assert "run-1: left out 3 of 4 cells: 1 crashed, 1 INVALID SWAPPED, 1 simulated" in study.notes


def test_nothing_to_judge_says_what_there_was_instead():
    dead = decode(1.0, params=9.0, record_fields={"status": "timeout", "reason": "slow"})
    with pytest.raises(UsageError, match="1 timeout") as caught:
        study_errors([document(dead)])
    assert "RESULTS" in caught.value.fix
    with pytest.raises(UsageError, match="no cell"):
        study_errors([document(decode(1.0))])


def test_remeasured_cells_are_those_of_both_documents():
    """a, b, c and then b, c, d: two pairs, b 10 % faster the second time, c the same."""
    first = document(*(decode(100.0, params=1.0, fields={"model": name}) for name in "abc"))
    rates = {"b": 110.0, "c": 100.0, "d": 1.0}
    second = document(
        *(decode(rate, fields={"model": name}) for name, rate in rates.items()),
        run_id="run-2",
    )
    study = study_errors([first], [second])
    row = study.rows[-1]
    assert (row.estimator, row.cells) == ("remeasure", 2)
    assert row.worst_ln == pytest.approx(math.log(1.1))
    assert row.worst_cell == "b int4 tg16 @ d0"
    assert row.bias_ratio == pytest.approx(math.sqrt(1.1))
    assert (
        "cells that run-2 remeasures: 2; only in it: 1; only in what it is compared with: 1"
        in study.notes
    )


def test_a_remeasured_cell_is_the_same_in_every_field():
    """Other weights are another cell, and so is another thread count."""
    first = document(decode(100.0, params=1.0))
    others = [decode(90.0, fields={"weights": "trained"}), decode(90.0, fields={"threads": 1})]
    assert remeasure_pairs([first], [document(*others, run_id="run-2")]) == []


def test_each_further_document_gives_a_pair():
    first = document(decode(100.0, params=1.0))
    further = [document(decode(rate), run_id=f"run-{rate}") for rate in (90.0, 80.0)]
    found = [pair.error_ln for pair in remeasure_pairs([first], further)]
    assert found == pytest.approx([math.log(90 / 100), math.log(80 / 100)])


def test_estimates_of_a_further_document_are_not_judged():
    first = document(decode(100.0, params=110.0))
    study = study_errors([first], [document(decode(100.0, params=500.0), run_id="run-2")])
    assert [(row.estimator, row.cells) for row in study.rows] == [("params", 1), ("remeasure", 1)]
    assert study.rows[0].worst_ln < 0.1


def test_another_processor_is_said():
    first = document(decode(1.0, params=1.0), environment={"cpu_model": "A"})
    second = document(decode(1.0), run_id="run-2", environment={"cpu_model": "B"})
    notes = study_errors([first], [second]).notes
    assert "run-2 was measured on another processor: B, not A" in notes


def test_two_methods_are_not_compared():
    first = document(decode(1.0, params=1.0))
    second = document(decode(1.0), run_id="run-2", method_version=first.method_version + 1)
    for arguments in ([first], [second]), ([first, second], []):
        with pytest.raises(UsageError, match="method"):
            study_errors(*arguments)


def test_a_run_does_not_agree_with_itself():
    first = document(decode(1.0, params=1.0))
    for arguments in ([first], [first]), ([first, first], []):
        with pytest.raises(UsageError, match="2 times"):
            study_errors(*arguments)


def test_documents_are_pooled():
    """Two runs of a cell each: one row of two cells."""
    both = [document(decode(1.0, params=1.0), run_id=name) for name in ("run-1", "run-2")]
    assert [row.cells for row in study_errors(both).rows] == [2]


def test_groups_are_of_the_calibrated_estimate_alone():
    """Depth 900 is 10 % off, depth 0 exact; params are 900 % off and in no group."""
    rows = group_rows(
        estimate_pairs(
            [
                document(
                    decode(100.0, params=1.0, calibrated=110.0, fields={"depth": 900}),
                    decode(100.0, params=1.0, calibrated=100.0),
                    decode(100.0, params=1.0, calibrated=100.0),
                )
            ]
        ),
        "depth",
    )
    assert [(row.group, row.cells, row.estimator) for row in rows] == [
        ("d0", 2, "calibrated"),
        ("d900", 1, "calibrated"),
    ]
    assert rows[0].worst_ln == 0.0
    assert rows[1].worst_ln == pytest.approx(math.log(1.1))


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("model", ["zeta", "alpha"]),  # the plan's order
        ("level", ["int8", "int4"]),
        ("depth", ["d0", "d900", "d1500"]),  # by number, not by text
        ("test", ["tg8", "tg16"]),
    ],
)
def test_groups_keep_an_order_a_reader_expects(by, groups):
    records = (
        decode(1.0, calibrated=1.0, fields={"model": "zeta", "level": "int8", "depth": 1500}),
        decode(1.0, calibrated=1.0, fields={"model": "alpha", "depth": 900}),
        decode(1.0, calibrated=1.0, test="tg8", fields={"model": "zeta"}),
    )
    found = study_errors([document(*records)], by=by).groups
    assert [row.group for row in found] == groups


def test_grouping_without_the_grouped_estimator_is_refused():
    with pytest.raises(UsageError, match="calibrated"):
        study_errors([document(decode(1.0, params=1.0))], by="model")


def test_a_batch_is_named_with_its_cell():
    pair = replace(pairs_of(0.5)[0], cell=cell(batch=4))
    assert error_row([pair]).worst_cell == "m int4 tg16 @ d0 b4"


def test_no_pairs_are_no_rows():
    assert error_rows([]) == ()
