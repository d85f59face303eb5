"""Exported models behind the measuring worker: what torch computes, in passes and in steps."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from harness.builder.graph.static.geometry import TextShape
from harness.devices.device import find_device
from harness.engine.agreement import _outputs, cosine
from harness.engine.exported.inputs import pass_inputs
from harness.engine.exported.opening import open_exported_decoder, opened_graphs
from harness.engine.exported.single import SinglePass
from harness.engine.exported.values import value_of
from harness.engine.steps_check import bound_of, steps_check
from harness.engine.worker import MeasuringChild
from harness.engine.workload import Workload
from harness.models.exported.model import ExportedKind
from harness.models.exported.sizes import Reading
from tests.engine.exported import ALL, BROKEN, expected_of, geometry_of, inputs_of, sessions_of
from tests.engine.exported import session_arguments as arguments_of

CPU = find_device("cpu")

DECODERS = [name for name in ALL if expected_of(name)["recipe"]["export"]["kind"] == "decoder"]
PAIRS = ["optimum/t5-merged", "optimum/t5-separate", "optimum/whisper-merged"]
ONE_PASS = [name for name in ALL if name not in (*DECODERS, *PAIRS)]
# Largest difference of a logit from torch's in float32: what the stored type leaves.
TOLERANCE = {"fp32": 5e-3, "fp16": 2e-2, "int8": 0.5, "int4": 2.0}
CAPACITY = 24


def tolerance_of(name):
    word = geometry_of(name).model.level.split()[0]
    return TOLERANCE[word]


@pytest.mark.parametrize("name", [name for name in DECODERS if name not in BROKEN])
def test_a_decoder_gives_what_torch_gives(name):
    """Whole, as a prompt with steps behind it, and by the steps that are timed."""
    ids, expected = inputs_of(name)["input_ids"], np.array(expected_of(name)["outputs"]["logits"])
    decoder = open_exported_decoder(sessions_of(name), geometry_of(name), 1, CAPACITY, None)
    near = {"rtol": 0, "atol": tolerance_of(name)}
    np.testing.assert_allclose(decoder.read_whole(ids), expected[:, -1], **near)
    decoder.rewind(0)
    np.testing.assert_allclose(decoder.prefill(ids[:, :6])[:, 0], expected[:, 5], **near)
    for at in range(6, ids.shape[1]):
        found = decoder.prefill(ids[:, at : at + 1])[:, 0]
        np.testing.assert_allclose(found, expected[:, at], **near)
    decoder.rewind(6)
    decoder.prepare_steps(6, 2)
    decoder.next_ids[...] = ids[:, 6]
    decoder.greedy_step()
    np.testing.assert_allclose(decoder.last_logits, expected[:, 6], **near)
    assert decoder.next_ids[0] == decoder.last_logits[0].argmax()


@pytest.mark.parametrize("name", PAIRS)
def test_a_decoder_beside_an_encoder_gives_what_torch_gives(name):
    """What the encoder gives of the reference's input is what the steps look at."""
    inputs, expected = inputs_of(name), np.array(expected_of(name)["outputs"]["logits"])
    geometry, sessions = geometry_of(name), sessions_of(name)
    graphs = opened_graphs(geometry)
    encoder = SinglePass(sessions[0], graphs[0])
    given = {key: value for key, value in inputs.items() if key != "decoder_input_ids"}
    if "input_ids" in given:
        given["attention_mask"] = np.ones_like(given["input_ids"])
    else:
        given = {key: value.astype(np.float32) for key, value in given.items()}
    hidden = encoder.run_plainly(given)
    source = {"encoder_hidden_states": value_of(hidden)}
    source["encoder_attention_mask"] = value_of(np.ones(hidden.shape[:2], np.int64))
    ids = inputs["decoder_input_ids"]
    decoder = open_exported_decoder(sessions, geometry, 1, CAPACITY, source)
    decoder._prefix[...] = ids[:, :1]
    decoder.fill(0, seed=0)
    for at in range(1, ids.shape[1]):
        found = decoder.prefill(ids[:, at : at + 1])[:, 0]
        np.testing.assert_allclose(found, expected[:, at], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ONE_PASS)
