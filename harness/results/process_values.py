"""One number per process of every timed metric of a record, out of its raw samples. Pure."""

import math

from harness.core.errors import ResultFormatError
from harness.results.metrics import find_metric
from harness.results.schema import Record


def timed_metrics(record: Record) -> list[str]:
    """Names of the record's metrics that its samples may hold, in its own order."""
    return [name for name in record.metrics if (row := find_metric(name)) and row.value]


def process_values(record: Record, name: str) -> dict[int, float]:
    """Every process's value of a timed metric in its unit, by round.

    Empty for a metric that is no matter of time, and for a record that kept no samples.

    Raises:
        ResultFormatError: samples that hold no such value: 0 or less, infinite, or of another form.
    """
    row = find_metric(name)
    if row is None or row.value is None:
        return {}
    values = {}
    for stored in record.samples:
        try:
            value = row.value(record.cell, stored)
            if value is None:
                continue
            if not math.isfinite(value) or (value <= 0 and not row.signed):
                raise ValueError(f"a process's value is {value}")
            values[stored.round] = value
        except (ArithmeticError, KeyError, TypeError, ValueError, IndexError) as error:
            cell = record.cell
            raise ResultFormatError(
                f"the samples of {name} of {cell.model} {cell.level} {cell.workload} are damaged: "
                f"{error}",
                fix="measure again, or take the file from where it was first written",
            ) from error
    return values
