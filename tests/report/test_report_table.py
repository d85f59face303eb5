"""The summary: what varies is a column, what does not is headline, what is missing a dash."""

import json

import pytest
from msgspec import convert, structs

from harness.core.errors import UsageError
from harness.report.render import render, summary
from harness.report.rows import make_rows
from harness.results.calibration import Constants, RatePoint, StoredConstants
from harness.results.document import decode_document
from harness.results.explanation import Explanation
from harness.results.replies import Placement
from harness.results.schema import Metric, Reason, Record, Trust
from tests.report.report_documents import (
    ENVIRONMENT,
    cell,
    document,
    failed,
    group,
    metric,
    one_pass,
    record,
    sweep,
)


def table(*records: Record) -> list[dict[str, str]]:
    """The summary as one dict per row."""
    header, rows = summary(make_rows(records))
    return [dict(zip(header, row, strict=True)) for row in rows]


def invalid(code: str = "SWAPPED") -> Trust:
    return Trust(grade="INVALID", reasons=(Reason(code=code, detail="swap: 3 MiB in"),))


def test_the_table_of_three_levels_for_a_terminal():
    assert render(sweep(), "table").splitlines() == [
        "smollm2-135m · 134,515,008 parameters · CPU AMD EPYC (2 threads) · onnxruntime 1.31.1"
        " · 5 processes per row, interleaved",
        "",
        "level                bits/w  weights  load  TTFT  pp128   tg32     ±   est.  meas/est"
        "  est.  peak  trust",
        "                                 MiB    ms    ms  tok/s  tok/s        tok/s          "
        "   MiB   MiB",
        "-------------------  ------  -------  ----  ----  -----  -----  ----  -----  --------"
        "  ----  ----  -----",
        "fp32                   4.53     72.6   181   146    912   65.0  2.0%    130      2.00"
        "  64.0   300  A",
        "int8 (W8A8 dynamic)    4.53     72.6   181   146    912   65.0  2.0%    130      2.00"
        "  64.0   300  C",
        "int4                   4.53     72.6     –     –      –      –     –      –         –"
        "     –     –  –",
        "",
        "smollm2-135m int4 pp128 @ d0, tg32 @ d0: crashed: it died; try: less",
        "trust below A, of 6 records: BACKGROUND_CPU in 2 (bench explain trust)",
        "est.: parameters × bits / 8, read at 9.9 GB/s with 2 threads as measured in this run; "
        "meas/est: time measured / estimated",
        "weights: seeded random (right for speed and memory, says nothing about quality)",
    ]


def test_markdown_holds_the_same_cells():
    lines = render(sweep(), "md").splitlines()
    assert lines[2].split(" | ")[0] == "| level              "
    assert [line.split("|")[1].strip() for line in lines[4:7]] == [
        "fp32",
        "int8 (W8A8 dynamic)",
        "int4",
    ]
    assert lines[-1].startswith("- weights: seeded random")


def test_a_ratio_above_one_is_slower_than_estimated():
    """130 tok/s estimated, 65.04 measured: the time is 2.00 times the estimate's."""
    row = table(*group())[0]
    assert (row["est. tok/s"], row["tg32 tok/s"], row["meas/est"]) == ("130", "65.0", "2.00")


def test_a_single_session_has_its_identity_in_the_headline():
    first = render(document(*group(batch=4)), "table").splitlines()[0]
    assert first == (
        "smollm2-135m · 134,515,008 parameters · int4 · CPU AMD EPYC (2 threads) · batch 4"
        " · onnxruntime 1.31.1 · 5 processes per row"
    )
    assert next(iter(table(*group(batch=4))[0])) == "bits/w"


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("model", ("a", "b")),
        ("parameters", (1, 2)),
        ("level", ("int4", "int8")),
        ("weights", ("seeded", "trained")),
        ("device", ("cpu", "qnn")),
        ("runtime", ("ort", "genai")),
        ("prepack", ("off", "on")),
        ("threads", (1, 2)),
        ("batch", (1, 4)),
        ("depth", (0, 1024)),
    ],
)
def test_what_varies_is_a_column_and_makes_its_own_row(field, values):
    records = [record for value in values for record in group(**{field: value})]
    rows = table(*records)
    assert [row[field] for row in rows] == [str(value) for value in values]
    other = {"model", "parameters", "level", "weights", "device", "threads", "batch"} - {field}
    assert not other & rows[0].keys()


