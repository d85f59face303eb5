"""`bench estimate --largest`, and words for models of which no count was ever published."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.builder.quantize.levels import QuantLevel
from harness.cli.output import show, tell
from harness.core.errors import UsageError
from harness.estimator.largest import Ask, Largest, check_estimated, largest
from harness.models.catalog.systems import Unpublished
from harness.models.catalog.typical import typical_target
from harness.report.largest_table import PartRow, draw_largest, draw_parts
from harness.results.requirement import Requirement, parse_requirements

# What is asked of a device for a system without a count: what fits, reads along, and reads fast.
USUAL_LIMITS = ("", "decode>=5", "decode>=20")
USUAL_LEVELS = "int4,int8,fp16"
EXAMPLE = 'bench estimate --largest --on rpi5 --require "decode>=20"'


@dataclass(frozen=True, slots=True)
class Question:
    """One row of a grid: a level, and what estimates at it on one device.

    Attributes:
        level: how weights are stored.
        ask: estimates a target.
    """

    level: QuantLevel
    ask: Ask


def limits_asked(
    require: Sequence[str], usual: Sequence[str] = ("",)
) -> tuple[tuple[Requirement, ...], ...]:
    """Return the sets of limits to be answered: the one that was asked for, else the usual ones.

    Raises:
        UsageError: no requirement, or one on a metric that estimates lack.
    """
    texts = [list(require)] if require else [[text] if text else [] for text in usual]
    sets = tuple(parse_requirements(one) if one else () for one in texts)
    for one in sets:
        check_estimated(one)
    return sets


def refuse_beside_largest(asked: dict[str, object]) -> None:
    """Refuse flags that say nothing where the count itself is asked for.

    Raises:
        UsageError: names the first of them.
    """
    for flag, value in asked.items():
        if value not in (None, False):
            named = flag if value is True else f"{flag} {value}"
            raise UsageError(
                f"--largest asks how large a model may be, and {named} is for one that is given",
                fix=EXAMPLE,
            )


def show_largest(
    questions: Sequence[Question],
    limits: Sequence[Sequence[Requirement]],
    style: str,
    systems: Sequence[Unpublished] = (),
) -> None:
    """Answer how large a model may be, question by question, and print it."""
    rows: list[Largest] = [row for one in questions for row in largest(one.ask, limits)]
    _show_drawn(draw_largest(rows, style, systems))


def show_parts(questions: Sequence[Question], systems: Sequence[Unpublished], style: str) -> None:
    """Print the parts of systems that write no text, at every level on every device."""
    examples = [(one.level, one.ask(typical_target(10**6))) for one in questions]
    rows = [
        PartRow(system, part, level, example)
        for system in systems
        for part in system.parts
        for level, example in examples
    ]
    _show_drawn(draw_parts(rows, style))


def _show_drawn(drawn: tuple[str, tuple[str, ...]]) -> None:
    """Print a table, and tell the notes that its format has no room for."""
    text, notes = drawn
    show(text)
    for note in notes:
        tell(note)
