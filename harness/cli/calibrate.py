"""`bench calibrate`: measure this machine's ceilings once, keep them, and print them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from harness.builder.quantize.levels import find_levels
from harness.cli.options import FORMATS, Word
from harness.core.errors import UsageError
from harness.core.ranges import parse_names
from harness.core.units import GB, KIB, MIB
from harness.estimator.calibration.constants import (
    CHOICE,
    ELEMENTWISE,
    Constants,
    RatePoint,
    StoredConstants,
)
from harness.runner.plan import plan_threads

HEADER = ("constant", "tokens", "working set MiB", "threads", "value", "low", "high", "unit", "n")
EXAMPLE = "Example:  bench calibrate --quant fp32,int4 --threads 1,2"
DEFAULT_LEVELS = "fp32,int8,int4"  # of the default plan


@click.command("calibrate", epilog=EXAMPLE)
@click.option("--device", default="cpu", show_default=True, help="One row of the device table.")
@click.option("--quant", default=DEFAULT_LEVELS, show_default=True, help="Levels to cover.")
@click.option("--threads", default="all", show_default=True, help="Intra-op threads: 1,2 or all.")
@click.option("--full", is_flag=True, help="Every level, more and longer processes.")
@click.option("--again", is_flag=True, help="Measure even what is stored.")
@click.option("--cache", type=click.Path(path_type=Path), help="Where constants are kept.")
@click.option("--format", "style", type=Word(FORMATS), default="table", show_default=True)
def command(
    device: str,
    quant: str,
    threads: str,
    full: bool,
    again: bool,
    cache: Path | None,
    style: str,
) -> None:
    """Measure what this machine can do at most: the constants behind the calibrated estimates.

    Read bandwidth over working sets, matrix rates of each level's kernel at one token and at
    prompt lengths, attention, and the fixed cost of a call; each with its 95 % interval over fresh
    processes. No whole model is timed. Kept per machine, onnxruntime version and thread count.
    """
    from harness.devices.table import find_row
    from harness.estimator.calibration.calibrate import ensure_constants
    from harness.estimator.calibration.storage import ground_of
    from harness.machine.watch.facts import machine_facts
    from harness.store.cache import default_cache

    facts = machine_facts()
    row = find_row(device)
    if row.kind != "cpu":
        raise UsageError(
            f"the ceilings of {row.key} cannot be calibrated yet",
            fix="bench calibrate --device cpu",
        )
    levels = tuple(level.name for level in find_levels(parse_names(quant, "--quant")))
    counts = thread_counts(threads, int(facts["usable_cores"] or 1))
    stored = [
        ensure_constants(
            cache or default_cache(),
            ground_of(facts, row.key, count),
            levels,
            full=full,
            again=again,
            say=lambda line: click.echo(line, err=True),
        )
        for count in counts
    ]
    click.echo(draw_constants(stored, style))


def thread_counts(text: str, usable: int) -> tuple[int, ...]:
    """Return the thread counts of the flag, each once, as a plan takes them.

    Raises:
        UsageError: a word that is no count from 1 to `usable`, nor `all`.
    """
    return plan_threads(parse_names(text, "--threads"), usable)


def draw_constants(stored: list[StoredConstants], style: str) -> str:
    """Draw every constant, or the stored records themselves where a program reads them."""
    if style == "json":
        return json.dumps([asdict(record) for record in stored], indent=1)
    if style == "jsonl":
        return "\n".join(json.dumps(asdict(record)) for record in stored)
    from harness.report.grid import draw_rows

    rows = [row for record in stored for row in constant_rows(record.constants)]
    return draw_rows(HEADER, rows, style)


def constant_rows(constants: Constants) -> Iterator[tuple[str, ...]]:
    """Yield one row of text per constant."""
    threads = str(constants.threads)
    for point in constants.bandwidth:
        yield _rate_row("read bandwidth", point, threads, "GB/s")
    for kernel, points in sorted(constants.rates.items()):
        unit = "GB/s" if kernel in (ELEMENTWISE, CHOICE) else "Gflop/s"
        for point in sorted(points, key=lambda point: (point.rows, point.size_bytes)):
            if kernel.endswith(" call"):
                ends = (1 / point.rate_per_s, 1 / point.high_per_s, 1 / point.low_per_s)
                yield _time_row(kernel, ends, point.size_bytes, threads, point.processes)
            else:
                yield _rate_row(kernel, point, threads, unit)
    for name, time in sorted(constants.times.items()):
        ends = (time.seconds, time.low_s, time.high_s)
        yield _time_row(name, ends, None, threads, time.processes)


def _time_row(
    name: str, seconds: Sequence[float], size_bytes: float | None, threads: str, processes: int
) -> tuple[str, ...]:
    """Return one fixed time in microseconds."""
    size = "–" if size_bytes is None else f"{size_bytes / MIB:.1f}"
    values = (f"{second * 1e6:.2f}" for second in seconds)
    return (name, "–", size, threads, *values, "µs", str(processes))


def _rate_row(name: str, point: RatePoint, threads: str, unit: str) -> tuple[str, ...]:
    """Return one rate in thousand millions per second."""
    rates = (point.rate_per_s, point.low_per_s, point.high_per_s)
    size = f"{point.size_bytes / MIB:.1f}" if point.size_bytes >= KIB else "0.0"
    values = (f"{rate / GB:.2f}" for rate in rates)
    return (name, str(point.rows), size, threads, *values, unit, str(point.processes))