def test_caches_are_a_column_where_one_is_not_its_level_s_own():
    """fp16 weights have an fp16 cache by themselves: that says no more than the level."""
    own = [*group(level="fp32"), *group(level="fp16")]
    assert "kv cache" not in table(*own)[0]
    rows = table(*own, *group(level="fp32", kv_cache="int8"))
    assert [row["kv cache"] for row in rows] == ["fp32", "fp16", "int8"]
    alone = document(*group(kv_cache="int8"))
    assert "· kv cache int8 ·" in render(alone, "md").splitlines()[0]


def test_what_a_token_leaves_unread_is_told_where_it_is_much():
    """A mixture of 100 of which a token uses 20 and reads 18; 80 of 100 are read by many others."""
    sparse = {"read_parameters": Metric(value=18.0, unit="parameters", processes=0)}
    mixture = {"parameters": 100, "active_parameters": 20}
    (row,) = table(record("tg64", {"decode_tok_s": metric(50.0), **sparse}, cell=mixture))
    assert [row["active"], row["read"]] == ["20", "18"]
    whole = {"read_parameters": Metric(value=80.0, unit="parameters", processes=0)}
    (row,) = table(record("tg64", {"decode_tok_s": metric(50.0), **whole}, cell=mixture))
    assert not {"active", "read"} & row.keys()


def test_mapped_memory_is_told_apart_where_copies_may_be_mapped():
    """Saved copies take no memory of their own: the two parts of the peak say so."""
    held = {
        "decode_tok_s": metric(50.0),
        "peak_delta_anonymous_bytes": metric(2.0**20, "bytes"),
        "steady_delta_file_bytes": metric(3.0 * 2**20, "bytes"),
        "prepacked_bytes": metric(4.0 * 2**20, "bytes"),
    }
    packed = record("tg64", held, cell={"prepack": "on"})
    (row,) = table(packed)
    assert [row[name] for name in ("anon. MiB", "mapped MiB", "saved MiB")] == [
        "1.00",
        "3.00",
        "4.00",
    ]
    del held["prepacked_bytes"]
    assert not {"anon. MiB", "mapped MiB", "saved MiB"} & table(record("tg64", held))[0].keys()
    assert "· prepack on ·" in render(document(packed), "md").splitlines()[0]


WHOLE = {"context_tokens": 8192, "allocated_tokens": 144, "peak_bytes": 500.0 * 2**20}


def whole(more_mib, peak_mib=500.0, **cell):
    cache = {**WHOLE, "peak_bytes": peak_mib * 2**20, "more_bytes": more_mib * 2**20}
    explained = {**one_pass("decode step", "memory"), "whole_cache": cache}
    return record("tg64", {"decode_tok_s": metric(50.0)}, cell=cell, explanation=explained)


def cache_notes(*records):
    lines = render(document(*records), "md").splitlines()
    return [line.removeprefix("- ") for line in lines if line.startswith("- cache: ")]


def test_what_a_whole_context_would_take_is_told_where_it_is_much():
    """A tenth of the peak is; a row that shows it makes the sentence needless."""
    (line,) = cache_notes(whole(100.0), whole(100.0, 900.0, level="fp32"))
    assert "would be about 500 to 900 MiB (smollm2-135m, 8,192 tokens); --capacity max" in line
    assert not cache_notes(whole(40.0))
    shown = record("tg64", {"decode_tok_s": metric(50.0)}, cell={"capacity": 8192})
    assert not cache_notes(whole(100.0), shown)
    others = [whole(100.0, model=name) for name in "abcd"]
    assert "(c, 8,192 tokens) and 1 more models; --capacity" in cache_notes(*others)[0]


