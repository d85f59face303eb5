"""The words of a result: each choice is one enum, whose values are what documents hold."""

from enum import StrEnum
from typing import TypeVar

Word = TypeVar("Word", bound=StrEnum)


def one_of(words: type[Word], value: str, what: str) -> Word:
    """The word of an enum that a text is.

    Raises:
        ValueError: it is none of them; names them all.
    """
    try:
        return words(value)
    except ValueError:
        raise ValueError(f"{what} {value!r} is none of {', '.join(words)}") from None


class Kind(StrEnum):
    """The tests of a decoder, and those of models that keep nothing between passes."""

    PREFILL = "pp"
    DECODE = "tg"
    REQUEST = "pg"
    TURN = "turn"
    ENCODE = "enc"
    IMAGE = "img"
    SOUND = "aud"
    GRAPH = "graph"


# One pass over everything, and nothing is kept: neither a cache nor a depth.
SINGLE_PASS = (Kind.ENCODE, Kind.IMAGE, Kind.SOUND, Kind.GRAPH)


class Prepack(StrEnum):
    """When the kernels' own copies of weights are made: at load, or once and saved."""

    OFF = "off"
    ON = "on"
    PARALLEL = "parallel"


class Status(StrEnum):
    """How the measuring of a cell ended."""

    OK = "ok"
    FAILED = "failed"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    UNSUPPORTED = "unsupported"
    SKIPPED = "skipped"


class Ending(StrEnum):
    """How a run ended: as planned in one go or in several, with failed cells, or too early."""

    COMPLETE = "complete"
    RESUMED = "resumed"
    FAILED = "failed"
    BUDGET = "budget"
    INTERRUPTED = "interrupted"


class Grade(StrEnum):
    """How far a record can be believed, best first."""

    A = "A"
    B = "B"
    C = "C"
    INVALID = "INVALID"


def worst_grade(*grades: Grade) -> Grade:
    """The one that is believed least."""
    return max(grades, key=list(Grade).index)


class ReasonCode(StrEnum):
    """Why a grade is not A. The codes are machine-readable and stay; sentences may change."""

    FILE_CHANGED = "FILE_CHANGED"
    NON_FINITE = "NON_FINITE"
    OUTPUT_CHANGED = "OUTPUT_CHANGED"
    CLOCK = "CLOCK"
    THROTTLED = "THROTTLED"
    SWAPPED = "SWAPPED"
    UNKNOWN_LOAD = "UNKNOWN_LOAD"
    BACKGROUND_CPU = "BACKGROUND_CPU"
    STEAL = "STEAL"
    OTHER_BENCH = "OTHER_BENCH"
    WIDE_INTERVAL = "WIDE_INTERVAL"
    NOT_STEADY = "NOT_STEADY"
    DRIFT = "DRIFT"
    MAJOR_FAULTS = "MAJOR_FAULTS"
    COARSE_CLOCK = "COARSE_CLOCK"
    GOVERNOR = "GOVERNOR"
    ON_BATTERY = "ON_BATTERY"
    FEW_PROCESSES = "FEW_PROCESSES"
    WARM_START = "WARM_START"
    SLOWED = "SLOWED"
    STEPS_DIFFER = "STEPS_DIFFER"
    SIZE_IGNORED = "SIZE_IGNORED"
    SIMULATED = "SIMULATED"
    PLACEMENT = "PLACEMENT"
    LOST_WORKER = "LOST_WORKER"


class Verdict(StrEnum):
    """What may be said of a difference; a metric's own words stand for the first two."""

    WORSE = "WORSE"
    BETTER = "BETTER"
    SAME = "SAME"
    INCONCLUSIVE = "INCONCLUSIVE"


class Outcome(StrEnum):
    """What is said of a requirement, by the whole interval of the quantity that it limits."""

    MET = "MET"
    NOT_MET = "NOT_MET"
    INCONCLUSIVE = "INCONCLUSIVE"


class PlacementVerdict(StrEnum):
    """How much of a graph the wanted provider took, best first.

    FULL: every node. FULL_COMPUTE: every compute node. PARTIAL: some compute node ran elsewhere.
    FELL_BACK: no node. UNKNOWN: nothing was recorded.
    """

    FULL = "FULL"
    FULL_COMPUTE = "FULL_COMPUTE"
    PARTIAL = "PARTIAL"
    FELL_BACK = "FELL_BACK"
    UNKNOWN = "UNKNOWN"

    @property
    def proven(self) -> bool:
        """Whether the wanted provider did the arithmetic."""
        return self in (PlacementVerdict.FULL, PlacementVerdict.FULL_COMPUTE)


class CacheType(StrEnum):
    """How keys and values are stored; `uint8` is that of static graphs alone."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"
    INT4 = "int4"
    UINT8 = "uint8"


class DeviceState(StrEnum):
    """What is known of a device of this machine; `present`: installed, and not tried."""

    WORKS = "works"
    SIMULATED = "simulated"
    FELL_BACK = "fell back"
    NO_HARDWARE = "no hardware"
    FEWER_DEVICES = "fewer devices"
    BROKEN = "broken"
    NOT_INSTALLED = "not installed"
    PRESENT = "present"
    OTHER_SYSTEM = "other system"


class EnergyKind(StrEnum):
    """Whether the energy of a cell is one measured quantity."""

    MEASURED = "measured"
    UNAVAILABLE = "unavailable"
