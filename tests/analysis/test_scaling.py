"""The law of size by hand: exponents, intervals, who breaks it, and which cause is named."""

import math
import random

import pytest

from harness.analysis.scaling import study_scaling
from harness.analysis.scaling_causes import CAUSES, Setting, counts_note, explain, find_structure
from harness.builder.quantize.levels import LEVELS
from harness.core.errors import MeasurementError, UsageError
from harness.estimator.memory import stored_model_bytes
from harness.models.catalog.catalog import catalog_model, spec_names
from harness.models.specs.dissect import decoder_structure
from harness.models.specs.shapes import DecoderShape
from harness.models.specs.structure import Role
from harness.results.document import with_open_parts
from harness.results.schema import Cell, Document, Metric, Record, Trust
from harness.runner.plan import make_plan
from harness.runner.settings import load_settings
from harness.stats.power_law import fit_power_law, percent_of_factor

SEVEN = (
    *("smollm2-135m", "smollm2-360m", "qwen2.5-0.5b", "qwen3-0.6b"),
    *("tinyllama-1.1b", "llama-3.2-1b", "qwen2.5-1.5b"),
)
STRUCTURES = {name: catalog_model(name).structure for name in SEVEN}
SIZES = {name: structure.parameters for name, structure in STRUCTURES.items()}
FOLDERS = {"one": 10**8, "two": 2 * 10**8, "four": 4 * 10**8}  # their structure is not known
ENVIRONMENT = {"cpu_model": "AMD EPYC", "packages": {"onnxruntime": "1.31.1"}}
FP32, INT4 = LEVELS["fp32"], LEVELS["int4"]


