"""The sum behind an estimate is drawn whole, and beside what was measured."""

import json

import msgspec
import pytest
from msgspec import structs
from msgspec.structs import replace

from harness.core.errors import UsageError
from harness.report.columns import columns_of
from harness.report.explained import explain_document, record_name
from harness.report.render import render
from harness.report.rows import make_rows
from harness.results.replies import Placement, Profile
from tests.report.report_documents import document, metric, record

MIB = 2**20


def term(name, ms, bound="memory", **amounts):
    """One summand as a record holds it."""
    amounts = {"read_bytes": 0.0, "flop": 0.0, "calls": 0.0, **amounts}
    kernel = amounts.pop("kernel", "block-4-32")
    return {"pass": "p", "term": name, "kernel": kernel, "seconds": ms / 1e3, "bound": bound} | (
        amounts
    )


def explained(test, measured_ms, **other):
    """A decode record of 8 ms estimated: 6 to read the body, 2 for calls."""
    terms = [
        term("body", 6.0, read_bytes=76.0 * MIB, flop=0.2e9),
        term("operator calls", 2.0, "overhead", calls=300.0, kernel="operator call"),
    ]
    step = {"pass": "decode step", "seconds": 0.008, "bound": "memory", "complete": True}
    explanation = {
        "estimator": "calibrated",
        "basis": "measured here",
        "threads": 2,
        "passes": [{**step, "terms": terms}],
        "memory": [
            {"part": "weights as held", "bytes": 96.0 * MIB},
            {"part": "runtime", "bytes": 64.0 * MIB},
        ],
    }
    metrics = {
        "tpot_ms": metric(measured_ms, "ms/token"),
        "decode_tok_s": metric(1e3 / measured_ms),
        "mbu": metric(0.8, "share"),
    }
    estimates = {
        "decode_tok_s": {"params": 400.0, "calibrated": 125.0},
        "peak_rss_bytes": {"params": 64.0 * MIB, "calibrated": 160.0 * MIB},
    }
    return record(test, metrics, explanation=explanation, estimates=estimates, **other)


def test_every_term_and_the_sum_are_drawn():
    """10 ms measured over 8 estimated: x 1.25; body is 75 % of it."""
    text = explain_document(document(explained("tg32", 10.0)), None, "wide")
    head, table = text.split("\n\n", 1)
    assert head.splitlines() == [
        "smollm2-135m int4 tg32 @ d0 2 threads: calibrated: measured here",
        "decode step: estimated 8.00 ms, measured 10.0 ms (meas/est 1.25); memory-bound, most of"
        " it body (memory)",
        "memory: estimated 160 MiB, measured 300 MiB (meas/est 1.88)",
        "MBU 80.0% of the hardware peaks measured here",
    ]
    lines = table.splitlines()
    body = next(line for line in lines if "body" in line)
    assert body.split() == [
        *("decode", "step", "body", "block-4-32", "76.0", "0.20", "–", "6.00", "75.0%", "memory")
    ]
    assert any(line.split()[:3] == ["decode", "step", "sum"] for line in lines)
    assert any("runtime" in line and "40.0%" in line for line in lines)


def test_a_sum_says_what_it_was_without_the_drift():
    found = explained("tg32", 10.0)
    passes = [
        structs.replace(one, as_calibrated_seconds=0.00625) for one in found.explanation.passes
    ]
    drifted = structs.replace(
        found, explanation=structs.replace(found.explanation, passes=tuple(passes))
    )
    text = explain_document(document(drifted), None, "wide")
    assert "decode step: estimated 8.00 ms (6.25 without the drift), measured 10.0 ms" in text


def test_records_are_chosen_by_number_and_by_words():
    both = document(explained("tg32", 10.0), explained("tg64", 9.0))
    for wanted in ("2", "tg64", "int4 tg64"):
        text = explain_document(both, wanted, "table")
        assert "tg64" in text
        assert "tg32" not in text
    assert [entry["record"] for entry in json.loads(explain_document(both, None, "json"))] == [
        record_name(found) for found in both.records
    ]


