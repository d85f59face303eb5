"""The driver of a static decoder against that of the fused one."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from harness.builder.graph.geometry import geometry_from
from harness.builder.graph.static.geometry import PREFILL_FILE, static_geometry
from harness.builder.quantize.levels import find_level
from harness.core.errors import UsageError
from harness.devices.device import find_device
from harness.devices.placement import together
from harness.engine.decoder import DecoderSession
from harness.engine.measuring import Measuring
from harness.engine.opening import open_decoder, open_sessions
from harness.engine.passes import run_pass
from harness.engine.profiling import profile
from harness.engine.worker import MeasuringChild
from harness.engine.workload import Workload
from harness.models.weights.seeded import SeededWeights
from harness.results.enums import SINGLE_PASS, Kind
from harness.store.static_build import build_static_decoder, seeded_calibration
from tests.engine.tiny_decoder import SPEC, TinyDecoder

PREFILL_TOKENS, CAPACITY_TOKENS = 8, 48


def open_static(folder, level="fp32-static", spec=SPEC):
    """Build one and open both of its graphs."""
    row = find_level(level)
    geometry = static_geometry(spec, row, PREFILL_TOKENS, CAPACITY_TOKENS)
    weights, ids = SeededWeights(spec, 0), seeded_calibration(spec, geometry, 0)
    build_static_decoder(spec, row, weights, folder, PREFILL_TOKENS, CAPACITY_TOKENS, ids)
    sessions = open_sessions(folder / PREFILL_FILE, geometry, find_device("cpu"), threads=1)
    return open_decoder(sessions, geometry, batch=1, capacity_tokens=CAPACITY_TOKENS)


@pytest.fixture(scope="module")
def fused(tmp_path_factory):
    tiny = TinyDecoder(tmp_path_factory.mktemp("fused"))
    return DecoderSession(tiny.open(), tiny.geometry, 1, CAPACITY_TOKENS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("static")


@pytest.fixture(scope="module")
def static(folder):
    return open_static(folder)


def random_ids(tokens, seed=1):
    return np.random.default_rng(seed).integers(0, SPEC.vocab_size, (1, tokens))


@pytest.mark.parametrize("prompt", [1, 5, 8, 9, 17, 24])
def test_prompts_of_any_length_and_steps_agree_with_the_fused_decoder(fused, static, prompt):
    """Shorter than a pass, one pass, and several with a last one of one token or more."""
    ids = random_ids(prompt + 4)
    for decoder in (fused, static):
        decoder.rewind(0)
    for piece in (ids[:, :prompt], ids[:, prompt : prompt + 1], ids[:, prompt + 1 :]):
        theirs = fused.prefill(piece)
        np.testing.assert_allclose(static.prefill(piece), theirs, rtol=0, atol=1e-4)
    assert static.depth_tokens == fused.depth_tokens == prompt + 4


def test_a_full_cache_is_read_to_its_last_position(fused, static):
    """48 tokens; the padding of the last pass would stand behind the end."""
    ids = random_ids(CAPACITY_TOKENS)
    for decoder in (fused, static):
        decoder.rewind(0)
    theirs = fused.prefill(ids[:, :45])
    np.testing.assert_allclose(static.prefill(ids[:, :45]), theirs, rtol=0, atol=1e-4)
    theirs = fused.prefill(ids[:, 45:])
    np.testing.assert_allclose(static.prefill(ids[:, 45:]), theirs, rtol=0, atol=1e-4)
    with pytest.raises(UsageError, match="do not fit a cache of 48"):
        static.greedy_step()


@pytest.mark.parametrize("window", [3, 8, 11])
def test_a_window_moves_over_passes_and_steps(tmp_path, window):
    """Read at once in passes, or token by token: the same logits, whatever has been forgotten."""
    decoder = open_static(tmp_path, spec=replace(SPEC, sliding_window_tokens=window))
    ids = random_ids(21)
    at_once = decoder.prefill(ids).copy()
    decoder.rewind(0)
    for k in range(21):
        one_by_one = decoder.step(ids[:, k : k + 1])
    np.testing.assert_allclose(one_by_one, at_once, rtol=0, atol=1e-5)


@pytest.mark.parametrize("level", ["fp32-static", "a16w8", "a8w8"])
def test_after_a_rewind_nothing_is_left_of_what_was_forgotten(tmp_path, level):
    """The same bits at every level, from a cache that held something else."""
    decoder = open_static(tmp_path, level)
    ids = random_ids(12)
    first = decoder.prefill(ids).copy()
    decoder.rewind(3)
    decoder.prefill(random_ids(30, seed=2))
    decoder.rewind(0)
    np.testing.assert_array_equal(decoder.prefill(ids), first)


def test_greedy_steps_are_prefills_of_what_was_chosen(static):
    """Four steps; the history holds the choices, and the fifth one."""
    static.rewind(0)
    static.prefill(random_ids(6))
    static.pick_greedy()
    static.prepare_steps(6, 4)
    for _ in range(4):
        static.greedy_step()
    chosen, last = static.chosen(6, 5), static.last_logits.copy()
    assert chosen[4, 0] == last.argmax()
    static.rewind(6)
    np.testing.assert_allclose(static.prefill(chosen[:4].T)[:, 0], last, rtol=0, atol=1e-5)


ANSWERING = (Kind.REQUEST, Kind.TURN)  # those that generate behind a prompt


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in SINGLE_PASS])
def test_the_passes_of_the_worker_run_on_it_as_on_the_fused_one(fused, static, kind):
    """The same tokens of every kind of test, from a clock that only counts its reads."""
    prompt, gen = (0, 5) if kind is Kind.DECODE else (11, 5 if kind in ANSWERING else 0)
    workload = Workload(kind, prompt, gen)
    outcomes = []
    for decoder in (fused, static):
        decoder.rewind(0)
        ids = Measuring(decoder, 3).ids(workload)
        outcomes.append(run_pass(decoder, workload, ids, iter(range(1, 99)).__next__))
    assert outcomes[0].finite
    assert outcomes[1] == replace(outcomes[0], tokens=outcomes[1].tokens)
    np.testing.assert_array_equal(outcomes[0].tokens, outcomes[1].tokens)


@pytest.mark.parametrize("level", ["fp32-static", "a8w8"])
def test_a_filled_cache_is_the_same_for_the_same_seed(tmp_path, level):
    decoder, ids = open_static(tmp_path, level), random_ids(3)
    logits = []
    for seed in (1, 2, 1):
        decoder.fill(20, seed)
        assert decoder.depth_tokens == 20
        logits.append(decoder.prefill(ids).copy())
    np.testing.assert_array_equal(logits[0], logits[2])
    assert np.abs(logits[0] - logits[1]).max() > 0.01
    assert np.isfinite(logits).all()


def test_what_it_cannot_do_is_said(static):
    static.rewind(0)
    for ids, words in (
        (np.zeros((2, 3), np.int64), r"\[2, 3\]"),
        (np.full((1, 3), SPEC.vocab_size), "leave the vocabulary"),
        (random_ids(49), "do not fit a cache of 48"),
    ):
        with pytest.raises(UsageError, match=words):
            static.prefill(ids)
    with pytest.raises(UsageError, match="cannot be cut to 1"):
        static.rewind(1)
    with pytest.raises(UsageError, match="do not fit"):
        static.prepare_steps(40, 9)


def test_a_profile_is_of_both_graphs(static, folder):
    """A request of 11 tokens: 2 passes of 8 and 3 steps; 2 of 3 requests count."""
    fields = asdict(static.geometry), "cpu", 1, 1
    request = Workload(Kind.REQUEST, 11, 4)
    found = profile(str(folder / PREFILL_FILE), *fields, workload=request, seed=0)
    assert found.runs == 2 * (2 + 3)


def test_load_and_placement_are_those_of_both_graphs(static, folder):
    """What the worker says of a static decoder that it has opened."""
    child = MeasuringChild()
    said = child.open(
        str(folder / PREFILL_FILE), asdict(static.geometry), "cpu", 1, 1, CAPACITY_TOKENS, seed=0
    )
    whole = together([opened.placement for opened in static.sessions])
    assert said.placement == whole
    assert said.load_ns == sum(one.load_ns for one in child._measuring().sessions)


@pytest.mark.parametrize(("batch", "tokens"), [(2, 10), (1, CAPACITY_TOKENS + 1)])
def test_more_than_it_was_built_for_is_refused(static, batch, tokens):
    with pytest.raises(UsageError, match=f"{tokens} tokens of {batch} sequences do not fit"):
        open_decoder(static.sessions, static.geometry, batch, tokens)


def test_its_shapes_travel(static):
    assert geometry_from(asdict(static.geometry)) == static.geometry