def record(model, metrics, test="tg8", parameters=None, status="ok", grade="A", **other):
    """A record of `pp64`, `tg8` or `pg64+8` with these values."""
    numbers = [int(number) for number in test[2:].split("+")]
    simulated = other.pop("simulated", False)
    cell = {
        "model": model,
        "parameters": parameters or {**SIZES, **FOLDERS}[model],
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
    return Record(
        cell=Cell(workload=f"{test} @ d{cell['depth']}", **cell),
        status=status,
        reason=None if status == "ok" else "it died",
        metrics={name: Metric(value=v, unit="", processes=3) for name, v in metrics.items()},
        trust=Trust(grade=grade),
        simulated=simulated,
    )


def document(*records, run_id="run-1", **other):
    """A document around records."""
    head = {"created_utc": "2026-11-22T10:15:00+00:00", "environment": ENVIRONMENT, "plan": {}}
    return Document(**with_open_parts({**head, "run_id": run_id, **other}), records=records)


def rates(factors=None, sizes=SIZES, **other):
    """Decode records exactly on the rule, 1e10 / parameters, times a factor for some models."""
    return [
        record(name, {"decode_tok_s": 1e10 / size * (factors or {}).get(name, 1.0)}, **other)
        for name, size in sizes.items()
    ]


def only_row(*records):
    """The one law that records give."""
    (row,) = study_scaling([document(*records)]).rows
    return row


def test_an_exact_power_law_is_found_with_no_width():
    """With y = 50 / x at x = 1, 10, 100."""
    law = fit_power_law([1, 10, 100], [50.0, 5.0, 0.5])
    assert law.exponent == pytest.approx(-1, abs=1e-12)
    assert law.high - law.low == pytest.approx(0, abs=1e-6)
    assert law.r2 == pytest.approx(1, abs=1e-12)
    assert law.residuals_ln == pytest.approx([0, 0, 0], abs=1e-12)


def test_a_scattered_law_by_hand():
    """With ln x = 0 1 2, ln y = 0 2 1.

    Sxx = 2, Sxy = 1: b = 0.5; residuals -0.5 1 -0.5; SSE = 1.5 of 2: R2 = 0.25; half width
    t(0.975, 1) * sqrt(1.5 / 1 / 2) = 12.7062 * 0.866025 = 11.0039.
    """
    law = fit_power_law([1, math.e, math.e**2], [1, math.e**2, math.e])
    assert law.exponent == pytest.approx(0.5)
    assert law.residuals_ln == pytest.approx([-0.5, 1, -0.5])
    assert law.r2 == pytest.approx(0.25)
    assert (law.low, law.high) == pytest.approx((0.5 - 11.0039, 0.5 + 11.0039), abs=1e-3)


def test_equal_values_have_nothing_to_explain():
    law = fit_power_law([1, 2, 3], [7.1, 7.1, 7.1])
    assert law.r2 is None
    assert (law.exponent, law.low, law.high) == pytest.approx((0, 0, 0), abs=1e-12)


@pytest.mark.parametrize("sizes", [[1, 2], [1, 2, 2], [5, 5, 5], []])
def test_two_sizes_are_no_law(sizes):
    with pytest.raises(MeasurementError, match="no power law"):
        fit_power_law(sizes, [1.0] * len(sizes))


def test_the_interval_covers_the_true_exponent_95_times_in_100():
    """2000 seeded samples of 6 models scattered by 10 %: 1.96 standard errors are 1 %."""
    generator = random.Random(7)
    sizes = [1, 2, 3, 5, 8, 13]
    covered = 0
    for _ in range(2000):
        law = fit_power_law(sizes, [math.exp(generator.gauss(0, 0.1)) / size for size in sizes])
        covered += law.low <= -1 <= law.high
    assert 0.94 <= covered / 2000 <= 0.96


def test_a_factor_and_its_inverse_are_equally_far():
    assert percent_of_factor(math.log(1.25)) == pytest.approx(25)
    assert percent_of_factor(math.log(0.8)) == pytest.approx(25)
    assert math.isfinite(percent_of_factor(-1400))


def test_rates_on_the_rule_break_nothing():
    row = only_row(*rates())
    assert row.models == SEVEN
    assert row.law.exponent == pytest.approx(-1)
    assert row.law.r2 == pytest.approx(1)
    assert (row.group.rule.exponent, row.group.test, row.breaker) == (-1, "tg @ d0", None)


def test_every_metric_has_its_rule():
    """Times and bytes grow with size, rates fall."""
    values = {
        "tg8": ("decode_tok_s", "peak_rss_bytes", "weights_bytes"),
        "pp64": ("prefill_tok_s", "peak_rss_bytes"),
        "pg64+8": ("ttft_ms", "decode_tok_s"),
    }
    records = [
        record(name, {m: 1e9 / size if m.endswith("tok_s") else 9.0 * size for m in metrics}, test)
        for name, size in FOLDERS.items()
        for test, metrics in values.items()
    ]
    found = {
        row.group.rule.metric: (row.group.test, row.law.exponent)
        for row in study_scaling([document(*records)]).rows
    }
    assert found == {
        "decode_tok_s": ("tg @ d0", pytest.approx(-1)),
        "prefill_tok_s": ("pp64 @ d0", pytest.approx(-1)),
        "ttft_ms": ("pg64 @ d0", pytest.approx(1)),
        "peak_rss_bytes": ("tg @ d0", pytest.approx(1)),
        "weights_bytes": (None, pytest.approx(1)),
    }


def test_the_breaker_by_hand():
    """Of three sizes 1 2 4 the middle has leverage 1/3: a factor e^0.3 leaves 0.3 * 2/3 = 0.2.

    e^0.2 = 1.2214: 22 %.
    """
    row = only_row(*rates({"two": math.exp(0.3)}, FOLDERS))
    assert row.largest_ln == pytest.approx(0.2)
    assert row.breaker.text == "two: 22 % faster than its size says"
    assert row.breaker.why == "its structure is not known here"


def test_within_ten_percent_nobody_breaks_the_law():
    """The middle of three: ln 1.15 * 2/3 = 0.0932 is within ln 1.1 = 0.0953; 1.16 gives 0.0989."""
    assert only_row(*rates({"two": 1.15}, FOLDERS)).breaker is None
    assert only_row(*rates({"two": 1.16}, FOLDERS)).breaker.model == "two"


@pytest.mark.parametrize(
    ("metric", "factor", "text"),
    [
        ("decode_tok_s", -0.3, "slower"),
        ("decode_tok_s", 0.3, "faster"),
        ("prefill_tok_s", -0.3, "slower"),
        ("ttft_ms", 0.3, "slower"),
        ("ttft_ms", -0.3, "faster"),
        ("peak_rss_bytes", 0.3, "larger"),
        ("weights_bytes", -0.3, "smaller"),
    ],
)
def test_the_direction_is_that_of_the_metric(metric, factor, text):
    test = {"prefill_tok_s": "pp64", "ttft_ms": "pg64+8"}.get(metric, "tg8")
    sign = -1 if metric.endswith("tok_s") else 1
    records = [
        record(name, {metric: float(size) ** sign * math.exp(factor * (name == "two"))}, test)
        for name, size in FOLDERS.items()
    ]
    assert only_row(*records).breaker.text == f"two: 22 % {text} than its size says"


def test_the_breaker_is_named_with_its_cause():
    """151,936 * 896 of qwen2.5-0.5b's 494,032,768 parameters are its embedding: 27.6 %."""
    records = [
        record(
            name,
            {"prefill_tok_s": 1e11 / size * (1.25 if name == "qwen2.5-0.5b" else 1)},
            "pp64",
            level="fp32",
        )
        for name, size in SIZES.items()
    ]
    breaker = only_row(*records).breaker
    assert (breaker.model, breaker.word) == ("qwen2.5-0.5b", "faster")
    assert breaker.why.startswith("embedding and head 28 % of parameters (usual 19): a prompt")


def test_a_cause_that_works_the_other_way_is_none():
    """A slow prefill beside the largest embedding of all."""
    records = [
        record(
            name,
            {"prefill_tok_s": 1e11 / size * (0.8 if name == "qwen2.5-0.5b" else 1)},
            "pp64",
        )
        for name, size in SIZES.items()
    ]
    row = only_row(*records)
    assert row.breaker.word == "slower"
    assert row.breaker.why == "no cause in the numbers known"


@pytest.mark.parametrize(
    ("metric", "cost_ln", "breaker", "setting", "cause"),
    [
        ("prefill_tok_s", -0.2, "qwen2.5-0.5b", Setting(FP32, 64), "embedding and head"),
        ("ttft_ms", -0.2, "qwen2.5-0.5b", Setting(FP32, 64), "embedding and head"),
        ("prefill_tok_s", 0.2, "qwen2.5-0.5b", Setting(FP32, 64), None),
        (
            "prefill_tok_s",
            0.2,
            "qwen3-0.6b",
            Setting(FP32, 64, 4096),
            "query heads x width x layers",
        ),
        ("decode_tok_s", 0.3, "qwen3-0.6b", Setting(INT4, 0, 1024), "query heads x width x layers"),
        ("decode_tok_s", 0.3, "qwen3-0.6b", Setting(INT4), None),
        ("decode_tok_s", -0.1, "tinyllama-1.1b", Setting(FP32), "read per token"),
        ("decode_tok_s", -0.2, "qwen2.5-0.5b", Setting(INT4), "layers"),
        ("decode_tok_s", -0.2, "qwen2.5-0.5b", Setting(FP32), None),
        ("decode_tok_s", 0.3, "smollm2-135m", Setting(INT4), None),
        ("peak_rss_bytes", 0.15, "qwen2.5-0.5b", Setting(FP32), "embedding and head"),
        ("peak_rss_bytes", -0.2, "tinyllama-1.1b", Setting(FP32), "embedding and head"),
        ("peak_rss_bytes", 0.3, "qwen3-0.6b", Setting(INT4, 0, 1024), "cache per token"),
        ("load_ms", 0.3, "qwen3-0.6b", Setting(INT4), None),
    ],
)
def test_the_cause_of_each_kind_of_break(metric, cost_ln, breaker, setting, cause):
    group = list(STRUCTURES.values())
    found = explain(metric, cost_ln, STRUCTURES[breaker], group, setting)
    assert (found and found.cause.name) == cause
    assert found is None or found.worth_ln * cost_ln > 0


def test_padded_rows_explain_the_whole_of_what_they_cost():
    """Rows of 160 weights are stored as 256 in blocks of 128; those of 256, 384 and 512 as are.

    The bytes are the exact formula, so that the cause is worth the whole distance from the law.
    """
    level = LEVELS["int4-b128"]
    group = [
        decoder_structure(
            f"wide-{hidden}", DecoderShape(1000, hidden, layers, 4, 4, 64, 1024, True, 512, 1e4)
        )
        for hidden, layers in ((256, 4), (160, 10), (384, 6), (512, 8))
    ]
    weights = [float(stored_model_bytes(structure, level)) for structure in group]
    law = fit_power_law([structure.parameters for structure in group], weights)
    found = explain("weights_bytes", law.residuals_ln[1], group[1], group, Setting(level))
    assert found.cause.name == "stored bits per parameter"
    assert found.worth_ln == pytest.approx(law.residuals_ln[1])


def test_too_few_known_structures_give_no_cause():
    pair = [STRUCTURES["qwen2.5-0.5b"], STRUCTURES["qwen3-0.6b"]]
    assert explain("prefill_tok_s", -0.2, pair[0], pair, Setting(FP32, 64)) is None


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: f"{cause.name} {cause.metrics[0]}")
def test_every_cost_of_every_built_model_is_a_ratio(cause):
    """Above 0, and the count is drawn."""
    for name in spec_names():
        structure = catalog_model(name).structure
        for level in LEVELS.values():
            setting = Setting(level, 64, 1024, 2)
            assert 0 < cause.cost(structure, setting) < 100
            assert cause.form.format(cause.count(structure, setting))[0].isdigit()


