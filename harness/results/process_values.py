"""One number per process of every timed metric of a record, out of its raw samples. Pure."""

import math

from harness.core.errors import ResultFormatError
from harness.results.samples import ProcessSamples, kind_of
from harness.results.schema import Record
from harness.results.summarize import RULES

_RULES = {rule.name: rule for rule in RULES}


def timed_metrics(record: Record) -> list[str]:
    """Names of the metrics that the samples of this kind of test may hold."""
    return [rule.name for rule in RULES if kind_of(record.cell) in rule.kinds]


def process_values(record: Record, name: str) -> dict[int, float]:
    """Every process's value of a timed metric in its unit, by round.

    Empty for a metric that is no matter of time, and for a record that kept no samples.

    Raises:
        ResultFormatError: samples that hold no such value: 0 or less, infinite, or of another form.
    """
    rule = _RULES.get(name)
    if rule is None:
        return {}
    values = {}
    for stored in record.samples:
        try:
            value = rule.value(record.cell, ProcessSamples(**stored))
            if value is None:
                continue
            if not math.isfinite(value) or (value <= 0 and not rule.signed):
                raise ValueError(f"a process's value is {value}")
            values[int(stored["round"])] = value
        except (ArithmeticError, KeyError, TypeError, ValueError, IndexError) as error:
            cell = record.cell
            raise ResultFormatError(
                f"the samples of {name} of {cell.model} {cell.level} {cell.workload} are damaged: "
                f"{error}",
                fix="measure again, or take the file from where it was first written",
            ) from error
    return values
