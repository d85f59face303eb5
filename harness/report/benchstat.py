"""Lines that Go's benchstat reads: one per process and cell; a metric's name is its unit.

Format: https://go.googlesource.com/proposal/+/master/design/14313-benchmark-format.md
"""

import re
from collections.abc import Iterable, Iterator

from harness.report.escape import one_line
from harness.report.export import exported, labels
from harness.results.metrics import metric_row
from harness.results.process_values import process_values, timed_metrics
from harness.results.progress import progress_sentence
from harness.results.schema import Document, Metric, Record

# A name ends at a space, and its parts at a slash; `-8` at its end would be a processor count.
UNSAFE = re.compile(r"[\s/=]+|-(?=\d+$)")


def draw_benchstat(document: Document) -> str:
    """Direction of every unit, the machine, and the lines of every cell."""
    return draw_sides({"": [document]})


def draw_sides(sides: dict[str, Iterable[Document]]) -> str:
    """The same of several sides; each name, if any, becomes the key `side` of its lines.

    `benchstat -col /side FILE` then sets them beside each other.
    """
    lines: list[str] = []
    units: dict[str, bool] = {}
    for side, documents in sides.items():
        for document in documents:
            lines += [f"cpu: {document.environment.get('cpu_model') or 'unknown'}"]
            told = one_line(progress_sentence(document))
            lines += [f"run: {told}"] if told else []
            for record, metrics in exported(document):
                units.update(_units(metrics, timed_metrics(record)))
                lines += _lines(record, metrics, side)
    directions = [f"Unit {unit} better={'higher' * up or 'lower'}" for unit, up in units.items()]
    return "\n".join([*directions, *lines]) + "\n"


def _units(metrics: dict[str, Metric], timed: Iterable[str]) -> dict[str, bool]:
    """Unit names of the timed metrics, and whether more is better."""
    return {name: metric_row(name).more_is_better for name in timed if name in metrics}


def _lines(record: Record, metrics: dict[str, Metric], side: str) -> Iterator[str]:
    """Yield one line per process, with every metric that it has."""
    named = [name for name in timed_metrics(record) if name in metrics]
    values = {name: process_values(record, name) for name in named}
    keys = {key: item for key, item in labels(record.cell).items() if item}
    parts = [f"{key}={UNSAFE.sub('_', item)}" for key, item in keys.items()]
    parts += [f"side={side}"] if side else []
    for place in sorted({place for found in values.values() for place in found}):
        numbers = [f"{found[place]:.9g} {name}" for name, found in values.items() if place in found]
        yield "\t".join([f"BenchmarkCell/{'/'.join(parts)}", "1", *numbers])
