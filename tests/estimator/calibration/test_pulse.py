"""The pulse of a machine: arithmetic on known passes, its graphs, and the real child once."""

import onnx
import pytest

from harness.core.errors import MeasurementError, StorageError
from harness.estimator.calibration import bandwidth, pulse
from harness.estimator.calibration.constants import QUICK, beyond_cache
from harness.estimator.calibration.micro_worker import build_pulse
from harness.estimator.calibration.pulse import (
    drift_between,
    ensure_pulse_graphs,
    measure_pulse,
    pulse_of,
)
from harness.estimator.calibration.pulse_worker import OPERATORS_A_MATRIX
from harness.machine.watch.caches import last_level_bytes
from harness.results.calibration import Drift, Pulse
from harness.results.replies import MemoryRead
from tests.inline_worker import InlineWorker

MIB = 2**20


def reading(pass_ns=(100,), matrix_ns=(50,), call_ns=(20,)):
    return MemoryRead(
        threads=1,
        bytes=1000,
        pass_ns=pass_ns,
        matrix_flop=2000.0,
        matrix_ns=matrix_ns,
        calls=10,
        call_ns=call_ns,
    )


def test_rates_are_medians_over_readings():
    """1000 bytes in 100 ns are 10 GB/s, 2000 flop in 50 ns 40 Gflop/s, 10 calls in 20 ns 0.5/ns."""
    slow = reading((400,), (200,), (80,))
    found = pulse_of([reading(), slow, reading()])
    assert found == Pulse(10e9, 40e9, 0.5e9, 3)


def test_a_reading_of_memory_alone_is_no_pulse():
    alone = MemoryRead(threads=1, bytes=8, pass_ns=(1,))
    assert pulse_of([]) is None
    assert pulse_of([alone]) is None
    assert pulse_of([alone, reading()]) == pulse_of([reading()])


def test_a_drift_is_the_share_that_is_left():
    """Twice the time for memory, four fifths for products, the same for calls."""
    then, now = Pulse(10.0, 4.0, 2.0, 12), Pulse(5.0, 5.0, 2.0, 3)
    assert drift_between(then, now) == Drift(0.5, 1.25, 1.0, 3)
    assert drift_between(None, now) is None
    assert drift_between(then, None) is None


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_rates_and_shares_are_refused(value):
    with pytest.raises(MeasurementError):
        Pulse(1.0, value, 1.0, 1)
    with pytest.raises(MeasurementError):
        Drift(1.0, 1.0, value, 1)


def test_calls_are_the_nodes_of_the_graph(tmp_path):
    told = build_pulse(str(tmp_path))
    graph = onnx.load(tmp_path / pulse.CALL_GRAPH, load_external_data=False).graph
    assert told["calls"] == pulse.CALL_MATRICES * OPERATORS_A_MATRIX
    assert told["calls"] == sum(node.op_type != "Constant" for node in graph.node)


def test_graphs_are_written_once(tmp_path, monkeypatch):
    monkeypatch.setattr(pulse, "Worker", InlineWorker)
    place = ensure_pulse_graphs(tmp_path / "kept")
    assert {pulse.MATRIX_GRAPH, pulse.CALL_GRAPH} <= {path.name for path in place.iterdir()}
    monkeypatch.setattr(pulse, "Worker", None)
    assert ensure_pulse_graphs(tmp_path / "kept") == place
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [pulse.FOLDER]


def test_a_cache_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be kept"):
        ensure_pulse_graphs(tmp_path / "file" / "kept")


def test_a_child_reads_multiplies_and_calls(tmp_path, monkeypatch):
    """Small vectors and moments through the real child."""
    build_pulse(str(tmp_path))
    monkeypatch.setattr(bandwidth, "VECTOR_BYTES", MIB)
    found = measure_pulse(tmp_path, threads=2, seconds=0.01, timeout_s=60)
    assert (found.threads, found.bytes) == (2, MIB)
    assert min(*found.pass_ns, *found.matrix_ns, *found.call_ns) > 0
    assert pulse_of([found]) is not None


def test_chains_reach_beyond_the_last_level_cache():
    """1.5 times a cache of 260 MiB; one of 32 MiB holds no usual chain; 1 GiB is cut short."""
    assert beyond_cache(QUICK, 260 * MIB).far_bytes == 390 * MIB
    assert beyond_cache(QUICK, 1024 * MIB).far_bytes == 512 * MIB
    assert beyond_cache(QUICK, 100 * MIB).far_bytes == 2 * QUICK.chain_bytes
    for cache_bytes in (None, 32 * MIB, 64 * MIB):
        assert beyond_cache(QUICK, cache_bytes) == QUICK
    far = beyond_cache(QUICK, 260 * MIB)
    assert list(far.long_chains) == ["chain", "far"]
    assert far.read_bytes == (*QUICK.bandwidth_bytes, 390 * MIB)


def test_the_largest_cache_of_a_processor_is_found(tmp_path):
    folder = tmp_path / "sys/devices/system/cpu/cpu0/cache"
    assert last_level_bytes(tmp_path) is None
    for index, size in enumerate(("48K", "2048K", "266240K", "no size")):
        (folder / f"index{index}").mkdir(parents=True)
        (folder / f"index{index}" / "size").write_text(f"{size}\n")
    assert last_level_bytes(tmp_path) == 260 * MIB
