"""A neighbour that is busy 30 % of the time: rows must be doubted, and a gate must stay silent.

    python benchmarks/busy_neighbour.py [DUTY] [MODEL]

The same plan is measured twice while a loop on every processor works DUTY of each tenth of a
second. Prints the grades with their reasons, and what `bench compare --fail-on slower:3%` says.
"""

import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import harness
from harness.analysis.compare import Question, compare_documents
from harness.analysis.gate import failing, judge_gates, parse_gate
from harness.machine.watch.cores import usable_processors
from harness.results.schema import Document

LOOP = """
import sys, time
duty = float(sys.argv[1])
while True:
    end = time.perf_counter() + 0.1 * duty
    while time.perf_counter() < end:
        pass
    time.sleep(0.1 * (1 - duty))
"""


def main(duty: float, model: str) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for _ in usable_processors():
            loop = subprocess.Popen([sys.executable, "-c", LOOP, str(duty)])
            stack.callback(loop.kill)
        documents = [_measure(model, folder / name) for name in "ab"]
    for document in documents:
        for record in document.records:
            assert record.trust is not None
            codes = ", ".join(reason.code for reason in record.trust.reasons)
            print(f"{record.cell.level} {record.cell.workload}: {record.trust.grade}: {codes}")
    grades = Counter(one.trust.grade for found in documents for one in found.records if one.trust)
    gate = parse_gate("slower:3%")
    question = Question(watched=gate.metrics)
    comparison = compare_documents(documents[:1], documents[1:], question, force=False)
    broken = failing(judge_gates(comparison, [gate]))
    verdicts = Counter(row.word for row in comparison.rows)
    print(
        f"\ngrades: {dict(grades)}; verdicts of A/A: {dict(verdicts)}; gates broken: {len(broken)}"
    )


def _measure(model: str, results: Path) -> Document:
    found = harness.run(model=model, quant="fp32,int4", prompt="64", gen="16", results=results)
    assert isinstance(found, Document)
    return found


if __name__ == "__main__":
    words = sys.argv[1:]
    main(float(words[0]) if words else 0.3, words[1] if len(words) > 1 else "bytelm")
