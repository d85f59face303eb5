"""The self-test against runs that return before the device is done."""

from types import SimpleNamespace

import numpy as np
import pytest

from harness.core.errors import EXIT_CELLS, MeasurementError
from harness.core.units import NS_PER_MS, NS_PER_US
from harness.devices.device import find_device
from harness.engine.completion import is_finished, refuse_unfinished, refuse_unwritten
from harness.engine.encoding import EncoderMeasuring
from harness.engine.workload import Workload
from harness.results.enums import Kind

MS = NS_PER_MS
TEST = Workload(Kind.DECODE, 0, 2)


@pytest.mark.parametrize(
    ("after_ns", "idle_ns", "run_ns", "finished"),
    [
        (9.07 * MS, 0.3 * MS, 0.65 * MS, False),  # the provider that was caught doing this
        (0.42 * MS, 0.21 * MS, 68 * MS, True),  # the same one with logits in the host's memory
        (4 * MS, 0.2 * MS, 100 * MS, True),  # 4 % of the run: noise
        (30 * MS, 0.2 * MS, 100 * MS, False),
        (400 * NS_PER_US, 10 * NS_PER_US, 1 * MS, True),  # below the floor nothing can be told
    ],
)
def test_a_copy_that_waits_for_work_is_found(after_ns, idle_ns, run_ns, finished):
    assert is_finished([after_ns] * 3, [idle_ns] * 3, [run_ns] * 3) is finished


def test_a_busy_machine_is_no_device_that_returns_early():
    """Four of five copies are held up by others; work of the device would hold up all five."""
    held_up = [40 * MS] * 4 + [MS]
    assert is_finished(held_up, [MS] * 5, [MS] * 5)


class FakeMeasuring:
    """A decoder on a row whose first copy after a run takes as long as it is told."""

    def __init__(self, key, first_copy_ns):
        self.now_ns = 0
        self.copies_ns = [first_copy_ns, MS] * 5
        self.runs = 0
        device = find_device(key)
        self.sessions = (SimpleNamespace(device=device),)
        memory = device.row.memory
        self.decoder = SimpleNamespace(cache_memory=memory, download=self._download)

    def clock(self):
        return self.now_ns

    def first(self, workload):
        self.runs += 1
        return MS

    def _download(self):
        self.now_ns += self.copies_ns.pop(0)


def test_a_run_that_returns_early_is_refused():
    with pytest.raises(MeasurementError, match="returns before the device is done") as caught:
        refuse_unfinished(FakeMeasuring("webgpu", 20 * MS), TEST)
    assert caught.value.exit_code == EXIT_CELLS


def test_a_run_that_waits_is_accepted():
    measuring = FakeMeasuring("webgpu", MS)
    refuse_unfinished(measuring, TEST)
    assert measuring.runs == 5


class FakeEncoderSession:
    """Embeddings that arrive with the run, or only by a later one."""

    def __init__(self, arrives):
        self.embeddings = np.zeros((2, 4), np.float32)
        self.sessions = (SimpleNamespace(device=find_device("webgpu")),)
        self.vocab_size = 9
        self.arrives = arrives
        self.runs = 0

    def feed(self, ids):
        assert ids.shape == (2, 8)

    def run(self):
        self.runs += 1
        if self.arrives:
            self.embeddings[...] = 1


ENCODE = Workload(Kind.ENCODE, 8, 0, sequences=2)


def test_an_encoder_whose_result_comes_after_the_return_is_refused():
    measuring = EncoderMeasuring(FakeEncoderSession(arrives=False), seed=0)
    with pytest.raises(MeasurementError, match="before its embeddings are in the host's memory"):
        refuse_unwritten(measuring, ENCODE)


def test_an_encoder_whose_result_is_there_is_accepted():
    encoder = FakeEncoderSession(arrives=True)
    refuse_unwritten(EncoderMeasuring(encoder, seed=0), ENCODE)
    assert encoder.runs == 5


def test_an_encoder_on_the_cpu_needs_no_try():
    encoder = FakeEncoderSession(arrives=False)
    encoder.sessions = (SimpleNamespace(device=find_device("cpu")),)
    refuse_unwritten(EncoderMeasuring(encoder, seed=0), ENCODE)
    assert encoder.runs == 0


def test_a_row_in_the_hosts_memory_needs_no_try():
    measuring = FakeMeasuring("cpu", MS)
    refuse_unfinished(measuring, TEST)
    assert measuring.runs == 0
