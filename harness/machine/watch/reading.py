"""Every probe answers value, absent or denied; none of them can cost a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class State(StrEnum):
    """What a probe found."""

    VALUE = "value"
    ABSENT = "absent"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Reading:
    """A probe's answer.

    Attributes:
        state: whether there is a value, and if not, why.
        value: None unless the state is VALUE.
    """

    state: State
    value: Any = None


def probe(read: Callable[[], Any]) -> Reading:
    """Call `read` and say what came of it; None and any failure but a refusal are `absent`.

    A machine may hide, lack or garble any of the files and calls behind a probe, and a benchmark
    that stops because a fan has no sensor is of no use: so every exception is caught here.
    """
    try:
        value = read()
    except PermissionError:
        return Reading(State.DENIED)
    except Exception as error:
        # psutil's own refusal is no PermissionError; psutil is not imported to find that out.
        refused = type(error).__name__ == "AccessDenied"
        return Reading(State.DENIED if refused else State.ABSENT)
    return Reading(State.ABSENT) if value is None else Reading(State.VALUE, value)


def probe_all(reads: Mapping[str, Callable[[], Any]]) -> dict[str, Reading]:
    """Probe each of `reads` by name."""
    return {name: probe(read) for name, read in reads.items()}


def without_value(readings: Mapping[str, Reading]) -> dict[str, str]:
    """Names without a value: `absent` or `denied`, as plain text."""
    return {
        name: reading.state.value
        for name, reading in readings.items()
        if reading.state is not State.VALUE
    }


def text_of(path: Path) -> str:
    """A small system file without the white space and zero bytes around it.

    Raises:
        OSError: it is not there or may not be read.
    """
    with path.open("rb", buffering=0) as file:
        return file.read().decode("utf-8", "replace").strip("\0 \t\r\n")
