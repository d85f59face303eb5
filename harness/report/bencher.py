"""Bencher Metric Format: benchmark -> measure -> value with the ends of its interval.

Format: https://bencher.dev/docs/reference/bencher-metric-format
"""

import json

from harness.report.export import cell_name, exported
from harness.results.schema import Document, Metric


def draw_bencher(document: Document) -> str:
    """One benchmark per cell, one measure per metric; ends are left out where there are none."""
    table = {
        cell_name(record.cell): {name: _measure(metric) for name, metric in metrics.items()}
        for record, metrics in exported(document)
    }
    return json.dumps(table, indent=1) + "\n"


def _measure(metric: Metric) -> dict[str, float]:
    """Value and ends."""
    ends = {"value": metric.value, "lower_value": metric.low, "upper_value": metric.high}
    return {name: end for name, end in ends.items() if end is not None}