def test_what_a_cache_was_allocated_for_is_a_column():
    rows = table(*group(), *group(capacity=8192))
    assert [row["capacity"] for row in rows] == ["tests", "8,192"]
    first = render(document(*group(capacity=8192)), "md").splitlines()[0]
    assert "· capacity 8192 ·" in first


def turn(depth, kept_ms, again_ms):
    """One turn of 128 + 64 tokens."""
    name = f"turn128+64 @ d{depth}"
    return record(
        "pg128+64",
        {
            "ttft_ms": metric(kept_ms, "ms"),
            "reread_ttft_ms": metric(again_ms, "ms"),
            "decode_tok_s": metric(50.0),
        },
        cell={"workload": name, "depth": depth},
    )


def test_each_turn_of_a_chat_is_a_row():
    rows = table(turn(0, 100.0, 101.0), turn(192, 110.0, 220.0))
    shown = ("depth", "TTFT ms", "reread TTFT ms", "turn128+64 tok/s")
    assert [[row[name] for name in shown] for row in rows] == [
        ["0", "100", "101", "50.0"],
        ["192", "110", "220", "50.0"],
    ]
    drawn = render(document(turn(0, 100.0, 101.0)), "md")
    assert "reread TTFT: it was lost, and all of it is read again (bench explain turn)" in drawn
    assert "reread" not in render(document(record("tg64", {"decode_tok_s": metric(50.0)})), "md")


def test_each_test_has_its_own_column_short_ones_first():
    rows = table(
        record("pp512", {"prefill_tok_s": metric(500.0)}),
        record("tg64", {"decode_tok_s": metric(50.0)}),
        record("pp128", {"prefill_tok_s": metric(900.0)}),
    )
    assert [name for name in rows[0] if name.endswith("tok/s")] == [
        "pp128 tok/s",
        "pp512 tok/s",
        "tg64 tok/s",
    ]
    assert "TTFT ms" not in rows[0]
    assert "est. tok/s" not in rows[0]


def test_two_request_tests_name_their_ttft():
    request = {"ttft_ms": metric(146.0, "ms"), "decode_tok_s": metric(64.0)}
    rows = table(record("pg128+32", request), record("pg8+4", request))
    assert [name for name in rows[0] if name.startswith("pg")] == [
        "pg8+4 TTFT ms",
        "pg128+32 TTFT ms",
        "pg8+4 tok/s",
        "pg128+32 tok/s",
    ]


def test_a_test_that_a_row_lacks_is_a_dash():
    deep = record("tg32", {"decode_tok_s": metric(30.0)}, cell={"depth": 1024})
    rows = table(*group(), deep)
    assert [row["depth"] for row in rows] == ["0", "1024"]
    assert [row["TTFT ms"] for row in rows] == ["146", "–"]
    assert [row["pp128 tok/s"] for row in rows] == ["912", "–"]


def test_the_width_shown_is_that_of_decode_else_of_a_request_else_of_prefill():
    prefill = record("pp128", {"prefill_tok_s": metric(900.0, share=0.01)})
    decode = record("tg32", {"decode_tok_s": metric(60.0, share=0.04)})
    request = record(
        "pg8+4",
        {"ttft_ms": metric(1.0, "ms"), "decode_tok_s": metric(60.0, share=0.03)},
    )
    assert table(prefill, request, decode)[0]["±"] == "4.0%"
    assert table(prefill, request)[0]["±"] == "3.0%"
    assert table(prefill)[0]["±"] == "1.0%"


