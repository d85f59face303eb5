"""NVIDIA's management library, where its Python package and a driver are there."""

from functools import cache
from typing import Any

from harness.machine.meters.counters import NoCounterError


@cache
def nvml() -> Any:
    """The module, begun once a process: beginning takes longer than reading.

    Raises:
        NoCounterError: the package, or the driver behind it, is absent.
    """
    try:
        import pynvml
    except ImportError as error:
        raise NoCounterError("pip install 'ondevice-bench[nvidia]' reads it") from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise NoCounterError(f"NVIDIA's driver does not answer: {error}") from error
    return pynvml
