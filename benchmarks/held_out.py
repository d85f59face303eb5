"""How far the estimates of this machine are from cells that nothing was fitted on, hours later.

    python benchmarks/held_out.py build                the models, into the cache; nothing is timed
    python benchmarks/held_out.py measure FOLDER       the plan `held-out`, about five minutes
    python benchmarks/held_out.py report FILE...       the medians of |error|, by what is scaled
    python benchmarks/held_out.py rescore FILE...      the same by the estimates of this checkout

Calibrate hours before (`bench calibrate --threads 1,2`), then measure at several times of the day.
The errors are |ln(estimated time / measured time)| in percent, as of `bench validate-estimates`:
`as calibrated` takes the constants as they lie in the cache, `scaled` divides them by the drift
that the run's rounds saw. `rescore` estimates the cells of stored documents again, from the
constants and the readings in them, so that a change of the estimator is judged by measurements that
are there.
"""

import argparse
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from msgspec import structs

from harness.analysis.errors import JUDGED, Pair, estimate_pairs
from harness.builder.quantize.levels import CACHES, find_level
from harness.estimator.calibration.pulse import drift_between, pulse_of
from harness.estimator.cell import CellLengths
from harness.estimator.record import AS_CALIBRATED, CALIBRATED, record_estimates
from harness.estimator.rules import HardwarePeaks
from harness.models.specs.dissect import spec_structure
from harness.models.weights.source import resolve_model
from harness.report.grid import Column, draw_columns
from harness.report.numbers import one_decimal, two_decimals
from harness.results.document import read_document
from harness.results.schema import Document, Record
from harness.runner.loop.run import run_plan
from harness.runner.plan import make_plan
from harness.runner.settings import load_settings
from harness.store.cache import default_cache, ensure_artifact

PLAN = "held-out"
USABLE_THREADS = 2


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("build", "measure", "report", "rescore"))
    parser.add_argument("paths", nargs="*", type=Path)
    options = parser.parse_args()
    if options.what == "build":
        build()
    elif options.what == "measure":
        (folder,) = options.paths
        report([measure(folder)])
    else:
        documents = [read_document(path) for path in options.paths]
        report([rescored(one) for one in documents] if options.what == "rescore" else documents)


def build() -> None:
    """Build every model of the plan into the cache."""
    settings = load_settings(PLAN)
    for model in settings.model:
        for level in settings.quant:
            print(ensure_artifact(resolve_model(model), level, default_cache()).folder)


def measure(folder: Path) -> Document:
    """Measure the plan and keep its document in `folder`."""
    plan = make_plan(load_settings(PLAN), USABLE_THREADS)
    outcome = run_plan(plan, results=folder, cache=default_cache(), progress=_tell)
    return outcome.document


def _tell(what: str, done: int, planned: int) -> None:
    print(f"{done}/{planned} {what}", flush=True)


def rescored(document: Document) -> Document:
    """Return a document whose calibrated estimates are those of this checkout."""
    return structs.replace(
        document, records=tuple(_rescored(one, document) for one in document.records)
    )


def _rescored(record: Record, document: Document) -> Record:
    cell, machine = record.cell, document.environment
    constants = next(
        one.constants for one in machine.calibration if one.constants.threads == cell.threads
    )
    readings = next(one.processes for one in machine.read_bandwidth if one.threads == cell.threads)
    drift = drift_between(constants.pulse, pulse_of(readings))
    lengths = CellLengths(
        cell.prompt, cell.gen, cell.depth, cell.batch, CACHES[cell.kv_cache], threads=cell.threads
    )
    found = record_estimates(
        spec_structure(resolve_model(cell.model).spec),
        find_level(cell.level),
        lengths,
        HardwarePeaks(None, structs.replace(constants, drift=drift)),
    )
    return structs.replace(
        record, estimates={name: dict(values) for name, values in found.by_metric.items()}
    )


@dataclass(frozen=True, slots=True)
class Line:
    """The errors of one estimator in one metric of one thread count, in percent."""

    run: str
    metric: str
    threads: str
    estimator: str
    errors: Sequence[float]

    @property
    def median_percent(self) -> float:
        """Of their absolute values."""
        return 100 * median(map(abs, self.errors))

    @property
    def bias(self) -> float:
        """Geometric mean of estimated over measured time or bytes."""
        return math.exp(sum(self.errors) / len(self.errors))


def report(documents: Sequence[Document]) -> None:
    """Print every run's drift, the medians of each run and of all, and every cell."""
    for one in documents:
        for found in {
            r.explanation.threads: r.explanation for r in one.records if r.explanation
        }.values():
            print(f"{one.run_id} {found.threads} threads: {found.drift}")
    pairs = {one.run_id: estimate_pairs([one]) for one in documents}
    lines = [line for run, some in pairs.items() for line in _lines(run, some)]
    if len(documents) > 1:
        lines += _lines("all", [pair for some in pairs.values() for pair in some])
    print(draw_columns(COLUMNS, lines, "md"))
    print(draw_columns(CELLS, [pair for some in pairs.values() for pair in _of_cells(some)], "md"))


def _lines(run: str, pairs: Sequence[Pair]) -> Iterator[Line]:
    """Yield one line per metric, thread class and estimator."""
    for metric in JUDGED:
        for threads in ("1 thread", "all"):
            for estimator in (AS_CALIBRATED, CALIBRATED):
                errors = [
                    pair.error_ln
                    for pair in pairs
                    if (pair.metric, pair.threads, pair.estimator)
                    == (metric.name, threads, estimator)
                ]
                if errors:
                    yield Line(run, metric.name, threads, estimator, errors)


def _of_cells(pairs: Iterable[Pair]) -> list[Pair]:
    times = ("decode_tok_s", "prefill_tok_s")
    return [one for one in pairs if one.metric in times and one.estimator == CALIBRATED]


COLUMNS: tuple[Column[Line], ...] = (
    Column("run", lambda line: line.run),
    Column("metric", lambda line: line.metric),
    Column("threads", lambda line: line.threads),
    Column("estimator", lambda line: line.estimator),
    Column("n", lambda line: len(line.errors)),
    Column("median %", lambda line: line.median_percent, one_decimal),
    Column("bias ×", lambda line: line.bias, two_decimals),
)
CELLS: tuple[Column[Pair], ...] = (
    Column("model", lambda pair: pair.cell.model),
    Column("level", lambda pair: pair.cell.level),
    Column("test", lambda pair: pair.cell.workload),
    Column("threads", lambda pair: pair.cell.threads),
    Column("est/meas time", lambda pair: math.exp(pair.error_ln), two_decimals),
)


if __name__ == "__main__":
    main()
