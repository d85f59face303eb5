"""Read memory in a fresh child process: the bandwidth below the parameter-based decode estimate.

The child sums the squares of a vector far larger than any cache, one slice per thread, and times
each pass. `numpy.dot` reads every byte once and keeps up with memory; `numpy.sum` does not.
"""

from collections.abc import Sequence
from statistics import median, median_high

from harness.core.units import NS_PER_S
from harness.machine.process.worker import Worker
from harness.results.replies import MemoryRead

WORKER_MODULE = "harness.estimator.calibration.bandwidth_worker"
# Eight times the largest last-level cache of the machines this was tried on (32 MiB).
VECTOR_BYTES = 256 * 2**20
# One BLAS thread per slice: the threads are ours, so that their number is what was asked for.
ONE_BLAS_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}


def measure_read_bandwidth(threads: int, seconds: float, timeout_s: float) -> MemoryRead:
    """Time reads of VECTOR_BYTES with `threads` threads in one fresh process.

    Raises:
        WorkerError: the child died, hung or had no memory.
    """
    with Worker.start(WORKER_MODULE, env=ONE_BLAS_THREAD) as worker:
        return worker.ask(
            "read",
            timeout_s,
            MemoryRead,
            threads=threads,
            vector_bytes=VECTOR_BYTES,
            seconds=seconds,
        )


def read_bytes_per_s(replies: Sequence[MemoryRead]) -> float | None:
    """Median over processes of each process's median pass rate, bytes/s; None without a reply."""
    rates = [_process_rate(reply) for reply in replies]
    return median(rates) if rates else None


def _process_rate(reply: MemoryRead) -> float:
    return float(reply.bytes / median_high(reply.pass_ns) * NS_PER_S)
