"""What is drawn is what the document holds."""

import msgspec
import pytest
from msgspec import structs

from harness.core.units import MIB
from harness.report.charts.labels import Mark, placed
from harness.report.charts.levels import ESTIMATED, MEASURED, RULE
from harness.report.charts.memory import (
    CACHE,
    PARTS,
    PREPACKED,
    RUNTIME,
    estimated_parts,
    measured_parts,
)
from harness.report.charts.parts import log_ticks
from harness.report.charts.processes import INTERVAL, PROCESS, SAMPLE
from harness.report.rows import make_rows
from harness.report.sweep import pareto_fronts
from harness.results.quality import Quality
from harness.results.replies import (
    OperatorShare,
    Placement,
    Profile,
    ProviderShare,
    Sustained,
    SustainWindow,
)
from harness.results.schema import Metric
from tests.measured_documents import document as measured_document
from tests.measured_documents import record as measured_record
from tests.report.charts.drawn import charts, data, of, stored, walk

replace = msgspec.structs.replace


def record_of(name, level, workload):
    """One record of a committed document."""
    return next(
        record
        for record in stored(name).records
        if record.cell.level == level and record.cell.workload == workload
    )


def test_rates_are_those_of_the_document():
    found = record_of("reference/default", "int4", "tg32 @ d0")
    rows = {
        row["what"]: row
        for row in data(charts("reference/default")["rates"])
        if row["row"] == "int4"
    }
    metric = found.metrics["decode_tok_s"]
    assert rows[MEASURED]["value"] == metric.value
    assert (rows[MEASURED]["low"], rows[MEASURED]["high"]) == (metric.low, metric.high)
    assert rows[MEASURED]["processes"] == 5
    assert rows[ESTIMATED]["value"] == found.estimates["decode_tok_s"]["calibrated"]
    assert rows[RULE]["value"] == found.estimates["decode_tok_s"]["params"]


def test_an_estimate_that_no_level_has_is_no_mark():
    """A layer without rows has no ends, and browsers warn of its axis."""
    records = [structs.replace(one, estimates={}) for one in stored("reference/default").records]
    bare = of(structs.replace(stored("reference/default"), records=tuple(records)))["rates"].spec
    marks = [value for key, value in walk(bare) if key == "mark" and value["type"] == "point"]
    assert marks == []


def test_levels_stand_by_their_bits():
    spec = charts("reference/sweep-smollm2-135m")["rates"].spec
    domain = next(value for key, value in walk(spec) if key == "y")["scale"]["domain"]
    assert domain[:3] == ["fp32", "fp16", "int8-block"]
    assert domain[-1].startswith("int2")


def test_estimates_are_those_of_the_document():
    found = record_of("reference/default", "fp32", "tg32 @ d0")
    row = next(
        row for row in data(charts("reference/default")["estimate-decode"]) if "fp32" in row["cell"]
    )
    assert row["value"] == found.metrics["decode_tok_s"].value
    assert row["estimate"] == found.estimates["decode_tok_s"]["calibrated"]
    assert row["bound"] == "reading memory"


def test_sweep_points_are_losses_and_speeds_with_the_front():
    document = stored("reference/sweep-bytelm")
    rows = make_rows(document.records)
    marks = pareto_fronts(rows)
    on_front = {
        rows[place].cell.level for place, mark in marks.items() if mark in ("speed", "both")
    }
    chart = charts("reference/sweep-bytelm")["sweep-speed-bytelm"]
    drawn = {row["name"]: row for row in data(chart)}
    assert {name for name, row in drawn.items() if row["front"] == "yes"} == on_front
    found = record_of("reference/sweep-bytelm", "int4", "tg32 @ d0")
    assert drawn["int4"]["value"] == found.metrics["kld_nats"].value
    assert drawn["int4"]["x"] == found.metrics["decode_tok_s"].value
    assert drawn["int4"]["weights"] == found.metrics["weights_bytes"].value / MIB


def test_areas_are_proportional_to_bytes():
    """Twice the bytes are twice the px² of a mark: the scale is a straight line through 0."""
    spec = charts("reference/sweep-bytelm")["sweep-memory-bytelm"].spec
    size = next(value for key, value in walk(spec) if key == "size" and isinstance(value, dict))
    assert (size["scale"]["domain"][0], size["scale"]["range"][0]) == (0, 0)


