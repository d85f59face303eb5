"""What the operators of states and caches do silently, and how the graphs keep clear of it."""

from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import pytest
from onnx import helper

from harness.builder.graph.decoder import build_decoder, decoder_model
from harness.builder.graph.geometry import geometry_of
from harness.builder.graph.rules import ALL_LOGITS_FILE
from harness.builder.quantize.levels import LEVELS, find_level
from tests.builder.graph.random_weights import RandomWeights
from tests.builder.graph.run_graph import GraphRun, open_graph
from tests.tiny import SPECS

STATES = [name for name, spec in SPECS.items() if set(spec.layer_pattern) & set("CLMPm")]


@cache
def nodes(name, level="fp32"):
    return decoder_model(SPECS[name], find_level(level), every_position=False).graph.node


def of_kind(name, operator):
    return [node for node in nodes(name) if node.op_type == operator]


def attribute(node, name):
    return next(helper.get_attribute_value(one) for one in node.attribute if one.name == name)


@pytest.mark.parametrize("name", SPECS)
def test_attention_gives_its_present_keys_and_values(name):
    """Without present outputs GroupQueryAttention ignores its past, and says nothing."""
    attentions = of_kind(name, "GroupQueryAttention")
    assert len(attentions) == sum(layer.attends for layer in SPECS[name].layers)
    assert all(len(node.output) == 3 and all(node.output) for node in attentions)


@pytest.mark.parametrize("name", STATES)
def test_recurrences_say_their_scale(name):
    """0 means 1 / sqrt(key width): Mamba-2 wants 1, the delta rule says what it would be."""
    for node in of_kind(name, "LinearAttention"):
        rule = attribute(node, "update_rule").decode()
        width = None if SPECS[name].delta_rule is None else SPECS[name].delta_rule.key_dim
        expected = {"gated": 1.0, "gated_delta": width and width**-0.5}[rule]
        assert attribute(node, "scale") == pytest.approx(expected)


def test_steps_of_time_are_as_long_as_they_are():
    """The class of Nemotron-H clamps those of a prompt from below, and not those of one token."""
    assert not {node.op_type for node in nodes("nemotron_h")} & {"Clip", "Max", "Min", "Where"}


@pytest.mark.parametrize("accuracy", [0, 4])
def test_steps_are_one_pass_but_for_rounded_activations(accuracy, tmp_path):
    """Multiplied as floats they agree; of activations in 8 bits (accuracy level 4) one may fall.

    Where a float differs in its last bit a rounding falls to the other side, and later layers make
    more of it.
    """
    level = LEVELS["int4"]
    body, table = (replace(form, accuracy_level=accuracy) for form in (level.body, level.table))
    level = replace(level, body=body, table=table)
    spec = replace(SPECS["lfm2"], num_layers=12)
    build_decoder(spec, level, RandomWeights(spec), tmp_path)
    ids = np.random.default_rng(1).integers(0, spec.vocab_size, (1, 40))
    session, geometry = open_graph(tmp_path / ALL_LOGITS_FILE), geometry_of(spec, level)
    whole = GraphRun(session, geometry, 1).run(ids)
    run = GraphRun(session, geometry, 1, 40)
    steps = np.concatenate([run.run(ids[:, at : at + 1]) for at in range(40)], axis=1)
    away = float(np.abs(steps - whole).max())
    assert away < (1e-4 if accuracy == 0 else 1.0)


@pytest.mark.parametrize("name", STATES)
def test_operators_of_states_are_those_with_a_kernel(name):
    """The standard's forms (opset 27) are inlined on the CPU, GatedDeltaNet is 4 times slower."""
    model = decoder_model(SPECS[name], find_level("int4"), every_position=False)
    kinds = {"LinearAttention", "CausalConvWithState"}
    found = [node for node in model.graph.node if node.op_type in kinds]
    assert found
    assert {node.domain for node in found} == {"com.microsoft"}
    assert not [node for node in model.graph.node if node.op_type == "GatedDeltaNet"]
    assert next(one.version for one in model.opset_import if not one.domain) < 27


def test_unit_length_has_the_epsilon_of_the_class():
    """Heads are x / sqrt(sum x² + 1e-6): where x is small the epsilon is most of the root."""
    spec = SPECS["qwen3_5"]
    rule = spec.delta_rule
    norm = next(node for node in nodes("qwen3_5") if node.output[0].endswith("unit_heads"))
    weight = next(node for node in nodes("qwen3_5") if node.output[0] == norm.input[1])
    heads = np.random.default_rng(0).standard_normal((1, 2, 2 * rule.key_heads, rule.key_dim))
    heads = (heads * [[[1e-4], [1e-3], [1], [100]]]).astype(np.float32)
    port = helper.make_tensor_value_info
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [weight, norm],
        "unit",
        [port(norm.input[0], floats, list(heads.shape))],
        [port(norm.output[0], floats, list(heads.shape))],
    )
    opset = helper.make_opsetid("", 21)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    (ours,) = open_graph(model.SerializeToString()).run(None, {norm.input[0]: heads})
    expected = heads / np.sqrt((heads.astype(np.float64) ** 2).sum(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


@pytest.mark.parametrize("name", STATES)
def test_every_state_is_read_and_written(name):
    """An input `past.N.x` for each output `present.N.x`, each of one node."""
    read = [one for node in nodes(name) for one in node.input if one.startswith("past.")]
    written = [one for node in nodes(name) for one in node.output if one.startswith("present.")]
    states = [one.replace("past.", "present.") for one in read]
    assert len(set(read)) == len(read) > 0
    assert set(states) <= set(written)