def test_one_pass_gives_what_torch_gives(name):
    """Reference inputs, masks with hidden tokens among them; every output that torch has."""
    inputs, geometry = inputs_of(name), geometry_of(name)
    (opened,), (graph,) = sessions_of(name), opened_graphs(geometry)
    given = {key: value for key, value in inputs.items() if key in {p.name for p in graph.inputs}}
    for port in graph.inputs:
        if port.name not in given:
            given[port.name] = np.zeros(inputs["input_ids"].shape, np.int64)
    given = {
        key: value.astype(np.float32) if value.dtype.kind == "f" else value
        for key, value in given.items()
    }
    for key, expected in expected_of(name)["outputs"].items():
        (found,) = opened.session.run([key], given)
        np.testing.assert_allclose(found, np.array(expected), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in ALL if name not in BROKEN])
def test_the_worker_measures_every_kind(name):
    """Open, warm, sample: durations of the test's kind, and outputs that are numbers."""
    child, kind = MeasuringChild(), geometry_of(name).model.kind
    tests = [_test_of(kind)]
    if kind is ExportedKind.ENCODER_DECODER:
        tests.append(_workload("tg", gen=3))
    tests = msgspec.convert(tests, list[Workload])
    child.open(capacity_tokens=CAPACITY, first=tests[0], **arguments_of(name))
    for test in tests:
        child.warm(test, cap_s=0.01)
        found = child.sample(test, min_passes=2, min_seconds=0.0)
        assert found.finite
        assert len(found.itl_ns if test.gen_tokens else found.encode_ns) == 2


@pytest.mark.parametrize("name", [name for name in (*DECODERS, *PAIRS) if name not in BROKEN])
def test_steps_continue_the_prompt(name):
    """The check of the runner: tight for floats, within the stated bound for integers."""
    if geometry_of(name).model.kind is ExportedKind.DECODER_WITHOUT_PAST:
        pytest.skip("no steps to check")
    found = steps_check(**arguments_of(name))
    assert found.agrees
    assert found.bound == bound_of(geometry_of(name))


@pytest.mark.parametrize("name", ["genai/llama-int4", "optimum/t5-separate", "optimum/clip"])
def test_what_devices_are_held_against_is_always_the_same(name):
    """Any device has to give these outputs; the CPU gives them twice."""
    shapes = geometry_of(name)
    first, second = (
        _outputs(shapes.model.path(shapes.model.main), shapes, CPU, 1, 0, TextShape(8, 1))
        for _ in range(2)
    )
    assert len(first) > 3
    assert min(cosine(one, other) for one, other in zip(first, second, strict=True)) > 0.9999


def test_a_wrong_cache_is_found():
    """Steps that are fed another depth's positions differ from the whole pass."""
    name = "optimum/llama-past"
    ids = inputs_of(name)["input_ids"]
    decoder = open_exported_decoder(sessions_of(name), geometry_of(name), 1, CAPACITY, None)
    whole = decoder.read_whole(ids).copy()
    decoder.fill(ids.shape[1] - 1, seed=3)
    step = decoder.prefill(ids[:, -1:])[:, 0]
    assert np.abs(whole - step).max() / np.abs(whole).max() > bound_of(geometry_of(name))


def test_a_pass_is_fed_what_its_test_asks():
    """Two images; of the size that --dim says where it says one."""
    geometry = geometry_of("optimum/vit")
    (graph,) = opened_graphs(geometry)
    name = graph.inputs[0].name
    fed = pass_inputs(graph, geometry, Reading("--img 2", 2), seed=0)[name]
    assert fed.shape == (2, 3, *geometry.model.image_size)
    sized = replace(geometry, dims=(("height", 16), ("width", 20)))
    assert pass_inputs(graph, sized, Reading(), seed=0)[name].shape == (1, 3, 16, 20)


def _test_of(kind):
    """A test that a model of this kind can run."""
    if kind in (ExportedKind.DECODER, ExportedKind.DECODER_WITHOUT_PAST):
        return _workload("pg", prompt=5, gen=3)
    if kind is ExportedKind.VISION:
        return _workload("img", sequences=2)
    tokens = 32 if kind is ExportedKind.ENCODER_DECODER else 8
    return _workload("enc", prompt=tokens, sequences=2)


def _workload(kind, prompt=0, gen=0, sequences=1):
    lengths = {"prompt_tokens": prompt, "gen_tokens": gen, "depth_tokens": 0}
    return {"kind": kind, **lengths, "sequences": sequences}