def test_memory_parts_add_up_to_the_peak():
    """All parts are differences of marks, so that the bar is as long as the peak."""
    for record in stored("reference/default").records:
        parts = measured_parts(record)
        assert sum(parts.values()) == pytest.approx(record.memory[0].peak_bytes, rel=1e-12)
        assert parts[RUNTIME] == record.memory[0].baseline.rss_bytes
        assert 0 < parts[CACHE] <= estimated_parts(record)[CACHE]
        assert sum(estimated_parts(record).values()) == pytest.approx(
            record.estimates["peak_rss_bytes"]["calibrated"]
        )


def test_measured_and_estimated_copies_of_weights_are_alike():
    """The terms of the estimate stand under the parts that they predict."""
    found = record_of("reference/default", "fp32", "tg32 @ d0")
    measured, estimated = measured_parts(found)[PREPACKED], estimated_parts(found)[PREPACKED]
    assert measured == pytest.approx(estimated, rel=0.05)
    assert set(estimated_parts(found)) <= set(PARTS)


def test_a_pass_on_the_roofline_is_its_work_over_its_time():
    """Flop and bytes are the sums of the terms, the time is the measured one."""
    found = record_of("reference/default", "int4", "tg32 @ d0")
    step = found.explanation.passes[-1]
    flop = sum(term.flop for term in step.terms)
    read = sum(term.read_bytes for term in step.terms)
    row = next(
        row
        for row in data(charts("reference/default")["roofline-cpu-2"])
        if row["cell"].startswith("int4 tg32")
    )
    assert row["intensity"] == flop / read
    assert row["gflops"] == pytest.approx(flop / found.metrics["tpot_ms"].value / 1e6)


def test_the_roofs_are_the_measured_peaks():
    calibration = stored("reference/default").environment.calibration[0].constants
    spec = charts("reference/default")["roofline-cpu-2"].spec
    roofs = spec["layer"][0]["data"]["values"]
    slope = [line for line in roofs if line["what"] == "memory"]
    largest = max(calibration.bandwidth, key=lambda point: point.size_bytes)
    assert slope[0]["gflops"] / slope[0]["intensity"] == pytest.approx(largest.rate_per_s / 1e9)
    best = max(point.rate_per_s for point in calibration.rates["block-4-32"]) / 1e9
    assert best in {line["gflops"] for line in roofs}


def test_depths_are_those_of_the_document():
    drawn = data(charts("reference/kv-smollm2-135m")["depth"])
    assert {row["depth"] for row in drawn} == {0, 1024, 4096}
    assert len({row["row"] for row in drawn}) == 3


def test_one_depth_draws_no_line():
    assert "depth" not in charts("reference/default")


def test_processes_are_diamonds_and_samples_ticks():
    found = record_of("reference/default", "int4", "tg32 @ d0")
    drawn = [
        row
        for row in data(charts("reference/default")["processes-tg"])
        if row["row"].startswith("int4")
    ]
    assert sum(row["what"] == PROCESS for row in drawn) == len(found.samples)
    steps = sum(len(steps) for process in found.samples for steps in process.sample.itl_ns)
    assert sum(row["what"] == SAMPLE for row in drawn) <= steps


def test_the_interval_is_over_processes():
    found = record_of("reference/default", "int4", "tg32 @ d0").metrics["tpot_ms"]
    (row,) = (
        row
        for row in data(charts("reference/default")["processes-tg"])
        if row["what"] == INTERVAL and row["row"].startswith("int4")
    )
    assert (row["low"], row["high"]) == (found.low, found.high)


def test_many_samples_are_drawn_in_part_and_it_is_said():
    """40,000 steps: a few thousand are drawn, the fastest and the slowest among them."""
    one = measured_record([10.0, 11.0])
    chance = iter(range(1, 1_000_000))
    processes = tuple(
        replace(
            process,
            sample=replace(
                process.sample,
                itl_ns=tuple(tuple(10**7 + next(chance) for _ in range(200)) for _ in range(100)),
            ),
        )
        for process in one.samples
    )
    chart = of(measured_document(replace(one, samples=processes)))["processes-tg"]
    times = [row["ms"] for row in data(chart) if row["what"] == SAMPLE]
    assert len(times) <= 3_000
    assert min(times) == pytest.approx(10.000001)
    assert max(times) == pytest.approx(10.04)
    assert chart.notes[0].startswith("2,998 of 40,000 samples are drawn")


def test_one_process_and_one_cell_are_drawn():
    """No interval, one level: marks without whiskers, and no sweep."""
    found = of(measured_document(measured_record([10.0])))
    (row,) = data(found["rates"])
    assert row["low"] is None
    assert not [name for name in found if name.startswith("sweep")]


def windows(*rates):
    return tuple(
        SustainWindow(start_s=10.0 * place, rate=rate, thermal_events=int(rate < 80))
        for place, rate in enumerate(rates)
    )