def test_one_process_has_no_width():
    single = Metric(value=60.0, unit="tok/s", processes=1)
    assert "±" not in table(record("tg32", {"decode_tok_s": single}))[0]


def test_the_worst_grade_of_the_row_is_its_trust():
    records = group()
    worse = [record("pp8", {}, trust=Trust(grade=grade)) for grade in ("B", "C")]
    assert table(*records)[0]["trust"] == "A"
    assert table(*records, *worse)[0]["trust"] == "C"
    assert table(*records, *worse, record("pp9", {}, trust=invalid()))[0]["trust"] == "INVALID"


def test_an_invalid_record_shows_no_number_but_its_counted_sizes():
    rows = table(record("tg32", {"decode_tok_s": metric(60.0)}, trust=invalid()))
    assert rows == [{"bits/w": "4.53", "weights MiB": "72.6", "trust": "INVALID"}]


def test_an_invalid_record_is_explained_below_the_table():
    drawn = render(document(record("tg32", {}, trust=invalid())), "table")
    assert "smollm2-135m int4 tg32 @ d0: INVALID: SWAPPED: swap: 3 MiB in" in drawn


def test_an_invalid_test_leaves_the_rest_of_its_row():
    """Decode is INVALID, so the estimate is set beside the request's own decode rate or nothing."""
    bad = record("tg32", {"decode_tok_s": metric(60.0)}, trust=invalid())
    row = table(bad, record("pp128", {"prefill_tok_s": metric(900.0)}))[0]
    assert row["pp128 tok/s"] == "900"
    assert row["trust"] == "INVALID"
    assert "tg32 tok/s" not in row


def test_a_value_that_is_null_is_a_dash_never_zero():
    """A request of one token has no decode rate."""
    request = {"ttft_ms": metric(146.0, "ms"), "decode_tok_s": metric(None)}
    other = record("pg8+4", {"ttft_ms": metric(1.0, "ms"), "decode_tok_s": metric(64.0)})
    rows = table(record("pg8+1", request, cell={"level": "fp32"}), other)
    assert [row["pg8+4 tok/s"] for row in rows] == ["–", "64.0"]
    assert [row["pg8+1 TTFT ms"] for row in rows] == ["146", "–"]
    assert [row["±"] for row in rows] == ["–", "2.0%"]


def test_a_session_that_failed_says_so_once_with_all_its_tests():
    drawn = render(
        document(
            failed("pp128", "no room\ntry: a smaller model", "out_of_memory"),
            failed("tg32", "no room\ntry: a smaller model", "out_of_memory"),
            failed("tg32", "it hung", "timeout", threads=1),
        ),
        "table",
    )
    assert (
        "smollm2-135m int4 threads 2 pp128 @ d0, tg32 @ d0: out_of_memory: "
        "no room; try: a smaller model\n"
    ) in drawn
    assert "smollm2-135m int4 threads 1 tg32 @ d0: timeout: it hung\n" in drawn


def test_a_run_in_which_nothing_was_measured_still_has_a_table():
    bare = Record(cell=cell("tg32"), status="failed", reason="it broke")
    assert table(bare) == [{"trust": "–"}]
    drawn = render(document(bare, environment={}), "table")
    assert drawn.startswith("smollm2-135m · 134,515,008 parameters · int4 · CPU (2 threads)\n")
    assert "it broke" in drawn


@pytest.mark.parametrize(
    "environment",
    [
        {"read_bandwidth": 3, "packages": []},
        {"read_bandwidth": [3, {}, {"bytes_per_s": "fast"}], "packages": {"onnxruntime": None}},
        {"cpu_model": ["odd"], "read_bandwidth": [{"bytes_per_s": 1e9}]},
    ],
)
def test_an_environment_that_someone_edited_still_draws(environment):
    """It is free-form JSON: whatever stands in it, the table is drawn."""
    for style in ("table", "md"):
        assert "65.0" in render(document(*group(), environment=environment), style)


