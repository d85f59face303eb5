"""A metric that is only a row of the registry and a function: what all that filters it makes of it.

Run in a process of its own, for most tables are drawn up when a module is first imported.
"""

import json
import sys

from harness.results import metrics
from harness.results.enums import Kind


def steps_s(cell, process):
    """Made up: decoded tokens a second, halved."""
    step_ns = process.sample.itl_ns[0][0]
    return 0.5e9 / step_ns


metrics.METRICS += (
    metrics.RATE(
        "half_steps_s",
        "steps/s",
        "Half of the steps in a second.",
        "the other half",
        kinds=(Kind.DECODE,),
        value=steps_s,
        gate="half",
        in_turns=(Kind.DECODE,),
    ),
)

from harness.analysis.compare import Question, compare_documents  # noqa: E402
from harness.analysis.gate import failing, judge_gates, parse_gate  # noqa: E402
from harness.report.render import render  # noqa: E402
from harness.results.glossary import explain, glossary_markdown  # noqa: E402
from harness.runner.loop.paired import turn_values  # noqa: E402
from tests.measured_documents import document, record  # noqa: E402
from tests.replies import sample  # noqa: E402

TIMES = [10.0, 10.1, 9.9, 10.05, 9.95]


def main() -> None:
    """Write what summaries, comparisons, gates, exporters, turns and the glossary say."""
    base, slow = record(TIMES), record([time * 1.2 for time in TIMES])
    sides = [document(base)], [document(slow, run_id="run-b")]
    found = compare_documents(*sides, Question())
    (row,) = [row for row in found.rows if row.metric.name == "half_steps_s"]
    gates = [parse_gate(text) for text in ("half:3%", "half_steps_s:3%", "half:50%")]
    told = {
        "value": base.metrics["half_steps_s"].value,
        "unit": base.metrics["half_steps_s"].unit,
        "word": row.word,
        "broken": [one.gate.text for one in failing(judge_gates(found, gates))],
        "bigger": render(document(base), "benchmark-action-bigger"),
        "smaller": render(document(base), "benchmark-action"),
        "benchstat": render(document(base), "benchstat"),
        "openmetrics": render(document(base), "openmetrics"),
        "turn": turn_values(base.cell, sample(itl_ns=[[10_000_000, 10_000_000]])),
        "explained": explain("half_steps_s"),
        "page": glossary_markdown(),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
