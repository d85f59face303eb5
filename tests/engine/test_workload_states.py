"""Decoders that keep states: run in place, rewound, and filled by running tokens."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from harness.builder.graph.decoder import build_decoder
from harness.builder.graph.geometry import geometry_from, geometry_of
from harness.builder.graph.rules import ALL_LOGITS_FILE, GRAPH_FILE
from harness.builder.quantize.levels import find_level
from harness.devices.device import find_device
from harness.devices.session import open_session
from harness.engine.decoder import DecoderSession
from harness.engine.growing import GrowingDecoder
from harness.engine.passes import run_pass
from harness.engine.workload import Workload
from harness.models.weights.seeded import SeededWeights
from harness.results.enums import Kind
from tests.tiny import SPECS

FAMILIES = [name for name, spec in SPECS.items() if geometry_of(spec, find_level("fp32")).states]
BATCHES = [1, 3]


class Built:
    """One family at fp32, and what opens it."""

    def __init__(self, name, folder, level="fp32"):
        spec, row = SPECS[name], find_level(level)
        build_decoder(spec, row, SeededWeights(spec, 0), folder)
        self.geometry, self._folder = geometry_of(spec, row), folder
        self.ids = np.random.default_rng(3).integers(0, spec.vocab_size, (3, 40))

    def open(self, file=GRAPH_FILE):
        return open_session(self._folder / file, find_device("cpu"), threads=1)

    def decoder(self, batch=1):
        return DecoderSession(self.open(), self.geometry, batch, 40)


@pytest.fixture(scope="module", params=FAMILIES)
def built(request, tmp_path_factory):
    return Built(request.param, tmp_path_factory.mktemp(request.param))


def read(decoder, ids, sizes):
    """The last token's logits of passes of these sizes."""
    found, at = [], 0
    for size in sizes:
        found.append(decoder.prefill(ids[:, at : at + size]).copy())
        at += size
    return np.concatenate(found, axis=1)


@pytest.mark.parametrize("batch", BATCHES)
def test_in_place_is_growing_bit_for_bit(built, batch):
    """One buffer as past and present gives what two buffers give: a prompt, then 16 steps."""
    ids, sizes = built.ids[:batch], (12, *[1] * 16)
    growing = GrowingDecoder(built.open(), built.geometry, batch)
    np.testing.assert_array_equal(read(built.decoder(batch), ids, sizes), read(growing, ids, sizes))


@pytest.mark.parametrize("batch", BATCHES)
def test_pieces_of_a_prompt_give_the_whole(built, batch):
    """9 + 8 + 1 + 3 + 1 tokens, sequence after sequence, beside one pass over all of them."""
    ids = built.ids[:batch, :22]
    whole = GrowingDecoder(built.open(ALL_LOGITS_FILE), built.geometry, batch).prefill(ids)
    pieces = read(built.decoder(batch), ids, (9, 8, 1, 3, 1))
    np.testing.assert_allclose(pieces, whole[:, [8, 16, 17, 20, 21]], rtol=0, atol=1e-4)


@pytest.mark.parametrize("depth", [0, 5, 12])
def test_rewinding_brings_the_states_back(built, depth):
    """What follows a rewind is what followed the first time, again and again."""
    decoder = built.decoder()
    if depth:
        read(decoder, built.ids[:1], (depth,))
    first = read(decoder, built.ids[:1, depth:], (7, 1, 1))
    for _ in range(2):
        decoder.rewind(depth)
        again = read(decoder, built.ids[:1, depth:], (7, 1, 1))
        np.testing.assert_allclose(again, first, rtol=0, atol=1e-5)


def test_what_was_kept_is_not_taken_for_other_tokens(built):
    """A prompt as long as the one before: its own states, not those that were kept."""
    decoder, fresh = built.decoder(), built.decoder()
    read(decoder, built.ids[:1], (8, 1))
    decoder.rewind(8)
    decoder.rewind(0)
    read(decoder, built.ids[1:2], (8, 1))
    decoder.rewind(8)
    read(fresh, built.ids[1:2], (8,))
    step = built.ids[2:, :1]
    np.testing.assert_allclose(decoder.step(step), fresh.step(step), rtol=0, atol=1e-5)


def test_depth_is_made_by_running_tokens(built):
    """The same seed, the same states; they are those of tokens, so logits are numbers."""
    one, other = built.decoder(3), built.decoder(3)
    for decoder in (one, other):
        decoder.fill(20, 7)
        assert decoder.depth_tokens == 20
    step = built.ids[:, :1]
    np.testing.assert_array_equal(one.step(step), other.step(step))
    other.fill(20, 8)
    assert np.abs(one.last_logits - other.step(step)[:, 0]).max() > 1e-3
    other.fill(0, 7)
    assert other.depth_tokens == 0


def test_every_pass_of_a_test_chooses_the_same_tokens(built):
    """Requests and steps from a depth, timed as they are: states are back before each."""
    decoder = built.decoder()
    request, steps = Workload(Kind.REQUEST, 6, 4), Workload(Kind.DECODE, 0, 5, 9)
    for workload, ids in ((request, built.ids[:1, :6]), (steps, built.ids[:1, :1])):
        decoder.fill(workload.depth_tokens, 1)
        digests = {run_pass(decoder, workload, ids).digest for _ in range(3)}
        assert len(digests) == 1


def test_a_geometry_travels_with_its_states(built):
    """As JSON, to the measuring worker and into a record of the cache."""
    travelled = json.loads(json.dumps(asdict(built.geometry)))
    assert geometry_from(travelled) == built.geometry
    assert built.geometry.state_bytes == 4 * sum(
        int(np.prod(held.shape(1, 0))) for held in built.geometry.held if not held.grows
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_states_stay_float32_where_activations_are_half(name, tmp_path):
    built = Built(name, tmp_path, "fp16")
    assert {held.dtype for held in built.geometry.held if not held.grows} == {"float32"}
    assert np.isfinite(read(built.decoder(), built.ids[:1], (12, 1, 1))).all()
