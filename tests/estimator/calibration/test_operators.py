"""Operators that not every model has: what is measured of them, when, and what stands in for it."""

import pytest
from msgspec import structs

from harness.builder.quantize.levels import CACHES, LEVELS, find_level
from harness.estimator.calibration import calibrate
from harness.estimator.calibration.calibrate import ensure_constants
from harness.estimator.calibration.constants import (
    ATTENTION,
    ATTENTION_CALL,
    OPERATOR_CALL,
    SESSION_CALL,
    attention_flop,
    attention_name,
    call_name,
    kernel_name,
)
from harness.estimator.calibration.operators import (
    CONVOLUTION,
    DELTA,
    MAMBA,
    STATES,
    delta_of,
    expert_flop,
    experts_name,
    mamba_of,
    operator_rates,
    other_cache,
    probe_of,
    scored_name,
    stand_in,
    state_shape,
    typical_slower,
)
from harness.estimator.calibration.store import CalibrationKey
from harness.estimator.timing import timed
from harness.estimator.work import Work, needed_operators
from harness.models.catalog.catalog import load_spec
from harness.models.specs.dissect import spec_structure
from harness.results.calibration import Constants, RatePoint, TimePoint
from tests.tiny import SIZES

KEY = CalibrationKey("0123456789abcdef", "1.31.1", "cpu", 1)
CAPPED, SINKS = (scored_name(CACHES["fp32"], scores) for scores in ("softcap", "sinks"))
IN_INT4 = experts_name("block-4-32")
# 10 us an operator, 20 us an attention on top, 100 us a run; one token attends at 2 Mflop/s.
BASE = Constants(
    "measured here",
    (RatePoint(1e10),),
    {
        OPERATOR_CALL: (RatePoint(1e5), RatePoint(1e5, 1e9)),
        ATTENTION_CALL: (RatePoint(5e4),),
        ATTENTION: (RatePoint(1e6, 1e4), RatePoint(2e6, 1e6), RatePoint(8e6, 1e4, 8)),
    },
    threads=1,
    times={SESSION_CALL: TimePoint(1e-4, 1e-4, 1e-4, 2)},
)


@pytest.mark.parametrize(
    ("model", "level", "names"),
    [
        ("smollm2-135m", "int4", set()),
        ("qwen3.5-0.8b", "int4", {DELTA, CONVOLUTION}),
        ("granite-4.0-h-350m", "int4", {MAMBA, CONVOLUTION}),
        ("falcon-h1-0.5b", "fp32", {MAMBA, CONVOLUTION}),
        ("lfm2.5-350m", "int8", {CONVOLUTION}),
        ("lfm2-8b-a1b", "int4", {CONVOLUTION, IN_INT4}),
        ("gpt-oss-20b", "int4", {SINKS, IN_INT4}),
        ("mixtral-8x22b", "fp32", {experts_name("float-32")}),
        ("gemma-2-2b", "int4", {CAPPED}),
        ("gemma-4-e2b", "int4", set()),
        ("bge-small-en-v1.5", "int4", set()),
    ],
)
def test_a_model_needs_the_operators_of_its_layers(model, level, names):
    structure = spec_structure(load_spec(model))
    assert set(needed_operators(structure, find_level(level))) == names


def test_caches_apart_have_scored_rates_of_their_own():
    """`attention-int8-softcap` reads int8 keys; plain attention over int8 stands in for it."""
    structure = spec_structure(load_spec("gemma-2-2b"))
    (name,) = needed_operators(structure, find_level("int4"), CACHES["int8"])
    probe = probe_of(name)
    assert probe is not None
    assert (probe.cache, probe.scores) == (CACHES["int8"], "softcap")
    assert stand_in(name) == "attention-int8"


@pytest.mark.parametrize("level", LEVELS.values(), ids=lambda level: level.name)
def test_experts_of_every_level_have_a_probe(level):
    structure = spec_structure(load_spec("gpt-oss-20b"))
    kernels = {kernel_name(form) for form in level.formats}
    for name in needed_operators(structure, level):
        probe = probe_of(name)
        assert probe is not None
        assert probe.level is None or kernel_name(probe.level.body) in kernels


