"""What is said of every metric: the form of a row of harness.results.metrics."""

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum

from harness.core.errors import ResultFormatError
from harness.results.enums import Kind
from harness.results.replies import MemoryTaken, ProcessSamples
from harness.results.schema import Cell

EVERY_KIND = tuple(Kind)
# How a metric's verdicts are called: better, worse.
TIME_WORDS = ("FASTER", "SLOWER")
SIZE_WORDS = ("SMALLER", "LARGER")
QUALITY_WORDS = ("BETTER", "WORSE")


class Source(StrEnum):
    """Where a metric comes from."""

    SAMPLES = "samples"  # of every timed process
    COUNTERS = "counters"  # likewise, where something counts energy
    TURNS = "turns"  # of `bench ab` alone: no record has it
    MEMORY = "memory"  # a process that times nothing
    COMPILING = "compiling"  # a process that compiles once
    FILES = "files"  # counted, not measured
    SUSTAIN = "sustain"  # a process that does not rest for minutes
    PEAKS = "peaks"  # a time beside a measured hardware peak
    QUALITY = "quality"  # compared with the fp32 reference
    TEXT = "text"  # a rate times bytes a token


class Scale(StrEnum):
    """How two values of a metric are compared."""

    RATIO = "new / base"
    DIFFERENCE = "new - base"


@dataclass(frozen=True, slots=True)
class MetricRow:
    """Everything that is true of one metric wherever it turns up.

    Attributes:
        name: in records, in JSON and CSV.
        unit: of its values.
        definition: what it is: one line, whole sentences.
        left_out: what it does not count; empty where nothing is.
        more_is_better: the direction, of every exporter and of `bench compare`.
        kinds: the kinds of test that have it.
        source: where it comes from.
        value: of one timed process, from its samples; None: it comes from elsewhere.
        held: of one reply about memory; likewise.
        scale: how two values are compared; None: they are not, another metric says as much.
        headline: `bench compare` takes it without being asked, where a cell is judged by it.
        judges: kinds of test whose records are graded by it; the rate among them is the test's.
        of_session: shared by all tests of a session, so compared once.
        signed: it may be 0 or negative, so its interval is taken without logarithms.
        null_where_missing: null in a record whose test asks for it but cannot have it.
        words: what better and worse are called.
        tolerance: its own, in its unit; None: the comparison's, a share.
        known_scatter_ln: of ln of a single process's value; None: a side needs two processes.
        gate: the word of `--fail-on` that watches it, besides its own name; empty: none.
        in_turns: kinds of test whose turns give it in `bench ab`.
        of_start: every start of a side of `bench ab` gives it.
        once: what `bench ab` called it before it had a name of its own.
        times_pass: the pass of an estimate that it measures; empty: none.
        column: header of its column in tables, units included; empty: none has it.
    """

    name: str
    unit: str
    definition: str
    left_out: str = ""
    _: KW_ONLY
    more_is_better: bool = False
    kinds: tuple[Kind, ...] = EVERY_KIND
    source: Source = Source.SAMPLES
    value: Callable[[Cell, ProcessSamples], float | None] | None = None
    held: Callable[[MemoryTaken], float | None] | None = None
    scale: Scale | None = None
    headline: bool = False
    judges: tuple[Kind, ...] = ()
    of_session: bool = False
    signed: bool = False
    null_where_missing: bool = False
    words: tuple[str, str] = TIME_WORDS
    tolerance: float | None = None
    known_scatter_ln: float | None = None
    gate: str = ""
    in_turns: tuple[Kind, ...] = ()
    of_start: bool = False
    once: str = ""
    times_pass: str = ""
    column: str = ""

    @property
    def is_ratio(self) -> bool:
        """Whether it is compared as new / base; else as new - base, where 0 is a possible value."""
        return self.scale is not Scale.DIFFERENCE

    def on_scale(self, value: float) -> float:
        """A value on the scale of the statistics: its logarithm, or itself.

        Raises:
            ResultFormatError: it is 0 or less, and what was measured is above 0.
        """
        if self.is_ratio and value <= 0:
            raise ResultFormatError(
                f"{self.name} is {value:g}, and what is measured is above 0",
                fix="bench verify says whether the file is damaged",
            )
        return math.log(value) if self.is_ratio else value

    def off_scale(self, difference: float) -> float:
        """A difference on that scale as a ratio new / base, or as itself."""
        try:
            return math.exp(difference) if self.is_ratio else difference
        except OverflowError:
            return math.inf
