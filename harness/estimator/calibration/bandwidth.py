"""Read memory in a fresh child process: the bandwidth below the parameter-based decode estimate.

The child sums the squares of a vector far larger than any cache, one slice per thread, and times
each pass. `numpy.dot` reads every byte once and keeps up with memory; `numpy.sum` does not.
"""

from collections.abc import Sequence
from statistics import median, median_high

from harness.core.units import NS_PER_S
from harness.machine.process.together import Child
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


READER = Child(WORKER_MODULE, ONE_BLAS_THREAD)


def measure_read_bandwidth(
    threads: int, seconds: float, timeout_s: float, waiting: Worker | None = None
) -> MemoryRead:
    """Time reads of VECTOR_BYTES with `threads` threads in one fresh process.

    Args:
        threads: that read, a slice each.
        seconds: of timed passes.
        timeout_s: after which a silent child is ended.
        waiting: a fresh READER; None: one is started.

    Raises:
        WorkerError: the child died, hung or had no memory.
    """
    with waiting or Worker.start(READER.module, env=READER.env) as worker:
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
