"""An encoder behind the measuring worker: what is run, what is timed, what is refused."""

import msgspec
import numpy as np
import pytest

from harness.core.errors import UsageError
from harness.engine.encoder import are_embeddings
from harness.engine.encoding import EncoderMeasuring
from harness.engine.workload import Workload
from harness.machine.process.worker import Worker
from harness.results.enums import Kind
from tests.engine.tiny_encoder import OverflowingWeights, TinyEncoder

MODULE = "harness.engine.worker"
LONG_S = 60.0
ENC = {"kind": "enc", "prompt_tokens": 8, "gen_tokens": 0, "depth_tokens": 0, "sequences": 3}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return TinyEncoder(tmp_path_factory.mktemp("tiny"))


def test_an_encoder_test_is_named_by_length_and_batch():
    workload = Workload(Kind.ENCODE, 128, 0, sequences=8)
    assert workload.test == workload.name == "enc128x8"
    assert workload.context_tokens == 128
    assert msgspec.convert(ENC, Workload) == Workload(Kind.ENCODE, 8, 0, sequences=3)


def test_a_batch_gives_what_each_text_gives(tiny):
    encoder = tiny.open()
    ids = np.arange(24, dtype=np.int64).reshape(3, 8)
    together = encoder.encode(ids).copy()
    alone = np.concatenate([encoder.encode(row[None]).copy() for row in ids])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)


def test_hidden_tokens_change_nothing(tiny):
    """The last three tokens are masked: the embedding is that of the first five."""
    encoder = tiny.open()
    ids = np.arange(8, dtype=np.int64)[None]
    masked = encoder.encode(ids, np.array([[1] * 5 + [0] * 3])).copy()
    np.testing.assert_allclose(masked, encoder.encode(ids[:, :5]), rtol=0, atol=1e-6)


def test_a_mask_does_not_outlive_its_pass(tiny):
    encoder = tiny.open()
    ids = np.arange(8, dtype=np.int64)[None]
    before = encoder.encode(ids).copy()
    encoder.encode(ids, np.array([[1] * 5 + [0] * 3]))
    np.testing.assert_array_equal(encoder.encode(ids), before)


@pytest.mark.parametrize(
    ("ids", "mask", "message"),
    [
        (np.zeros(8, np.int64), None, "shape"),
        (np.zeros((1, 8), np.int32), None, "int32"),
        (np.zeros((0, 8), np.int64), None, "shape"),
        (np.full((1, 8), 96), None, "leave the vocabulary"),
        (np.full((1, 8), -1), None, "leave the vocabulary"),
        (np.zeros((1, 33), np.int64), None, "33 tokens do not fit"),
        (np.zeros((1, 8), np.int64), np.ones((1, 7), np.int64), "mask"),
    ],
)
def test_what_the_graph_cannot_read_is_refused(tiny, ids, mask, message):
    with pytest.raises(UsageError, match=message):
        tiny.open().encode(ids, mask)


class Ticking:
    """A clock that moves one ms between two reads, and counts them."""

    def __init__(self):
        self.reads = 0

    def __call__(self):
        self.reads += 1
        return self.reads * 1_000_000


def test_only_the_run_stands_between_two_clock_reads(tiny):
    """Five passes of two reads each, one before and one after them: every pass takes one tick."""
    clock = Ticking()
    measuring = EncoderMeasuring(tiny.open(), seed=0, clock=clock)
    samples = measuring.sample(msgspec.convert(ENC, Workload), min_passes=5, min_seconds=1e-9)
    assert [outcome.sample.encode_ns for outcome in samples.passes] == [1_000_000] * 5
    assert clock.reads == 1 + 2 * 5 + 1
    assert all(outcome.finite for outcome in samples.passes)


def test_a_vector_of_zeros_is_no_embedding():
    """A norm that overflows leaves zeros behind, which are finite."""
    vectors = np.array([[0.6, 0.8], [0.0, 0.0], [np.nan, 1.0], [np.inf, 0.0]], np.float32)
    assert are_embeddings(vectors).tolist() == [True, False, False, False]


def test_the_worker_serves_an_encoder(tiny):
    with Worker.start(MODULE) as worker:
        opened = worker.ask(
            "open", LONG_S, capacity_tokens=8, first=ENC, **tiny.session_arguments()
        )
        warm = worker.ask("warm", LONG_S, workload=ENC, cap_s=0.2)
        sample = worker.ask("sample", LONG_S, workload=ENC, min_passes=3, min_seconds=0.01)
        worker.ask("close", LONG_S)
    assert opened["first_ns"] > 0
    assert opened["placement"]["verdict"] == "FULL"
    assert warm["calls"] > 0
    assert len(sample["encode_ns"]) >= 3
    assert min(sample["encode_ns"]) > 0
    assert sample["finite"]
    assert "prefill_ns" not in sample


def test_two_processes_give_one_digest(tiny):
    digests = []
    for _ in range(2):
        with Worker.start(MODULE) as worker:
            worker.ask("open", LONG_S, capacity_tokens=8, **tiny.session_arguments())
            reply = worker.ask("sample", LONG_S, workload=ENC, min_passes=1, min_seconds=0.001)
            digests.append(reply["digest"])
    assert digests[0] == digests[1]


def test_the_memory_of_an_encoder_is_taken(tiny):
    with Worker.start(MODULE) as worker:
        reply = worker.ask("memory", LONG_S, workload=ENC, **tiny.session_arguments())
    assert reply["peak_bytes"] >= reply["steady"]["rss_bytes"] >= reply["baseline"]["rss_bytes"] > 0


def test_embeddings_that_are_no_numbers_are_said(tmp_path):
    broken = TinyEncoder(tmp_path, weights=OverflowingWeights)
    with Worker.start(MODULE) as worker:
        worker.ask("open", LONG_S, capacity_tokens=8, **broken.session_arguments())
        reply = worker.ask("sample", LONG_S, workload=ENC, min_passes=1, min_seconds=0.001)
    assert not reply["finite"]
