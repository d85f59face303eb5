"""How products of many rows scale with threads, by the shape of their matrices.

    python benchmarks/prefill_shapes.py measure --levels int4,int8-block,fp32
    python benchmarks/prefill_shapes.py report

A calibration multiplies one pair of shapes, a model has others: narrower ones, above all the small
models. Of each level and shape a chain of eight matrices, in a cache or nearly, is run with each
thread count at two numbers of rows, one session at a time, in orders of their own; each pass of all
of them appends a line per shape. `us` is the time of one matrix. `serial` is the part of it that
one thread does while others wait, as a share of its time with one thread: 2 · t2 / t1 - 1.
"""

import argparse
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from harness.builder.graph.micro import write_matrix_chain
from harness.builder.quantize.levels import find_level
from harness.devices.device import find_device
from harness.devices.session import open_session
from harness.estimator.calibration.probe_worker import bound_vector
from harness.machine.watch.facts import machine_facts
from harness.report.grid import Column, draw_columns
from harness.report.numbers import two_decimals
from harness.results.journal import Journal, read_lines

FILE = Path("results/validation/prefill-shapes.jsonl")
# (inputs, outputs) and back: those of the calibration, of smollm2-135m, of smollm2-360m, of
# tinyllama-1.1b, and some that lie between.
SHAPES = (
    (1024, 2048),
    (576, 576),
    (576, 960),
    (576, 1536),
    (960, 2560),
    (512, 512),
    (1024, 1024),
    (2048, 5632),
)
MATRICES = 8
ROWS = (64, 320)
THREADS = (1, 2)
SECONDS = 0.06  # of one shape, thread count and number of rows, in one pass over all
PASSES = 4


def main() -> None:
    """Measure or report, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("measure", "report"))
    parser.add_argument("--levels", default="int4,int8-block,fp32")
    parser.add_argument("--passes", type=int, default=PASSES)
    parser.add_argument("--file", type=Path, default=FILE)
    options = parser.parse_args()
    if options.what == "measure":
        with Journal(options.file) as journal:
            for level in options.levels.split(","):
                for line in measure(level, options.passes):
                    journal.append(line)
    report(options.file)


def measure(level: str, passes: int) -> Iterator[dict[str, Any]]:
    """Yield one line per shape, thread count and number of rows, of every pass over all."""
    facts = {"onnxruntime": version("onnxruntime"), "cpu": machine_facts().cpu_model}
    with tempfile.TemporaryDirectory(prefix="bench-shapes-") as folder:
        paths = {}
        for inputs, outputs in SHAPES:
            path = paths[inputs, outputs] = Path(folder) / f"{inputs}.{outputs}.onnx"
            write_matrix_chain(path, find_level(level), inputs, outputs, MATRICES)
        for number in range(passes):
            order = [(shape, threads) for shape in SHAPES for threads in THREADS]
            random.Random(number).shuffle(order)
            for (inputs, outputs), threads in order:
                opened = open_session(paths[inputs, outputs], find_device("cpu"), threads)
                for rows in ROWS:
                    run = bound_vector(opened, (1, rows, inputs))
                    yield {
                        "kind": "prefill-shape",
                        **facts,
                        "level": level,
                        "inputs": inputs,
                        "outputs": outputs,
                        "rows": rows,
                        "threads": threads,
                        "us": round(_matrix_us(run), 3),
                    }
                del opened, run


def _matrix_us(run: Any) -> float:
    """Return the median time of one matrix of a chain, warm."""
    for _ in range(3):
        run()
    taken, end_s = [], time.monotonic() + SECONDS
    while time.monotonic() < end_s or len(taken) < 3:
        start_ns = time.perf_counter_ns()
        run()
        taken.append(time.perf_counter_ns() - start_ns)
    return median(taken) / MATRICES / 1e3


def report(path: Path) -> None:
    """One line per level, shape and number of rows: both thread counts and what is serial."""
    found: dict[tuple[Any, ...], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in read_lines(path):
        key = tuple(line[name] for name in ("onnxruntime", "level", "inputs", "outputs", "rows"))
        found[key][line["threads"]].append(line["us"])
    lines = [
        (*key, median(times[1]), median(times[2])) for key, times in found.items() if len(times) > 1
    ]
    print(draw_columns(COLUMNS, lines, "md"))


def _gflop(line: tuple[Any, ...], threads: int) -> float:
    """Return Gflop/s of a line with so many threads."""
    _, _, inputs, outputs, rows, *times = line
    return float(2e-3 * inputs * outputs * rows / times[threads - 1])


COLUMNS: tuple[Column[tuple[Any, ...]], ...] = (
    Column("onnxruntime", lambda line: line[0]),
    Column("level", lambda line: line[1]),
    Column("shape", lambda line: f"{line[2]} x {line[3]}"),
    Column("rows", lambda line: line[4]),
    Column("us, 1 thread", lambda line: line[5], two_decimals),
    Column("us, 2 threads", lambda line: line[6], two_decimals),
    Column("Gflop/s, 1", lambda line: _gflop(line, 1), two_decimals),
    Column("Gflop/s, 2", lambda line: _gflop(line, 2), two_decimals),
    Column("faster", lambda line: line[5] / line[6], two_decimals),
    Column("serial", lambda line: f"{2 * line[6] / line[5] - 1:.2f}"),
)


if __name__ == "__main__":
    main()
