"""JSON of benchmark-action/github-action-benchmark: one file per direction.

Format: https://github.com/benchmark-action/github-action-benchmark, tools `customSmallerIsBetter`
and `customBiggerIsBetter`. That tool compares single numbers by their ratio alone; `bench compare`
is the one that knows whether a difference is real.
"""

import json
from typing import Any

from harness.report.export import cell_name, exported
from harness.results.metrics import find_metric
from harness.results.progress import progress_sentence
from harness.results.schema import Document, Metric, Record


def draw_smaller_is_better(document: Document) -> str:
    """Times, sizes and losses: everything of which less is better."""
    return _draw(document, bigger=False)


def draw_bigger_is_better(document: Document) -> str:
    """Rates, agreements, cosines and shares of a peak: everything of which more is better."""
    return _draw(document, bigger=True)


def _draw(document: Document, bigger: bool) -> str:
    """One entry per cell and metric of one direction; one that is not known here has none."""
    told = progress_sentence(document)
    entries = [
        _entry(record, name, metric, told)
        for record, metrics in exported(document)
        for name, metric in metrics.items()
        if (row := find_metric(name)) and row.more_is_better == bigger
    ]
    return json.dumps(entries, indent=1) + "\n"


def _entry(record: Record, name: str, metric: Metric, run: str) -> dict[str, Any]:
    """One number with its interval as the range, and what it stands on in the tooltip."""
    entry: dict[str, Any] = {
        "name": f"{cell_name(record.cell)} {name}",
        "unit": metric.unit,
        "value": metric.value,
    }
    if metric.low is not None and metric.high is not None:
        entry["range"] = f"{metric.low:.6g} - {metric.high:.6g}"
    grade = record.trust.grade if record.trust else "unknown"
    extra = f"processes: {metric.processes}\ntrust: {grade}" + (f"\nrun: {run}" if run else "")
    return {**entry, "extra": extra}