@pytest.mark.parametrize("name", [ATTENTION, "block-4-32", "attention-int8", "elementwise"])
def test_other_rates_are_no_operators_of_this_kind(name):
    assert probe_of(name) is None
    assert stand_in(name) == name


def test_a_rate_that_is_missing_has_a_stand_in():
    assert [stand_in(name) for name in STATES] == ["", "", ""]
    assert stand_in(IN_INT4) == "block-4-32"
    assert stand_in(CAPPED) == stand_in(SINKS) == ATTENTION
    assert [typical_slower(CAPPED, rows) for rows in (1, 64)] == [1.0, 4.2]
    assert typical_slower(SINKS, 64) == 2.0
    assert typical_slower(IN_INT4, 64) == typical_slower(ATTENTION, 64) == 1.0


def test_attention_over_half_floats_is_missing_from_older_calibrations():
    """A step then takes 2.5 times as long as over float32, and the basis says so."""
    half = attention_name(CACHES["fp16"])
    assert other_cache(half) == ATTENTION
    assert other_cache(f"{half}-softcap") == CAPPED
    assert [other_cache(name) for name in (ATTENTION, "attention-int8")] == [
        ATTENTION,
        "attention-int8",
    ]
    assert [typical_slower(half, rows) for rows in (1, 64)] == [2.5, 1.0]
    rates = {ATTENTION: (RatePoint(10e9, processes=4),)}
    work = Work("attention", half, 1, flop=1e9, set_bytes=1e9)
    found = timed("step", (work,), Constants("measured here", (RatePoint(1e9),), rates))
    assert found.terms[0].seconds == pytest.approx(0.25)
    assert found.basis == "measured here, without attention-fp16 (typical values)"


def test_a_state_counts_as_the_blocks_do():
    """qwen3.5-0.8b: 7 · 16 · 128 · 128 in the rule, 2 · 4 · 6144 in its convolution."""
    found = {one.name: one for one in spec_structure(load_spec("qwen3.5-0.8b")).recurrences}
    assert found[DELTA].flop_per_token == 7 * 16 * 128 * 128
    assert found[DELTA].state_values == 16 * 128 * 128
    assert found[CONVOLUTION].flop_per_token == 2 * 4 * 6144
    assert found[CONVOLUTION].state_values == 3 * 6144
    assert [found[name].sequential for name in (DELTA, CONVOLUTION)] == [True, False]
    rule, mamba = delta_of(SIZES), mamba_of(SIZES)
    assert state_shape(DELTA, SIZES).flop == 7 * rule.value_heads * rule.key_dim * rule.value_dim
    assert state_shape(MAMBA, SIZES).flop == 5 * mamba.inner_width * mamba.state_dim


@pytest.mark.parametrize("kind", STATES)
def test_the_rate_of_a_state_is_what_is_left_of_a_pass(kind):
    """A run takes 100 us, an operator 10: what is left does the flop of all layers."""
    shape = state_shape(kind, SIZES)
    replies = []
    for slower in (1.0, 1.0001):
        reply = []
        for layers, rows in ((2, 1), (2, 4), (shape.layers, 1)):
            work_s = slower * layers * rows * shape.flop / 3e6
            fixed_s = 1e-4 + layers * shape.nodes * 1e-5
            reply.append({"layers": layers, "rows": rows, "pass_ns": [(work_s + fixed_s) * 1e9]})
        replies.append(reply)
    (points,) = operator_rates(probe_of(kind), replies, SIZES, BASE).values()
    assert [point.rows for point in points] == [1, 4, 1]
    for point in points:
        assert point.rate_per_s == pytest.approx(3e6, rel=1e-3)
        assert point.low_per_s < point.rate_per_s < point.high_per_s
    assert points[2].size_bytes == 4 * shape.layers * shape.values


