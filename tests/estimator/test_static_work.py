"""What a static decoder has to do, against the nodes of its graphs and sums by hand."""

import pytest

from harness.builder.graph.static.decoder import static_model
from harness.builder.graph.static.geometry import (
    PREFILL_FILE,
    STEP_FILE,
    check_static,
    static_geometry,
)
from harness.builder.quantize.levels import find_level
from harness.core.errors import ModelError
from harness.estimator.cell import CellLengths, bandwidth_only, static_estimate
from harness.estimator.record import record_estimates
from harness.estimator.rules import HardwarePeaks
from harness.estimator.static import (
    StaticLengths,
    static_operator_calls,
    static_prefill,
    static_step,
)
from harness.models.catalog.catalog import load_spec
from harness.models.specs.dissect import spec_structure
from tests.tiny import SPECS

SMOLLM = spec_structure(load_spec("smollm2-135m"))
SHAPES = StaticLengths(prefill_tokens=128, capacity_tokens=192)
SECOND = bandwidth_only(read_bytes_per_s=1.0, operator_s=0.0)  # a byte a second


def built(spec):
    try:
        check_static(spec)
    except ModelError:
        return False
    return True


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if built(spec)])
def test_operators_are_the_nodes_of_the_float_graphs(name):
    """Of the step; the prefill picks its last token besides. Constants are no calls."""
    spec, level = SPECS[name], find_level("fp32-static")
    geometry = static_geometry(spec, level, 8, 16)
    counts = []
    for file in (STEP_FILE, PREFILL_FILE):
        model, _observed = static_model(spec, level, geometry, {}, file)
        counts.append(sum(node.op_type != "Constant" for node in model.graph.node))
    assert counts == [static_operator_calls(spec), static_operator_calls(spec) + 1]


def terms(breakdown):
    return {term.work.name: term.work for term in breakdown.terms}


@pytest.mark.parametrize(("level", "value_bytes"), [("fp32-static", 4), ("a16w8", 1), ("a8w8", 1)])
def test_a_step_reads_the_whole_cache_once_per_key_head(level, value_bytes):
    """30 layers of 3 key heads of 64: 11,520 values a token, 192 positions."""
    found = terms(static_step(SMOLLM, find_level(level), SECOND, SHAPES))
    assert found["attention"].read_bytes == 11_520 * 192 * value_bytes
    assert found["mask"].read_bytes == 4 * 193
    assert found["cache written"].read_bytes == 3 * 11_520 * value_bytes
    assert found["attention"].flop == 4 * 30 * 9 * 64 * 193


def test_weights_are_read_as_stored():
    """SmolLM2-135M: 106,168,320 bytes of layers, a scale an output; a tied table of 49,152 rows."""
    found = terms(static_step(SMOLLM, find_level("a8w8"), SECOND, SHAPES))
    outputs = 30 * (576 + 192 + 192 + 576 + 1536 + 1536 + 576)
    assert found["body"].read_bytes == 106_168_320 + 4 * outputs
    assert found["head"].read_bytes == pytest.approx(49_152 * 576, rel=1e-6)
    assert found["choice of a token"].read_bytes == 4 * 49_152


@pytest.mark.parametrize(
    ("prompt", "passes", "steps"), [(1, 0, 1), (2, 1, 0), (128, 1, 0), (129, 1, 1), (130, 2, 0)]
)
def test_padded_passes_are_whole_passes(prompt, passes, steps):
    """What is read and computed does not ask how many tokens of a pass are no padding."""
    level = find_level("a8w8")
    whole = static_prefill(SMOLLM, level, SECOND, SHAPES, 128)
    step = static_step(SMOLLM, level, SECOND, SHAPES)
    found = static_prefill(SMOLLM, level, SECOND, SHAPES, prompt)
    assert found.read_bytes == passes * whole.read_bytes + steps * step.read_bytes
    done = sum(term.work.flop for term in found.terms)
    assert done == passes * sum(t.work.flop for t in whole.terms) + steps * step.flop
    assert found.flop <= done


def test_a_step_has_a_time_and_a_prompt_has_none():
    """Nothing bounds what is computed; the sizes are known."""
    lengths = CellLengths(prompt_tokens=128, gen_tokens=9, static=SHAPES)
    level = find_level("a16w8")
    found = static_estimate(SMOLLM, level, bandwidth_only(10e9), lengths)
    step = found.times["decode step"]
    assert found.values["decode_tok_s"] == pytest.approx(1 / step.seconds)
    assert {"prefill_ms", "ttft_ms", "e2e_ms", "peak_rss_bytes"}.isdisjoint(found.values)


def test_a_record_holds_the_simple_estimates_and_the_counted_one():
    lengths = CellLengths(prompt_tokens=0, gen_tokens=9, static=SHAPES)
    found = record_estimates(SMOLLM, find_level("a8w8"), lengths, HardwarePeaks(10e9))
    assert set(found.by_metric["decode_tok_s"]) == {"params", "rule_of_thumb", "structure"}
    assert found.by_metric["decode_tok_s"]["params"] == pytest.approx(10e9 / 134_515_008)
    assert found.explanation.estimator == "structure"
