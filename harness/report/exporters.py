"""Results documents in the formats that other tools read, and the one table of them. Pure."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from harness.report.export import cell_name, exported, is_number, labels
from harness.report.grid import json_text, one_line
from harness.report.required import draw_document_junit
from harness.results.glossary import explain, terms
from harness.results.metrics import find_metric, metric_row
from harness.results.progress import ending_of, progress_of, progress_sentence
from harness.results.schema import Document, Metric, Record
from harness.results.summarize import process_values, timed_metrics

PREFIX = "ondevice_bench_"
ENDS = {"": "value", "_low": "low", "_high": "high"}
ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})

Series = dict[str, list[tuple[dict[str, str], float]]]
BENCHSTAT_LEAST = 6
BENCHSTAT_FEW = (
    f"benchstat gives no interval (± ∞) from fewer than {BENCHSTAT_LEAST} values a side: "
    f"measure with --rounds {BENCHSTAT_LEAST}"
)
UNITS_PER_S = {"ms": 1e3, "ms/token": 1e3}
PYPERF_VERSION = "1.0"
# A name ends at a space, and its parts at a slash; `-8` at its end would be a processor count.
UNSAFE = re.compile(r"[\s/=]+|-(?=\d+$)")


# OpenMetrics text: one gauge per metric, and one for each end of its interval.
#
# Format: https://prometheus.io/docs/specs/om/open_metrics_spec


def draw_openmetrics(document: Document) -> str:
    """The run, every family together, as the format asks, then its end mark.

    The run's name stands in a family of its own: as a label it would begin new series each time.
    That is a gauge too: the format's own type `info` makes Go's parser of the older text format,
    behind textfile collectors and the push gateway, refuse the whole file.
    """
    families: Series = {}
    for record, metrics in exported(document):
        for name, metric in metrics.items():
            for suffix, end in ENDS.items():
                value = getattr(metric, end)
                if is_number(value):
                    sample = (labels(record.cell), value)
                    families.setdefault(name + suffix, []).append(sample)
    return "\n".join([*_run_lines(document), *_family_lines(families), "# EOF"]) + "\n"


def _run_lines(document: Document) -> Iterator[str]:
    """Yield which run it is."""
    facts = {
        "run_id": document.run_id,
        "created_utc": document.created_utc,
        "method_version": str(document.method_version),
        "ended": ending_of(document),
        "progress": progress_sentence(document),
    }
    yield f"# TYPE {PREFIX}run_info gauge"
    yield f"# HELP {PREFIX}run_info The run that all numbers are from."
    yield f"{PREFIX}run_info{{{_braced(facts)}}} 1"


def _family_lines(families: Series) -> Iterator[str]:
    """Yield type, help and samples of each family."""
    for name, samples in families.items():
        yield f"# TYPE {PREFIX}{name} gauge"
        yield f"# HELP {PREFIX}{name} {_family_help(name).translate(ESCAPES)}"
        for labelled, value in samples:
            yield f"{PREFIX}{name}{{{_braced(labelled)}}} {value!r}"


def _braced(labelled: dict[str, str]) -> str:
    """Names and values between the braces; an empty label is the same as none, so it is none."""
    return ",".join(
        f'{key}="{one_line(item).translate(ESCAPES)}"' for key, item in labelled.items() if item
    )


def _family_help(name: str) -> str:
    """What a metric is; a name that this version does not know stands for itself."""
    base = name.removesuffix("_low").removesuffix("_high")
    if base != name:
        return f"{name.removeprefix(base)[1:]} end of the 95 % interval of {base}"
    return explain(name).splitlines()[0] if name in terms() else name


# Bencher Metric Format: benchmark -> measure -> value with the ends of its interval.
#
# Format: https://bencher.dev/docs/reference/bencher-metric-format


def draw_bencher(document: Document) -> str:
    """One benchmark per cell, one measure per metric; ends are left out where there are none.

    The format holds numbers only: a run that is not whole has a benchmark named by what it lacks.
    """
    table = {
        cell_name(record.cell): {name: _bencher_measure(metric) for name, metric in metrics.items()}
        for record, metrics in exported(document)
    }
    found, told = progress_of(document), progress_sentence(document)
    if found is not None:
        counts = {"cells_whole": found.whole, "cells": found.cells}
        table[f"run {told}"] = {name: {"value": count} for name, count in counts.items()}
    return json_text(table, indent=1) + "\n"


def _bencher_measure(metric: Metric) -> dict[str, float]:
    """Value and ends."""
    ends = {"value": metric.value, "lower_value": metric.low, "upper_value": metric.high}
    return {name: end for name, end in ends.items() if is_number(end)}


# JSON of benchmark-action/github-action-benchmark: one file per direction.
#
# Format: https://github.com/benchmark-action/github-action-benchmark, tools `customSmallerIsBetter`
# and `customBiggerIsBetter`. That tool compares single numbers by their ratio alone; `bench
# compare` is the one that knows whether a difference is real. A value of 0 is left out: after it
# the first rounding error is an infinite ratio, and an alert.


def draw_smaller_is_better(document: Document) -> str:
    """Times, sizes and losses: everything of which less is better."""
    return _draw_direction(document, bigger=False)


def draw_bigger_is_better(document: Document) -> str:
    """Rates, agreements, cosines and shares of a peak: everything of which more is better."""
    return _draw_direction(document, bigger=True)


def _draw_direction(document: Document, bigger: bool) -> str:
    """One entry per cell and metric of one direction; one that is not known here has none."""
    told = progress_sentence(document)
    entries = [
        _action_entry(record, name, metric, told)
        for record, metrics in exported(document)
        for name, metric in metrics.items()
        if metric.value and (row := find_metric(name)) and row.more_is_better == bigger
    ]
    return json_text(entries, indent=1) + "\n"


def _action_entry(record: Record, name: str, metric: Metric, run: str) -> dict[str, Any]:
    """One number with its interval as the range, and what it stands on in the tooltip."""
    entry: dict[str, Any] = {
        "name": f"{cell_name(record.cell)} {name}",
        "unit": metric.unit,
        "value": metric.value,
    }
    if is_number(metric.low) and is_number(metric.high):
        entry["range"] = f"{metric.low:.6g} - {metric.high:.6g}"
    grade = record.trust.grade if record.trust else "unknown"
    extra = f"processes: {metric.processes}\ntrust: {grade}" + (f"\nrun: {run}" if run else "")
    return {**entry, "extra": extra}


# pyperf's JSON: one benchmark per cell and timed metric, one run per process.
#
# Format: https://pyperf.readthedocs.io/en/latest/api.html, version 1.0. pyperf tests all values of
# a benchmark as one pool, which only holds for independent ones: so each process gives one value,
# its median.


def draw_pyperf(document: Document) -> str:
    """A suite of all times, in seconds; rates are their inverses and left out."""
    benchmarks = [
        _pyperf_benchmark(record, name, list(values.values()), UNITS_PER_S[metrics[name].unit])
        for record, metrics in exported(document)
        for name in timed_metrics(record)
        if name in metrics and metrics[name].unit in UNITS_PER_S
        if (values := process_values(record, name))
    ]
    suite = {
        "benchmarks": benchmarks,
        "metadata": _pyperf_metadata(document),
        "version": PYPERF_VERSION,
    }
    return json_text(suite, indent=1) + "\n"


def _pyperf_benchmark(
    record: Record, name: str, values: list[float], per_s: float
) -> dict[str, Any]:
    """One benchmark: a run of one value per process."""
    metadata = {"name": f"{cell_name(record.cell)} {name}", "unit": "second"}
    return {"metadata": metadata, "runs": [{"values": [value / per_s]} for value in values]}


def _pyperf_metadata(document: Document) -> dict[str, str]:
    """What pyperf shows of the machine; only what is known."""
    known = {
        "cpu_model_name": document.environment.cpu_model,
        "platform": document.environment.os,
        "python_version": document.environment.python_version,
        "run_id": document.run_id,
        "run_progress": progress_sentence(document),
    }
    return {name: str(value) for name, value in known.items() if value}


# Lines that Go's benchstat reads: one per process and cell; a metric's name is its unit. From fewer
# than six values it gives no interval (± ∞); a line that it passes over says so.
#
# Format: https://go.googlesource.com/proposal/+/master/design/14313-benchmark-format.md


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
            told = {"cpu": document.environment.cpu_model or "unknown"}
            told |= {"run": progress_sentence(document)}
            lines += [f"{key}: {one_line(words)}" for key, words in told.items() if words]
            for record, metrics in exported(document):
                units.update(_benchstat_units(metrics, timed_metrics(record)))
                lines += _benchstat_lines(record, metrics, side)
    few = min(_counts(lines), default=BENCHSTAT_LEAST) < BENCHSTAT_LEAST
    notes = [f"# {BENCHSTAT_FEW}"] * few
    directions = [f"Unit {unit} better={'higher' * up or 'lower'}" for unit, up in units.items()]
    return "\n".join([*notes, *directions, *lines]) + "\n"


def _counts(lines: Iterable[str]) -> Iterable[int]:
    """How many lines each benchmark has."""
    names = (line.partition("\t")[0] for line in lines if line.startswith("Benchmark"))
    return Counter(names).values()


def _benchstat_units(metrics: dict[str, Metric], timed: Iterable[str]) -> dict[str, bool]:
    """Unit names of the timed metrics, and whether more is better."""
    return {name: metric_row(name).more_is_better for name in timed if name in metrics}


def _benchstat_lines(record: Record, metrics: dict[str, Metric], side: str) -> Iterator[str]:
    """Yield one line per process, with every metric that it has."""
    named = [name for name in timed_metrics(record) if name in metrics]
    values = {name: process_values(record, name) for name in named}
    keys = {key: item for key, item in labels(record.cell).items() if item}
    parts = [f"{key}={UNSAFE.sub('_', item)}" for key, item in keys.items()]
    parts += [f"side={UNSAFE.sub('_', side)}"] if side else []
    for place in sorted({place for found in values.values() for place in found}):
        numbers = [f"{found[place]:.9g} {name}" for name, found in values.items() if place in found]
        yield "\t".join([f"BenchmarkCell/{'/'.join(parts)}", "1", *numbers])


EXPORTERS: dict[str, Callable[[Document], str]] = {
    "junit": draw_document_junit,
    "openmetrics": draw_openmetrics,
    "bencher": draw_bencher,
    "benchmark-action": draw_smaller_is_better,
    "benchmark-action-bigger": draw_bigger_is_better,
    "pyperf": draw_pyperf,
    "benchstat": draw_benchstat,
}
