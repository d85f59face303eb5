"""What is said of a GPU's calibration: it is held against nothing that the host's memory read."""

from msgspec import structs

from harness.report.drift import drift_notes
from harness.report.notes import _doubtful_peaks
from harness.results.calibration import Constants, RatePoint, StoredConstants
from harness.results.environment import Environment, ReadBandwidth
from harness.results.replies import MemoryRead
from tests.measured_documents import document, record

READ = MemoryRead(threads=1, bytes=10**9, pass_ns=(10**8,), matrix_flop=1e9, matrix_ns=(10**7,))


def run(device):
    """A run that read 10 GB/s beside a calibration that says 300, and took no pulse."""
    constants = Constants("measured here", (RatePoint(300e9, 2**29, processes=3),), threads=1)
    stored = StoredConstants("f", "1.32.0", device, 5, False, constants)
    read = ReadBandwidth(threads=1, bytes_per_s=10e9, processes=(READ,))
    found = document(record([10.0]))
    environment = Environment(read_bandwidth=(read,), calibration=(stored,))
    return structs.replace(found, environment=environment)


def test_a_processor_that_reads_otherwise_is_doubted():
    told = [*_doubtful_peaks(run("cpu")), *drift_notes(run("cpu"))]
    assert any("this run read memory at 10.0 GB/s" in line for line in told)
    assert any("took no pulse" in line for line in told)


def test_a_card_reads_memory_of_its_own():
    for device in ("webgpu", "cuda:1"):
        assert [*_doubtful_peaks(run(device)), *drift_notes(run(device))] == []