def test_windows_are_drawn_at_their_middle():
    found = Sustained(
        metric="decode_tok_s",
        unit="tok/s",
        window_s=10.0,
        peak=100.0,
        sustained=70.0,
        share=0.7,
        throttled_after_s=20.0,
        windows=windows(100.0, 99.0, 70.0),
    )
    one = measured_record([10.0])
    end = Metric(value=70.0, low=60.0, high=80.0, unit="tok/s", processes=5)
    one = replace(one, sustain=found, metrics={**one.metrics, "sustained_decode_tok_s": end})
    chart = of(measured_document(one))["sustained"]
    drawn = data(chart)
    assert [(row["seconds"], row["rate"]) for row in drawn] == [
        (5.0, 100.0),
        (15.0, 99.0),
        (25.0, 70.0),
    ]
    assert [row["slowed"] for row in drawn] == ["no", "no", "yes"]
    assert chart.rows[0]["share of the peak"] == 0.7
    assert (chart.rows[0]["low tok/s"], chart.rows[0]["high tok/s"]) == (60.0, 80.0)


def test_operators_of_a_profile_add_up_to_all_of_the_time():
    operators = tuple(
        OperatorShare(provider="CPUExecutionProvider", operator=name, share=share, calls=9)
        for name, share in (("MatMulNBits", 0.7), ("GroupQueryAttention", 0.2))
    )
    profile = Profile(
        runs=3,
        providers=(ProviderShare(provider="CPUExecutionProvider", share=1.0),),
        operators=operators,
    )
    chart = of(measured_document(replace(measured_record([10.0]), profile=profile)))["operators"]
    drawn = {row["operator"]: row["share"] for row in data(chart)}
    assert drawn == pytest.approx(
        {"MatMulNBits (CPU)": 0.7, "GroupQueryAttention (CPU)": 0.2, "all others": 0.1}
    )


def test_placement_is_drawn_where_two_providers_share_a_graph():
    placement = Placement(
        verdict="PARTIAL",
        nodes={"WebGpuExecutionProvider": 300, "CPUExecutionProvider": 41},
        compute_nodes={"WebGpuExecutionProvider": 180, "CPUExecutionProvider": 1},
    )
    one = replace(measured_record([10.0]), placement=placement)
    drawn = data(of(measured_document(one))["placement"])
    assert {row["provider"]: row["nodes"] for row in drawn} == placement.nodes
    assert "placement" not in charts("reference/default")


def test_machines_stand_side_by_side_with_their_own_peaks():
    found = charts("reference/default", "validation/modern")
    peaks = {
        row["machine"]: row["value"]
        for row in data(found["machines-memory"])
        if row["row"] == "cpu, 2 threads"
    }
    assert set(peaks) == {"AMD EPYC", "Intel(R) Xeon(R) Processor"}
    machines = {chart.machine for name, chart in found.items() if name.startswith("roofline-cpu-2")}
    assert machines == set(peaks)


def test_the_same_cells_of_two_runs_are_compared():
    """Runs on one processor are told apart by their files."""
    found = charts("validation/first", "validation/again")
    drawn = data(found["machines-rates"])
    assert {row["machine"] for row in drawn} == {"first", "again"}


def test_a_log_axis_has_round_numbers_as_many_as_have_room():
    assert log_ticks(27, 170) == [30, 40, 50, 60, 70, 80, 90, 100, 150]
    assert log_ticks(20, 900) == [20, 30, 50, 70, 100, 150, 200, 300, 500, 700]
    assert log_ticks(1, 1e6) == [10**exponent for exponent in range(7)]
    assert log_ticks(0.9, 1.35) == [0.9, 1.0, 1.2]
    assert log_ticks(9.1, 11.0) == [9.5, 10.0, 10.5, 11.0]  # one tick of a decade is no axis


def test_names_stand_on_nothing():
    """Three marks: the first takes its corner, the second finds another, the third has no room."""
    wide = (0.0, 200.0)
    marks = [
        Mark("first", 100.0, 50.0, 5.0),
        Mark("second", 110.0, 42.0, 5.0),
        Mark("a name as wide as the plot itself", 100.0, 10.0, 5.0, wide),
    ]
    found = placed(marks, 200.0, 100.0)
    assert found[0] == (6.0, 10.0, "left")
    assert found[1] == (6.0, -10.0, "left")
    assert found[2] is None


def test_runtimes_that_do_not_tell_are_drawn():
    """Rows of genai are measured as all others are; where their nodes ran is not known."""
    chart = charts("reference/three-ways")["rates"]
    assert sum("genai" in row["row"].split() for row in data(chart)) == 4 * 3
    assert chart.notes == ()


