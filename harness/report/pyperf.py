"""pyperf's JSON: one benchmark per cell and timed metric, one run per process.

Format: https://pyperf.readthedocs.io/en/latest/api.html, version 1.0. pyperf tests all values of a
benchmark as one pool, which only holds for independent ones: so each process gives one value, its
median.
"""

import json
from typing import Any

from harness.report.export import cell_name, exported
from harness.results.process_values import process_values, timed_metrics
from harness.results.progress import progress_sentence
from harness.results.schema import Document, Record

SECONDS = {"ms": 1e3, "ms/token": 1e3}
VERSION = "1.0"


def draw_pyperf(document: Document) -> str:
    """A suite of all times, in seconds; rates are their inverses and left out."""
    benchmarks = [
        _benchmark(record, name, list(values.values()), SECONDS[metrics[name].unit])
        for record, metrics in exported(document)
        for name in timed_metrics(record)
        if name in metrics and metrics[name].unit in SECONDS
        if (values := process_values(record, name))
    ]
    suite = {"benchmarks": benchmarks, "metadata": _metadata(document), "version": VERSION}
    return json.dumps(suite, indent=1) + "\n"


def _benchmark(record: Record, name: str, values: list[float], per_s: float) -> dict[str, Any]:
    """One benchmark: a run of one value per process."""
    metadata = {"name": f"{cell_name(record.cell)} {name}", "unit": "second"}
    return {"metadata": metadata, "runs": [{"values": [value / per_s]} for value in values]}


def _metadata(document: Document) -> dict[str, str]:
    """What pyperf shows of the machine; only what is known."""
    known = {
        "cpu_model_name": document.environment.get("cpu_model"),
        "platform": document.environment.get("os"),
        "python_version": document.environment.get("python_version"),
        "run_id": document.run_id,
        "run_progress": progress_sentence(document),
    }
    return {name: str(value) for name, value in known.items() if value}