def test_a_folder_that_borrows_a_name_is_not_known():
    assert find_structure("smollm2-135m", 134_515_008) is STRUCTURES["smollm2-135m"]
    assert find_structure("smollm2-135m", 134_515_007) is None
    assert find_structure("no-such-model", 134_515_008) is None


def test_an_alias_is_known_like_a_model_with_a_file():
    """Named for its own numbers: Qwen3 8B has a head of its own, Qwen3 4B has not."""
    structure = find_structure("qwen3-8b", 8_190_735_360)
    assert structure is not None
    assert any(group.role is Role.HEAD for group in structure.groups)


def test_the_order_of_documents_and_records_does_not_matter():
    records = rates({"qwen3-0.6b": 0.6}) + rates(depth=1024) + rates(test="tg16", level="fp32")
    one = document(*records[::2], run_id="run-1")
    other = document(*records[1::2], run_id="run-2")
    backwards = document(*reversed(one.records), run_id="run-1")
    assert study_scaling([one, other]) == study_scaling([other, backwards])


def test_rows_stand_in_the_order_of_metric_level_and_depth():
    records = [
        record(
            name, {"decode_tok_s": 1e9 / size, "weights_bytes": 1.0 * size}, level=level, depth=d
        )
        for level in ("int4", "fp32")
        for d in (1024, 0)
        for name, size in FOLDERS.items()
    ]
    labels = [row.group.label for row in study_scaling([document(*records)]).rows]
    assert labels == [
        "decode_tok_s fp32 tg @ d0 t2",
        "decode_tok_s fp32 tg @ d1024 t2",
        "decode_tok_s int4 tg @ d0 t2",
        "decode_tok_s int4 tg @ d1024 t2",
        "weights_bytes fp32",
        "weights_bytes int4",
    ]


