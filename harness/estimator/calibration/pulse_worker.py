"""The child process that takes the pulse of a machine; see pulse.py."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from msgspec import structs

from harness.core.units import NS_PER_S
from harness.devices.device import find_device
from harness.devices.session import open_session
from harness.estimator.calibration.bandwidth_worker import read
from harness.estimator.calibration.pulse import (
    CALL_GRAPH,
    CALL_MATRICES,
    CALL_WIDTH,
    MATRICES,
    MATRIX_GRAPH,
    MATRIX_ROWS,
    MATRIX_WIDTH,
    MEMORY_SHARE,
    OTHER_SHARE,
)
from harness.machine.meters.samples import time_call
from harness.results.replies import MemoryRead

WARM_PASSES = 3
OPERATORS_A_MATRIX = 6  # with its own; a test counts the graph's nodes


def pulse(folder: str, threads: int, vector_bytes: int, seconds: float) -> MemoryRead:
    """Read memory, multiply, then call, each for its share of `seconds`.

    Each session is gone before the next one begins, so that none of its threads spins meanwhile.
    """
    found = read(threads, vector_bytes, seconds * MEMORY_SHARE)
    others_s, place = seconds * OTHER_SHARE, Path(folder)
    matrix_ns = _passes(place / MATRIX_GRAPH, (1, MATRIX_ROWS, MATRIX_WIDTH), threads, others_s)
    call_ns = _passes(place / CALL_GRAPH, (1, 1, CALL_WIDTH), threads, others_s)
    return structs.replace(
        found,
        matrix_flop=2.0 * MATRICES * MATRIX_ROWS * MATRIX_WIDTH**2,
        matrix_ns=matrix_ns,
        calls=CALL_MATRICES * OPERATORS_A_MATRIX,
        call_ns=call_ns,
    )


def _passes(graph: Path, shape: tuple[int, ...], threads: int, seconds: float) -> tuple[int, ...]:
    """Time runs of a chain over one input for `seconds`, at least one."""
    device = replace(find_device("cpu"), parallel_prepack=True)
    session = open_session(graph, device, threads).session
    generator = np.random.Generator(np.random.SFC64(0))
    hidden = generator.standard_normal(shape, dtype=np.float32)
    product, binding = np.empty_like(hidden), session.io_binding()
    for bind, name, memory in (
        (binding.bind_input, "hidden", hidden),
        (binding.bind_output, "product", product),
    ):
        bind(name, "cpu", 0, memory.dtype.type, memory.shape, memory.ctypes.data)

    def run() -> object:
        return session.run_with_iobinding(binding)

    return _timed(run, seconds)


def _timed(run: Callable[[], object], seconds: float) -> tuple[int, ...]:
    for _ in range(WARM_PASSES):
        run()
    passes_ns: list[int] = []
    end_ns = time.perf_counter_ns() + int(seconds * NS_PER_S)
    while not passes_ns or time.perf_counter_ns() < end_ns:
        passes_ns.append(time_call(run))
    return tuple(passes_ns)


COMMANDS = {"pulse": pulse}
