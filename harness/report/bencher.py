"""Bencher Metric Format: benchmark -> measure -> value with the ends of its interval.

Format: https://bencher.dev/docs/reference/bencher-metric-format
"""

import json

from harness.report.export import cell_name, exported
from harness.results.progress import progress_of, progress_sentence
from harness.results.schema import Document, Metric


def draw_bencher(document: Document) -> str:
    """One benchmark per cell, one measure per metric; ends are left out where there are none.

    The format holds numbers only: a run that is not whole has a benchmark named by what it lacks.
    """
    table = {
        cell_name(record.cell): {name: _measure(metric) for name, metric in metrics.items()}
        for record, metrics in exported(document)
    }
    found, told = progress_of(document), progress_sentence(document)
    if found is not None:
        whole = {"value": found["whole"]}, {"value": found["cells"]}
        table[f"run {told}"] = dict(zip(("cells_whole", "cells"), whole, strict=True))
    return json.dumps(table, indent=1) + "\n"


def _measure(metric: Metric) -> dict[str, float]:
    """Value and ends."""
    ends = {"value": metric.value, "lower_value": metric.low, "upper_value": metric.high}
    return {name: end for name, end in ends.items() if end is not None}
