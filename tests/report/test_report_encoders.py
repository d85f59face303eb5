"""Encoders in tables and on the sweep."""

import csv
import io

import pytest

from harness.report.columns import columns_of
from harness.report.render import render
from harness.report.rows import make_rows
from harness.report.sweep import pareto_fronts, sweep_notes
from harness.results.glossary import explain
from harness.results.schema import Metric
from tests.report.report_documents import MIB, document, group, metric, one_pass, record

TEXT, RANDOM = {"label": ""}, {"label": "numeric fidelity only"}
ENCODER = {"model": "all-minilm-l6-v2", "parameters": 22_713_216, "weights": "trained"}


def encoder(level, seq_s, peak_mib=100, cosine=None, quality=TEXT, sequences=1, **other):
    """A record of enc128x1, or of another batch."""
    metrics = {
        "encode_seq_s": metric(seq_s, "sequences/s"),
        "encode_ms": metric(1e3 * sequences / seq_s, "ms"),
        "peak_rss_bytes": Metric(value=peak_mib * MIB, unit="bytes", processes=1),
    }
    if cosine is not None:
        metrics["embedding_cosine"] = Metric(value=cosine, unit="cosine", processes=1)
        metrics["nearest_agreement"] = Metric(value=0.875, unit="share", processes=1)
        metrics["ranking_tau"] = Metric(value=0.9, unit="tau", processes=1)
    fields = {
        **ENCODER,
        "level": level,
        "sequences": sequences,
        "workload": f"enc128x{sequences}",
        "prompt": 128,
    }
    estimates = {"encode_seq_s": {"params": 2 * seq_s}}
    return record("enc", metrics, quality=quality, estimates=estimates, cell=fields, **other)


SWEEP = (
    encoder("fp32", 10.0, 180, 1.0),
    encoder("int8", 25.0, 110, 0.993),
    encoder("int4", 12.0, 105, 0.95),
    encoder("int2", 9.0, 102, 0.55),
)


def table(*records):
    rows = make_rows(records)
    columns = columns_of(rows)
    return [{column.header: column.cell(row) for column in columns} for row in rows]


def test_each_batch_is_a_column_of_one_row():
    """10 and 16 texts a second; the estimate is that of the first test: 20 / 10 = 2.00."""
    (row,) = table(encoder("fp32", 10.0), encoder("fp32", 16.0, sequences=8))
    assert (row["enc128x1 seq/s"], row["enc128x8 seq/s"]) == ("10.0", "16.0")
    assert (row["est. seq/s"], row["meas/est"]) == ("20.0", "2.00")
    assert "est. tok/s" not in row


def test_encoders_and_decoders_share_a_table_but_no_unit():
    rows = table(*group(), encoder("fp32", 10.0))
    assert [row["est. seq/s"] for row in rows] == ["–", "20.0"]
    assert [row["est. tok/s"] for row in rows] == ["130", "–"]
    assert [row["enc128x1 seq/s"] for row in rows] == ["–", "10.0"]


def test_quality_columns_stand_where_quality_is():
    row = table(encoder("int8", 25.0, cosine=0.993))[0]
    assert (row["cosine"], row["nearest"], row["tau"]) == ("0.9930", "87.5%", "0.9000")
    assert "cosine" not in table(encoder("int8", 25.0))[0]


def test_the_rule_of_an_encoder_is_said():
    """A pass of many tokens is bounded by flop, at one token by reading."""
    explained = {"estimator": "calibrated", "basis": "measured here", "passes": [], "memory": []}
    text = render(document(encoder("fp32", 10.0, explanation=explained)), "table")
    assert "meas/params: the same beside 2 × parameters flop a token, but never faster" in text


def test_the_front_weighs_what_an_embedding_turns():
    """int4 is slower than int8 but smaller; int2 is the smallest."""
    rows = make_rows(SWEEP)
    marks = {rows[place].cell.level: mark for place, mark in pareto_fronts(rows).items()}
    assert marks == {"fp32": "both", "int8": "both", "int4": "memory", "int2": "memory"}


def test_the_fastest_level_within_the_bound_is_shipped():
    """int8 turns an embedding by 1 - 0.993: 25 / 10 = 2.50 times, 110 / 180 = 61 %."""
    notes = list(sweep_notes(make_rows(SWEEP)))
    assert notes[0] == (
        "all-minilm-l6-v2: ship int8: the fastest that loses at most 0.01 of 1 - cosine, encodes"
        " 2.50 times as fast as fp32, in 61% of its memory, +0.0070 of 1 - cosine"
    )
    assert any("int2 is broken: 1 - cosine 0.45, above 0.3" in note for note in notes)


def test_random_weights_make_no_level_the_best():
    rows = make_rows(
        [
            encoder("fp32", 10.0, cosine=1.0, quality=RANDOM),
            encoder("int4", 25.0, cosine=0.999, quality=RANDOM),
        ]
    )
    assert pareto_fronts(rows) == {}
    assert any("no best level" in note for note in sweep_notes(rows))


def test_a_level_slower_than_its_twin_has_its_cause():
    slow = one_pass("encode", "compute")
    rows = make_rows([encoder("fp32", 10.0), encoder("int4", 6.0, explanation=slow)])
    assert list(sweep_notes(rows)) == [
        "int4 encodes slower than fp32 here: so many tokens are bound by computing, which its"
        " kernel does slower"
    ]


@pytest.mark.parametrize("style", ["table", "md", "csv", "json", "jsonl"])
def test_every_format_draws_encoders(style):
    text = render(document(*SWEEP), style)
    assert "enc128x1" in text


def test_csv_holds_the_rate_and_its_estimate():
    lines = list(csv.DictReader(io.StringIO(render(document(SWEEP[0]), "csv"))))
    line = next(line for line in lines if line["metric"] == "encode_seq_s")
    assert (line["unit"], line["value"], line["estimate_params"]) == ("sequences/s", "10.0", "20.0")


@pytest.mark.parametrize("term", ["enc128x8", "enc128x8 seq/s", "encode_ms", "nearest", "tau"])
def test_terms_of_encoders_are_explained(term):
    assert explain(term)


def test_a_note_says_of_which_test_the_estimate_and_the_interval_are():
    """Of two batches the first; of one alone its column says it."""
    note = "±, est. seq/s and meas/est: of enc128x1"
    both = document(encoder("fp32", 10.0), encoder("fp32", 16.0, sequences=8))
    assert note in render(both, "table")
    assert note not in render(document(encoder("fp32", 10.0)), "table")


def test_a_document_of_no_records_says_so():
    assert "no records: nothing was measured" in render(document(), "table")
