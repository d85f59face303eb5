"""Counters that a machine may lack or refuse: each answers with a value, or why there is none.

NVIDIA's management library is one, where its Python package and a driver are there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

VALUE, ABSENT, DENIED = "value", "absent", "denied"
UNAVAILABLE = "unavailable"  # it answers, and what it says is not believed


class NoCounterError(Exception):
    """There is no such counter here; its text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a counter said.

    Attributes:
        state: `value`, `absent`, `denied` or `unavailable`.
        value: None unless the state is `value`.
        reason: why there is none; empty where there is one.
    """

    state: str
    value: Any = None
    reason: str = ""


def ask(read: Callable[[], Any]) -> Answer:
    """Call `read` and say what came of it; whatever fails is an answer, and costs no run."""
    try:
        return Answer(VALUE, read())
    except NoCounterError as error:
        return Answer(ABSENT, reason=str(error))
    except PermissionError as error:
        name = Path(error.filename).name if error.filename else "it"
        return Answer(DENIED, reason=f"{name} may not be read by this user")
    except Exception as error:  # a driver may answer with anything
        return Answer(ABSENT, reason=f"it cannot be read ({type(error).__name__})")


def text_in(path: Path) -> str:
    """A small system file without the white space around it.

    Raises:
        OSError: it is not there or may not be read.
    """
    return path.read_bytes().decode("utf-8", "replace").strip("\0 \t\r\n")


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