def test_experts_have_a_rate_and_a_time_of_a_call():
    """Two operators beside each mixture; 50 us a mixture of next to nothing, 5 Mflop/s else."""
    level = LEVELS["int4"]
    shots = [("few", 1), ("pair", 1), ("pair", 4), ("chain", 1)]
    replies = []
    for slower in (1.0, 1.0001):
        reply = []
        for graph, rows in shots:
            layers = SIZES.expert_layers(graph, level)
            work_s = 0.0 if graph == "few" else expert_flop(SIZES, layers, rows) / 5e6
            pass_s = 1e-4 + layers * (2e-5 + 5e-5) + slower * work_s
            reply.append(
                {"graph": graph, "layers": layers, "rows": rows, "pass_ns": [pass_s * 1e9]}
            )
        replies.append(reply)
    found = operator_rates(probe_of(IN_INT4), replies, SIZES, BASE)
    (call,) = found[call_name(IN_INT4)]
    assert 1 / call.rate_per_s == pytest.approx(5e-5)
    assert [point.rows for point in found[IN_INT4]] == [1, 4, 1]
    for point in found[IN_INT4]:
        assert point.rate_per_s == pytest.approx(5e6, rel=1e-3)
    assert found[IN_INT4][2].size_bytes >= SIZES.chain_bytes


def test_attention_with_capped_scores_keeps_the_depths_of_plain_attention():
    """At the greatest depth half as fast as plain: so it is at the others."""
    depth, prompt = SIZES.depths[-1] + 1, SIZES.prompts[0]
    replies = []
    for slower in (1.0, 1.0001):
        reply = []
        for tokens, seen, rate in ((1, depth, 1e6), (prompt, prompt, 4e5)):
            pass_s = 1e-4 + 3e-5 + slower * attention_flop(SIZES, 1, tokens, seen) / rate
            shot = {"layers": 1, "tokens": tokens, "seen": seen, "pass_ns": [pass_s * 1e9]}
            reply.append(shot)
        replies.append(reply)
    points = operator_rates(probe_of(CAPPED), replies, SIZES, BASE)[CAPPED]
    assert [point.rows for point in points] == [1, 1, prompt]
    rates = [point.rate_per_s for point in points]
    assert rates == pytest.approx([5e5, 1e6, 4e5], rel=1e-3)


def test_operators_join_what_is_stored(tmp_path, monkeypatch):
    """The first model that has them brings them; nothing else is measured again, nothing twice."""
    asked = []

    def replies(key, operators, levels, caches, sizes, seed, log, shares):
        asked.append((tuple(operators), levels))
        return {name: [] for name in operators}, {}

    def measure(*_):
        return structs.replace(BASE, rates={**BASE.rates, "block-4-32": (RatePoint(1e9),)})

    monkeypatch.setattr(calibrate, "measure_constants", measure)
    monkeypatch.setattr(calibrate, "_replies", replies)
    monkeypatch.setattr(
        calibrate, "operator_rates", lambda probe, *_: {probe.name: (RatePoint(3e9),)}
    )
    base = ensure_constants(tmp_path, KEY, ("int4",))
    assert asked == []
    first = ensure_constants(tmp_path, KEY, ("int4",), operators=(DELTA,))
    both = ensure_constants(tmp_path, KEY, ("int4",), operators=(DELTA, SINKS))
    ensure_constants(tmp_path, KEY, ("int4",), operators=(SINKS, DELTA))
    ensure_constants(tmp_path, KEY, ("int4",))
    assert asked == [((DELTA,), ()), ((SINKS,), ())]
    assert set(both.constants.rates) - set(base.constants.rates) == {DELTA, SINKS}
    assert first.constants.rates[DELTA] == both.constants.rates[DELTA]
    assert {**base.constants.rates, DELTA: (), SINKS: ()}.keys() == both.constants.rates.keys()


def test_what_is_measured_anew_keeps_its_operators(tmp_path, monkeypatch):
    """A level that is missing is measured with all that the store holds."""
    asked = []

    def measure(key, levels, sizes, seed, log, caches, shares, operators):
        asked.append(operators)
        names = (*calibrate.kernel_levels(levels), *operators)
        return structs.replace(BASE, rates={**BASE.rates, **dict.fromkeys(names, (RatePoint(1),))})

    monkeypatch.setattr(calibrate, "measure_constants", measure)
    ensure_constants(tmp_path, KEY, ("int4",), operators=(MAMBA,))
    ensure_constants(tmp_path, KEY, ("fp32",), operators=(CAPPED,))
    assert asked == [(MAMBA,), (CAPPED, MAMBA)]
