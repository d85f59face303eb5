"""Timed passes of a micro-graph, and what is fed to it: of every probing process."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.estimator.calibration.constants import Sizes
from harness.machine.meters.samples import time_call, time_calls

Reply = list[dict[str, Any]]


def timed_passes(run: Callable[[], object], sizes: Sizes) -> list[int]:
    """Warm up, then take passes until there are enough of them and of time."""
    _until(run, sizes.warm_seconds, 1)
    return _until(run, sizes.seconds, sizes.passes)


def _until(run: Callable[[], object], seconds: float, passes: int) -> list[int]:
    """Time calls until `seconds` have gone by and `passes` are there."""
    durations_ns = time_calls(run, passes)
    end_ns = time.perf_counter_ns() + int(seconds * 1e9) - sum(durations_ns)
    while time.perf_counter_ns() < end_ns:
        durations_ns.append(time_call(run))
    return durations_ns


def noise(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Normal values that are the same in every process."""
    generator = np.random.Generator(np.random.SFC64(0))
    values: NDArray[Any] = generator.standard_normal(shape, dtype=np.float32)
    return values.astype(dtype)