@pytest.mark.parametrize(("wanted", "word"), [("9", "1 to 1"), ("fp32", "int4")])
def test_a_record_that_is_not_there_is_refused(wanted, word):
    with pytest.raises(UsageError, match=word):
        explain_document(document(explained("tg32", 10.0)), wanted, "table")


def test_a_document_without_sums_is_refused():
    with pytest.raises(UsageError, match="no estimate that is a sum"):
        explain_document(document(record("tg32", {"tpot_ms": metric(1.0)})), None, "table")


def test_an_incomplete_sum_is_a_lower_bound():
    found = explained("tg32", 10.0)
    (step,) = found.explanation.passes
    bound = replace(found.explanation, passes=(replace(step, complete=False),))
    found = replace(found, explanation=bound)
    assert "8.00 ms at least" in explain_document(document(found), None, "table")


def test_the_table_shows_the_best_estimate_and_the_params_rule_beside_it():
    """125 calibrated and 400 by the rule over 100 measured: x 1.25 and x 4.00."""
    whole = document(explained("tg32", 10.0))
    row = make_rows(whole.records)[0]
    cells = {column.header: column.cell(row) for column in columns_of([row])}
    shown = [cells[name] for name in ("est. tok/s", "meas/est", "meas/params", "est. MiB")]
    assert shown == ["125", "1.25", "4.00", "160"]
    text = render(whole, "table")
    assert "est.: the calibrated estimate (measured here); meas/est: time measured" in text
    assert "meas/params: the same beside parameters × bits / 8, read at 9.9 GB/s" in text


def placed():
    """Of a device without an estimate: 8 of 10 nodes, and 90 % of the time in one operator."""
    gpu, cpu = "WebGpuExecutionProvider", "CPUExecutionProvider"
    placement = Placement(
        verdict="FULL_COMPUTE",
        nodes={gpu: 8, cpu: 2},
        compute_nodes={gpu: 5},
        switches=3,
        fell_off={"Shape": 2},
    )
    operators = [{"provider": gpu, "operator": "MatMul", "share": 0.9, "calls": 4}]
    providers = [{"provider": gpu, "share": 0.95}, {"provider": cpu, "share": 0.05}]
    table = {"runs": 2, "providers": providers, "operators": operators}
    profile = msgspec.convert(table, Profile)
    return record("tg32", {}, cell={"device": "webgpu"}, placement=placement, profile=profile)


def test_a_device_shows_its_placement_and_where_the_time_went():
    text = explain_document(document(placed()), None, "md")
    assert "placement FULL_COMPUTE: WebGpuExecutionProvider 8 nodes (5 compute)" in text
    assert "3 switches; left to others: 2 Shape" in text
    assert "WebGpuExecutionProvider 95.0%, CPUExecutionProvider 5.0%" in text
    assert "MatMul" in text.splitlines()[-1]


def test_a_profile_that_could_not_be_taken_says_why():
    """In the explanation of a row, and below the table of the run."""
    whole = document(replace(placed(), profile=Profile(reason="it says nothing")))
    lines = explain_document(whole, None, "md").splitlines()
    assert lines[-1] == "no profile: it says nothing"
    (note,) = [line for line in render(whole, "table").splitlines() if "no profile" in line]
    assert note.endswith(": no profile: it says nothing")


def test_placement_and_profile_are_values_too():
    (found,) = json.loads(explain_document(document(placed()), None, "json"))
    assert found["placement"]["switches"] == 3
    assert found["profile"]["operators"][0]["share"] == 0.9


def test_a_document_without_records_is_said_to_hold_none():
    """Nobody gave a name, so none is called unknown."""
    with pytest.raises(UsageError, match="holds no record"):
        explain_document(document(), None, "table")