def encoder(level, cosine, rate, bits):
    """A record of an encoder at one level."""
    one = measured_record([10.0])
    metrics = {
        "encode_seq_s": Metric(value=rate, low=rate * 0.9, high=rate * 1.1, unit="s", processes=5),
        "embedding_cosine": Metric(
            value=cosine, low=cosine - 0.01, high=cosine + 0.005, unit="cosine", processes=1
        ),
        "weights_bytes": Metric(value=bits * 1e6, unit="bytes", processes=0),
        "bits_per_weight": Metric(value=bits, unit="bit", processes=0),
        "peak_rss_bytes": Metric(value=bits * 1e7, unit="bytes", processes=1),
    }
    cell = replace(
        one.cell, workload="enc128x8", prompt=128, gen=0, sequences=8, level=level, model="bert"
    )
    return replace(one, cell=cell, metrics=metrics, quality=Quality(label=""), samples=())


def test_an_encoder_loses_what_its_cosine_lacks():
    """1 - 0.98, between 1 - 0.985 and 1 - 0.97: the ends change places."""
    found = of(
        measured_document(encoder("fp32", 1.0, 50.0, 32.0), encoder("int4", 0.98, 90.0, 5.0))
    )
    row = next(row for row in data(found["sweep-speed-bert"]) if row["name"] == "int4")
    assert row["value"] == pytest.approx(0.02)
    assert (row["low"], row["high"]) == pytest.approx((0.015, 0.03))
    assert found["sweep-speed-bert"].rows[0]["encode speed, sequences/s"] == 50.0


def test_emulated_devices_have_no_rate():
    """A rate of an emulated device means nothing: the row is left out, and it is said."""
    real, emulated = measured_record([10.0]), measured_record([10.0], level="int8")
    found = of(measured_document(real, replace(emulated, simulated=True)))
    assert {row["row"] for row in data(found["rates"])} == {"int4"}
    assert found["rates"].notes == (
        "Not drawn: 1 row (failed, INVALID, emulated or run elsewhere)",
    )


def test_kernels_without_a_peak_leave_the_slope():
    """A document without calibration still has the bandwidth that was read in its run."""
    document = stored("reference/default")
    bare = replace(document, environment=replace(document.environment, calibration=()))
    roofs = of(bare)["roofline-cpu-2"].spec["layer"][0]["data"]["values"]
    assert {line["what"] for line in roofs} == {"memory"}
    read = document.environment.read_bandwidth[0].bytes_per_s
    assert roofs[0]["gflops"] / roofs[0]["intensity"] == pytest.approx(read / 1e9)


@pytest.mark.parametrize("ms", [1e-300, 1e300])
def test_a_time_that_no_machine_takes_has_no_place_on_the_roofline(ms):
    """The axes would end at infinity; the other passes are drawn as before."""
    document = stored("reference/default")
    whole = data(charts("reference/default")["roofline-cpu-2"])
    broken = [
        replace(one, metrics=one.metrics | {"tpot_ms": replace(one.metrics["tpot_ms"], value=ms)})
        if "tpot_ms" in one.metrics
        else one
        for one in document.records
    ]
    found = data(of(replace(document, records=tuple(broken)))["roofline-cpu-2"])
    assert found == [row for row in whole if row["pass"] != "decode step"]
    assert 0 < len(found) < len(whole)


def test_of_very_many_cells_some_are_drawn_and_all_are_counted():
    """42 documents of 74 cells that decode: every cell counts, fewer are marks."""
    document = stored("validation/first")
    many = [replace(document, run_id=f"run-{place}") for place in range(42)]
    found = of(*many)
    chart = found["estimate-decode"]
    assert len(data(chart)) == 2_998  # two of the evenly spaced are the extremes
    assert chart.notes == ("2,998 of 3,108 cells are drawn",)
    assert "of 3108)" in chart.caption
    assert found["machines-rates"].notes[-1] == "10 of 42 results are drawn"
    assert len({row["machine"] for row in data(found["machines-rates"])}) == 10


def test_peaks_carry_their_intervals():
    constants = stored("reference/default").environment.calibration[0].constants
    point = max(constants.bandwidth, key=lambda one: one.size_bytes)
    drawn = data(charts("reference/default", "validation/modern")["machines-memory"])
    row = next(row for row in drawn if row["machine"] == "AMD EPYC")
    assert (row["low"], row["high"]) == (point.low_per_s / 1e9, point.high_per_s / 1e9)