def test_a_document_without_records_still_draws():
    for style in ("table", "md", "csv", "json", "jsonl"):
        render(document(), style)
    assert "processes" not in render(document(), "table")


def test_trained_weights_and_simulated_devices_are_named():
    drawn = render(
        document(record("tg32", {}, simulated=True, cell={"weights": "trained"})), "table"
    )
    assert drawn.endswith(
        "weights: trained\nsimulated device: the function is proven, speed means nothing\n"
    )


def test_another_device_stands_before_the_processor():
    first = render(document(*group(device="qnn")), "table").splitlines()[0]
    assert " · qnn · CPU AMD EPYC (2 threads) · " in first


def test_peak_memory_is_the_largest_of_the_rows_tests():
    small = Metric(value=100 * 2**20, unit="bytes", processes=1)
    row = table(record("pp8", {"peak_rss_bytes": small}), record("tg8", {}))[0]
    assert row["peak MiB"] == "300"


def test_numbers_keep_three_digits():
    values = (1234.5, 123.4, 12.34, 1.234, 0.1234)
    rows = [
        table(record("tg8", {"decode_tok_s": metric(value)}))[0]["tg8 tok/s"] for value in values
    ]
    assert rows == ["1234", "123", "12.3", "1.23", "0.12"]


def test_csv_is_one_line_per_record_and_metric():
    rate = {"decode_tok_s": metric(64.0, share=0.25)}
    good = record("tg32", rate, estimates={"decode_tok_s": {"params": 130.0}})
    lines = render(document(good, failed("tg64", "it, died")), "csv").splitlines()
    assert lines[0].startswith("run_id,model,parameters,")
    decode = [line for line in lines if ",tg32," in line and ",decode_tok_s," in line]
    assert len(decode) == 1
    assert ",decode_tok_s,tok/s,64.0,48.0,80.0,5,130.0,,,,complete,," in decode[0]
    assert sum(",tg64," in line for line in lines) == 2  # its two counted sizes
    assert all('"it, died"' in line for line in lines if ",tg64," in line)


def test_csv_leaves_the_numbers_of_an_invalid_record_empty():
    bad = document(record("tg32", {"decode_tok_s": metric(60.0)}, trust=invalid()))
    line = next(line for line in render(bad, "csv").splitlines() if ",decode_tok_s," in line)
    assert ",INVALID,SWAPPED,false,decode_tok_s,tok/s,,,,," in line


def test_csv_keeps_a_record_without_any_metric():
    bare = Record(cell=cell("tg32"), status="failed", reason="it broke")
    lines = render(document(bare), "csv").splitlines()
    assert len(lines) == 2
    assert ",failed,it broke,,,false" + "," * 11 + "complete,," in lines[1]


def test_json_is_the_document_itself():
    assert decode_document(render(sweep(), "json").encode()) == sweep()


def test_json_lines_are_the_records_with_their_run():
    lines = [json.loads(line) for line in render(sweep(), "jsonl").splitlines()]
    assert len(lines) == len(sweep().records)
    assert lines[0]["run_id"] == sweep().run_id
    assert lines[-1]["status"] == "crashed"


def test_every_format_ends_with_one_line_feed():
    for style in ("table", "md", "csv", "json", "jsonl"):
        drawn = render(sweep(), style)
        assert drawn.endswith("\n")
        assert not drawn.endswith("\n\n")


def test_an_unknown_format_is_refused():
    with pytest.raises(UsageError, match="xml"):
        render(document(), "xml")


def test_a_record_without_a_grade_is_shown():
    assert table(record("tg32", {"decode_tok_s": metric(60.0)}, trust=None))[0]["trust"] == "–"


def test_an_emulated_device_is_named_so_in_its_column_and_headline():
    gpu = record("tg32", {}, simulated=True, cell={"device": "webgpu"})
    assert "· webgpu (simulated) · CPU" in render(document(gpu), "table").splitlines()[0]
    both = render(document(record("tg32", {}), gpu), "md")
    assert "| webgpu (simulated)" in both


