"""The pulse of a machine: three rates that a fresh child process takes in a fraction of a second.

A calibration takes it again and again while it measures its constants, and a run in every round,
by the same code. What a shared machine does changes by half within minutes; the quotient of the two
says by how much, and the calibrated times are scaled by it (harness.estimator.timing).
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from harness.core.errors import StorageError
from harness.core.units import NS_PER_S
from harness.estimator.calibration import bandwidth
from harness.machine.process.together import Child
from harness.machine.process.worker import Worker
from harness.results.calibration import Drift, Pulse
from harness.results.replies import MemoryRead

PULSE_MODULE = "harness.estimator.calibration.pulse_worker"
PULSE_READER = Child(PULSE_MODULE, bandwidth.ONE_BLAS_THREAD)
BUILD_MODULE = "harness.estimator.calibration.micro_worker"
BUILD_TIMEOUT_S = 120.0  # of a second: imports count
FOLDER = "pulse-1"  # raise the number with any change of its graphs
MATRIX_GRAPH, CALL_GRAPH = "matrix.onnx", "calls.onnx"
# A pair of float matrices that stay in a cache, and the rows that meet them.
MATRIX_WIDTH, MATRICES, MATRIX_ROWS = 1024, 2, 64
# Small matrices with a layer's other operators between them.
CALL_WIDTH, CALL_MATRICES = 384, 24
# Of a reading: half for memory, whose passes are the longest, a quarter each for the others.
MEMORY_SHARE, OTHER_SHARE = 0.5, 0.25


def ensure_pulse_graphs(kept: Path) -> Path:
    """Return the folder of the two graphs, written now where it is not there yet.

    Args:
        kept: folder of the calibration in the cache.

    Raises:
        WorkerError: the child that writes them died.
        StorageError: the cache cannot be written.
    """
    place = kept / FOLDER
    if place.is_dir():
        return place
    try:
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{FOLDER}-", dir=kept) as folder:
            written = Path(folder) / FOLDER
            written.mkdir()
            with Worker.start(BUILD_MODULE) as worker:
                worker.ask("build_pulse", BUILD_TIMEOUT_S, dict, folder=str(written))
            if not place.is_dir():  # another run may have been sooner
                written.replace(place)
    except OSError as error:
        raise StorageError(
            f"the graphs of the calibration cannot be kept: {error.strerror}",
            fix="choose another cache: --cache DIR or BENCH_CACHE=DIR",
        ) from error
    return place


def measure_pulse(
    graphs: Path, threads: int, seconds: float, timeout_s: float, waiting: Worker | None = None
) -> MemoryRead:
    """Take the pulse with `threads` threads in one fresh process.

    Args:
        graphs: as ensure_pulse_graphs gave it.
        threads: that read, multiply and call.
        seconds: of timed passes, all three rates together.
        timeout_s: after which a silent child is ended.
        waiting: a fresh PULSE_READER; None: one is started.

    Raises:
        WorkerError: the child died, hung or had no memory.
    """
    with waiting or Worker.start(PULSE_READER.module, env=PULSE_READER.env) as worker:
        return ask_pulse(worker, graphs, threads, seconds, timeout_s)


def ask_pulse(
    worker: Worker, graphs: Path, threads: int, seconds: float, timeout_s: float
) -> MemoryRead:
    """Take the pulse in a process that serves `pulse`, among other things."""
    return worker.ask(
        "pulse",
        timeout_s,
        MemoryRead,
        folder=str(graphs),
        threads=threads,
        vector_bytes=bandwidth.VECTOR_BYTES,
        seconds=seconds,
    )


def pulse_of(readings: Sequence[MemoryRead]) -> Pulse | None:
    """Return the median over readings of each one's rates; None: no reading has all three.

    rate = work of a pass / median pass
    """
    whole = [one for one in readings if one.matrix_ns and one.call_ns]
    if not whole:
        return None

    def centre(rate: Callable[[MemoryRead], float]) -> float:
        return median(rate(one) * NS_PER_S for one in whole)

    return Pulse(
        read_bytes_per_s=centre(lambda one: one.bytes / median(one.pass_ns)),
        flop_per_s=centre(lambda one: one.matrix_flop / median(one.matrix_ns)),
        calls_per_s=centre(lambda one: one.calls / median(one.call_ns)),
        readings=len(whole),
    )


def drift_between(then: Pulse | None, now: Pulse | None) -> Drift | None:
    """Return the rates of now as shares of those of then; None where one of them is not known."""
    if then is None or now is None:
        return None
    return Drift(
        memory=now.read_bytes_per_s / then.read_bytes_per_s,
        matrix=now.flop_per_s / then.flop_per_s,
        calls=now.calls_per_s / then.calls_per_s,
        readings=now.readings,
    )
