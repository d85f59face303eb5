"""What all exporters share: which numbers leave a document, under which name. Pure."""

import math
import re
from collections.abc import Iterator
from typing import TypeGuard

from harness.report.grid import one_line
from harness.report.rows import shown_metric
from harness.results.identity import NAMED
from harness.results.identity import cell_name as named
from harness.results.schema import Cell, Document, Metric, Record
from harness.results.validity import is_real, is_valid

# A metric's name, in every format a word of its own: one that is none is no metric of any harness.
METRIC_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What tells the cells of one document apart, under the names that labels carry.
LABELS = ("model", "level", "weights", "device", "runtime", "workload", "batch", "threads")


def exported(document: Document) -> Iterator[tuple[Record, dict[str, Metric]]]:
    """Yield the records whose numbers may be handed on, each with the metrics it has.

    A record that failed, is INVALID, was emulated or ran elsewhere leaves nothing: who reads these
    formats does not ask for reasons.
    """
    for record in document.records:
        if is_valid(record) and is_real(record):
            names = filter(METRIC_NAME.fullmatch, record.metrics)
            found = {name: shown_metric(record, name) for name in names}
            yield (
                record,
                {name: one for name, one in found.items() if one and is_number(one.value)},
            )


def is_number(value: float | None) -> TypeGuard[float]:
    """Whether there is a value that these formats can hold."""
    return value is not None and math.isfinite(value)


def cell_name(cell: Cell) -> str:
    """The name of a cell in one line."""
    return one_line(named(cell))


def labels(cell: Cell) -> dict[str, str]:
    """The cell as label names and values; one line each, empty where there is no value."""
    fields = [name for name in Cell.__struct_fields__ if name in LABELS or name not in NAMED]
    values = {name: getattr(cell, name) for name in fields}
    return {name: "" if one is None else one_line(str(one)) for name, one in values.items()}