@pytest.mark.parametrize(
    ("field", "other"),
    [
        *(("level", "fp32"), ("device", "other"), ("threads", 1), ("batch", 2), ("depth", 7)),
        *(("capacity", 8192), ("prepack", "on"), ("runtime", "genai")),
    ],
)
def test_cells_that_differ_in_more_than_the_model_are_not_pooled(field, other):
    records = [*rates(sizes=FOLDERS), *rates({}, FOLDERS, **{field: other})]
    assert len(study_scaling([document(*records)]).rows) == 2


def test_decoded_tokens_are_ignored_and_repeats_become_one_value():
    """`two` gave 10, 50 and 90 tok/s with 8, 16 and 32 tokens: 50; its largest peak counts."""
    records = [
        record("one", {"decode_tok_s": 100.0, "peak_rss_bytes": 1e9}),
        *(
            record("two", {"decode_tok_s": rate, "peak_rss_bytes": peak}, test)
            for test, rate, peak in (("tg8", 90.0, 1e9), ("tg16", 10.0, 2e9), ("tg32", 50.0, 1e9))
        ),
        record("four", {"decode_tok_s": 25.0, "peak_rss_bytes": 4e9}, "tg8"),
    ]
    rows = study_scaling([document(*records)]).rows
    assert [row.law.exponent for row in rows] == pytest.approx([-1, 1])
    assert [row.models for row in rows] == [("one", "two", "four")] * 2


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"status": "crashed"}, "3 crashed"),
        ({"grade": "INVALID"}, "3 INVALID"),
        ({"simulated": True}, "3 simulated"),
    ],
)
def test_records_that_do_not_count_are_refused_with_the_reason(bad, reason):
    records = rates({}, FOLDERS, **bad)
    with pytest.raises(UsageError, match=f"no record can be used, of 3: {reason}") as caught:
        study_scaling([document(*records)])
    assert "bench run --config scaling" in caught.value.fix
    assert len(study_scaling([document(*records, *rates(sizes=FOLDERS))]).rows) == 1


