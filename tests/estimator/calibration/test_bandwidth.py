"""Read bandwidth: arithmetic on known passes, and the real child process once."""

import pytest

from harness.estimator.calibration import bandwidth
from harness.estimator.calibration.bandwidth import measure_read_bandwidth, read_bytes_per_s
from harness.results.replies import MemoryRead


def reply(*passes_ns, size=1000):
    return MemoryRead(threads=1, bytes=size, pass_ns=list(passes_ns))


def test_rate_is_bytes_over_the_median_pass():
    """1000 bytes in 100 ns are 10 GB/s; one slow pass of 900 ns changes nothing."""
    assert read_bytes_per_s([reply(100, 100, 900)]) == pytest.approx(10e9)


def test_centre_is_the_median_over_processes():
    """Processes at 10, 20 and 5 GB/s: 10; of the first two: 15."""
    replies = [reply(100), reply(50), reply(200)]
    assert read_bytes_per_s(replies) == pytest.approx(10e9)
    assert read_bytes_per_s(replies[:2]) == pytest.approx(15e9)


def test_no_process_is_no_number():
    assert read_bytes_per_s([]) is None


def test_child_reads_every_byte(monkeypatch):
    """A small vector through the real child: the bytes it reports are those it was asked for."""
    monkeypatch.setattr(bandwidth, "VECTOR_BYTES", 2**20)
    answer = measure_read_bandwidth(threads=2, seconds=0.01, timeout_s=60)
    assert answer.bytes == 2**20
    assert min(answer.pass_ns) > 0