def test_work_that_others_did_is_named_below_the_table():
    placement = Placement(verdict="PARTIAL", fell_off={"MatMul": 2, "Cast": 1})
    text = render(document(record("tg32", {}, placement=placement)), "table")
    assert "smollm2-135m int4: PARTIAL: others computed 2 MatMul, 1 Cast" in text


def test_placements_that_differ_have_a_column():
    records = [
        record("tg32", {}, placement=Placement(verdict=verdict), cell={"device": device})
        for device, verdict in (("cpu", "FULL"), ("webgpu", "FULL_COMPUTE"))
    ]
    assert "| FULL_COMPUTE" in render(document(*records), "md").replace("\\", "")


def test_a_run_far_off_its_calibration_says_so():
    """9.9 GB/s read in the run: beside 18 stored nothing is said, beside 22 it is off by half."""
    for stored, far in ((18e9, False), (22e9, True)):
        peaks = (RatePoint(90e9, size_bytes=1e6), RatePoint(stored, size_bytes=2e8))
        constants = Constants("measured here", peaks, threads=2)
        calibration = [StoredConstants("f", "1.31.1", "cpu", 4, True, constants, 0.2)]
        dated = [structs.replace(calibration[0], measured_on="2026-11-28")]
        run = document(*group(), environment={**ENVIRONMENT, "calibration": calibration})
        text = render(run, "table")
        assert ("9.9 GB/s with 2 threads, the calibration at 22.0" in text) == far
        said = "calibrated with 2 threads while others used 20% of the CPU"
        assert f"{said}: estimates may be off" in text
        run = document(*group(), environment={**ENVIRONMENT, "calibration": dated})
        assert f"{said} on 2026-11-28: estimates may be off" in render(run, "table")


def test_a_drift_since_the_calibration_is_said():
    """Half of what memory gave is told, with what estimates make of it; 2 % are none."""
    explanation = {"estimator": "calibrated", "basis": "measured here", "threads": 2}
    for shares, said in (
        ((0.5, 0.9, 1.2), "reads memory at 0.50 of what it did when it was calibrated"),
        ((0.98, 1.02, 1.0), "drift: with 2 threads none beyond 3% since the calibration"),
    ):
        drift = dict(zip(("memory", "matrix", "calls"), shares, strict=True))
        found = convert({**explanation, "drift": {**drift, "readings": 3}}, Explanation)
        rows = [structs.replace(one, explanation=found) for one in group()]
        assert said in " ".join(render(document(*rows), "table").split())


def test_a_calibration_without_a_pulse_says_that_nothing_is_scaled():
    """Only where the run took one to hold it against, of the processor: no GPU has one."""
    read, whole = {"threads": 2, "bytes": 8, "pass_ns": [1]}, {"matrix_flop": 8.0, "matrix_ns": [1]}
    for device, more, said in (("cpu", {}, False), ("cpu", whole, True), ("cuda", whole, False)):
        constants = Constants("", (), threads=2)
        calibration = [StoredConstants("f", "1.31.1", device, 4, True, constants)]
        peaks = [{"threads": 2, "bytes_per_s": 9.9e9, "processes": [{**read, **more}]}]
        known = {**ENVIRONMENT, "calibration": calibration, "read_bandwidth": peaks}
        text = " ".join(render(document(*group(), environment=known), "table").split())
        assert ("drift: not known with 2 threads" in text) == said


def test_a_calibration_without_bandwidth_is_compared_with_nothing():
    calibration = [
        StoredConstants("f", "1.31.1", "cpu", 4, False, Constants("guessed", (), threads=2))
    ]
    run = document(*group(), environment={**ENVIRONMENT, "calibration": calibration})
    assert "the calibration at" not in render(run, "table")
