"""Which kind of test a cell is of."""

from harness.results.enums import SINGLE_PASS, Kind
from harness.results.schema import Cell

PREFILL, DECODE, REQUEST, ENCODE, IMAGE, SOUND, GRAPH = Kind


def kind_of(cell: Cell) -> Kind:
    """`enc`, `img`, `aud` or `graph`, by the name of the test; else by the cell's numbers."""
    for kind in SINGLE_PASS:  # their names tell; their lengths do not
        if cell.workload.startswith(kind):
            return kind
    if cell.prompt and cell.gen:
        return REQUEST
    return PREFILL if cell.prompt else DECODE