def test_a_document_without_records_is_refused():
    with pytest.raises(UsageError, match="of 0"):
        study_scaling([document()])


def test_two_sizes_are_refused_and_beside_others_left_out():
    two = {"one": 10**8, "two": 2 * 10**8}
    with pytest.raises(UsageError, match="here are 2") as caught:
        study_scaling([document(*rates(sizes=two), record("twin", {}, parameters=10**8))])
    assert "bench run --config scaling" in caught.value.fix
    study = study_scaling([document(*rates(sizes=FOLDERS), *rates({}, two, depth=512))])
    assert study.notes == (
        "left out, fewer than 3 models of different size: decode_tok_s int4 tg @ d512 t2 (2)",
    )


def test_the_note_of_what_is_left_out_stays_short():
    many = [row for depth in range(1, 8) for row in rates(sizes={"one": 10**8}, depth=depth)]
    (note,) = study_scaling([document(*rates(sizes=FOLDERS), *many)]).notes
    assert note.endswith("tg @ d4 t2 (1), 3 more")


def test_values_without_a_logarithm_are_no_measurements():
    """None, 0, negative and infinite ones; nothing that is left is NaN."""
    odd = [
        record("odd", {"decode_tok_s": value}, parameters=3 * 10**8)
        for value in (None, 0.0, -1.0, math.inf, math.nan)
    ]
    row = only_row(*rates(sizes=FOLDERS), *odd)
    assert row.models == ("one", "two", "four")
    numbers = (row.law.exponent, row.law.low, row.law.high, row.law.r2)
    assert all(math.isfinite(number) for number in (*numbers, *row.law.residuals_ln))


def test_results_of_two_machines_or_methods_are_not_pooled():
    first = document(*rates(sizes=FOLDERS))
    elsewhere = replace_environment(first, cpu_model="Apple M2")
    newer = replace_environment(first, packages={"onnxruntime": "1.32.0"})
    for other in (elsewhere, newer):
        with pytest.raises(UsageError, match="different machines"):
            study_scaling([first, other])
    with pytest.raises(UsageError, match="method"):
        study_scaling([first, document(*first.records, run_id="run-2", method_version=99)])


def replace_environment(original, **facts):
    """The same document from elsewhere."""
    environment = {**ENVIRONMENT, **facts}
    return document(*original.records, run_id="run-2", environment=environment)


def test_the_spread_of_the_counts_by_hand():
    """KiB of cache: layers * 2 * heads * width * 4 bytes: 24 * 2 * 2 * 64, 28 * 2 * 8 * 128.

    Embedding and head of tinyllama: 2 * 32,000 * 2,048 of 1,100,048,384 = 11.9 %.
    """
    assert counts_note(list(STRUCTURES.values())) == (
        "counts of the 7 models known here: embedding and head are 12 % (tinyllama-1.1b) to 28 % "
        "(qwen2.5-0.5b) of the parameters; of similar size, qwen2.5-0.5b adds 24 KiB of cache per "
        "token and qwen3-0.6b 224"
    )


def test_the_spread_needs_two_models_and_names_a_cache_only_of_similar_ones():
    small, large = STRUCTURES["smollm2-135m"], STRUCTURES["qwen2.5-1.5b"]
    assert counts_note([small]) is None
    assert "cache" not in counts_note([small, large])


def test_the_shipped_plan_gives_every_law_five_models():
    """At int4 a prompt and two depths of decoding; at fp32 no deep cache."""
    plan = make_plan(load_settings("scaling"), usable_threads=2)
    tests = {
        (group.source.name, group.level.name): [workload.name for workload in group.workloads]
        for group in plan.groups
    }
    assert {name for name, level in tests if level == "int4"} == set(SEVEN)
    assert len([name for name, level in tests if level == "fp32"]) == 5
    assert tests["qwen2.5-1.5b", "int4"] == ["pp64 @ d0", "tg8 @ d0", "tg8 @ d1024"]
    assert tests["tinyllama-1.1b", "fp32"] == ["pp64 @ d0", "tg8 @ d0"]


def test_the_shipped_plan_of_modern_models_asks_the_same_of_eight_kinds():
    plan = make_plan(load_settings("modern"), usable_threads=2)
    assert len({group.source.name for group in plan.groups}) == 8
    for group in plan.groups:
        names = [workload.name for workload in group.workloads]
        assert names == ["pp64 @ d0", "tg8 @ d0", "tg8 @ d1024"], group.source.name
