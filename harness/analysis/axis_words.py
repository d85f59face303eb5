"""Values of an axis in the words that a plan has for them: `max`, `all`, or as they are. Pure.

A word is one value for each model: all positions that it takes, all cores that there were.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from msgspec import UNSET

from harness.core.errors import UsageError, suggestion
from harness.results.identity import field_word
from harness.results.plan import PlanCells
from harness.results.schema import Cell, Document

AXIS_NAMES = {"quant": "level"}
MACHINE_AXIS = "machine"  # no field of a cell: the same cell is on every machine
PRINTED_ONLY = ("level_label", "active_parameters")
MOST = {"capacity": "max", "threads": "all"}  # field -> the word of a plan for the most there is


@dataclass(frozen=True, slots=True)
class AxisWords:
    """The words of one field in one document.

    Attributes:
        field: of the cell.
        most: the word for the largest value; empty: the plan has none.
        largest: value of every model.
    """

    field: str
    most: str
    largest: dict[str, int]

    def of(self, cell: Cell) -> str:
        """What the value of a cell is called."""
        if self.most and getattr(cell, self.field) == self.largest.get(cell.model):
            return self.most
        return field_word(cell, self.field)

    def meant(self, typed: str, cells: Iterable[Cell]) -> str:
        """The word of a value that was typed by its number, or by the word itself."""
        known = {field_word(cell, self.field): self.of(cell) for cell in cells}
        return typed if typed in known.values() else known.get(typed, typed)


def axis_words(document: Document, field: str) -> AxisWords:
    """The words of a field, where the plan of a document has one for the most there is."""
    most = MOST.get(field, "")
    if most not in _typed(document, field):
        return AxisWords(field, "", {})
    largest: dict[str, int] = {}
    for record in document.records:
        value = getattr(record.cell, field)
        largest[record.cell.model] = max(value, largest.get(record.cell.model, 0))
    return AxisWords(field, most, {model: value for model, value in largest.items() if value})


def _typed(document: Document, field: str) -> set[str]:
    """What the plan says of a field, in all of its parts."""
    parts: Iterator[PlanCells] = iter((document.plan, *(document.plan.part or ())))
    lists = (getattr(part, field, UNSET) for part in parts)
    return {str(word) for words in lists if words is not UNSET for word in words}


def axis_field(axis: str) -> str:
    """The field of the cell that an axis is.

    Raises:
        UsageError: there is none.
    """
    field = AXIS_NAMES.get(axis, axis)
    if field not in Cell.__struct_fields__ or field in PRINTED_ONLY:
        known = [name for name in Cell.__struct_fields__ if name not in PRINTED_ONLY]
        raise UsageError(
            f"no axis is called {axis!r}", fix=suggestion(axis, (MACHINE_AXIS, *AXIS_NAMES, *known))
        )
    return field
