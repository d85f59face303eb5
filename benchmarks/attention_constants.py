"""What attention costs in the installed onnxruntime: by heads, by window, by the cache's type.

    python benchmarks/attention_constants.py measure
    python benchmarks/attention_constants.py report

The estimates assume that a decode step's attention costs by query heads, that a window saves
nothing, and that a cache of integers has a rate of its own. Each shape here is one question: the
base, and the same with one thing changed. In every turn each shape runs once, in an order of its
own, so that a neighbour falls on all alike; the ratio to the base is the median over the turns.
`measure` appends one line per onnxruntime release, thread count and shape; about 50 s for both
thread counts. Run it with every new release: what it finds decides `attention_work`.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from harness.builder.graph.micro import Heads, write_attention
from harness.builder.quantize.levels import CACHES
from harness.core.units import NS_PER_US
from harness.devices.device import find_device
from harness.devices.session import open_session
from harness.engine.buffers import aligned_zeros, fill_cache
from harness.estimator.calibration.constants import Sizes
from harness.estimator.calibration.probe_worker import bound_attention
from harness.machine.watch.facts import machine_facts
from harness.report.grid import Column, draw_columns
from harness.report.numbers import two_decimals
from harness.results.journal import Journal, read_lines

FILE = Path("results/validation/attention.jsonl")
DEPTH = 2048
LAYERS = 4
HEAD_DIM = 64
SECONDS = 20.0  # of one thread count
LEAST_TURNS = 15


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape of attention: what it asks, and what it has.

    Attributes:
        asks: beside the base.
        tokens: new ones at once.
        seen: cached tokens and new ones.
        heads: of queries.
        kv_heads: of keys.
        window: tokens that a query sees; 0: all.
        cache: a cache level.
    """

    asks: str
    tokens: int = 1
    seen: int = DEPTH + 1
    heads: int = 16
    kv_heads: int = 8
    window: int = 0
    cache: str = "fp32"

    @property
    def name(self) -> str:
        """What it is, in words."""
        what = f"{self.tokens} of {self.seen}, {self.heads} heads, {self.kv_heads} of keys"
        window = f", window {self.window}" if self.window else ""
        return f"{what}{window}, {self.cache}"


BASE, PROMPT = Shape("step"), Shape("prompt", tokens=512, seen=512)
CHUNK = Shape("prompt of 64", tokens=64, seen=64)
SHAPES = (
    BASE,
    replace(BASE, asks="half the key heads", kv_heads=4),
    replace(BASE, asks="an eighth of the key heads", kv_heads=1),
    replace(BASE, asks="twice the key heads", kv_heads=16),
    replace(BASE, asks="half of both", heads=8, kv_heads=4),
    replace(BASE, asks="half the query heads", heads=8),
    replace(BASE, asks="twice the query heads", heads=32),
    replace(BASE, asks="a quarter of the depth", seen=DEPTH // 4 + 1),
    replace(BASE, asks="a window of a quarter", window=DEPTH // 4),
    *(replace(BASE, asks=f"a cache of {name}", cache=name) for name in CACHES if name != "fp32"),
    PROMPT,
    CHUNK,
    replace(CHUNK, asks="prompt of 64 behind 256", seen=64 + 256),
    replace(CHUNK, asks="prompt of 64 behind 1024", seen=64 + 1024),
    replace(PROMPT, asks="prompt, half the key heads", kv_heads=4),
    replace(PROMPT, asks="prompt, half the query heads", heads=8),
    replace(PROMPT, asks="prompt, a window of an eighth", window=64),
    replace(PROMPT, asks="prompt, a window of a half", window=256),
    replace(PROMPT, asks="prompt, a window of all", window=512),
    *(
        replace(PROMPT, asks=f"prompt, a cache of {name}", cache=name)
        for name in CACHES
        if name != "fp32"
    ),
)


def main() -> None:
    """Measure or report, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("measure", "report"))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--file", type=Path, default=FILE)
    options = parser.parse_args()
    if options.what == "measure":
        with Journal(options.file) as journal:
            for threads in map(int, options.threads.split(",")):
                for line in measure(threads, options.seconds):
                    journal.append(line)
    report(options.file)


def measure(threads: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield one line per shape: time of a run of one layer, and its ratio to its base."""
    facts = machine_facts()
    with tempfile.TemporaryDirectory(prefix="bench-attention-") as folder:
        runs = {shape: _opened(Path(folder), shape, threads) for shape in SHAPES}
        for run in runs.values():
            run()
        turns: dict[Shape, list[float]] = {shape: [] for shape in SHAPES}
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s or len(turns[BASE]) < LEAST_TURNS:
            order = list(SHAPES)
            random.Random(len(turns[BASE])).shuffle(order)
            for shape in order:
                start_ns = time.perf_counter_ns()
                runs[shape]()
                turns[shape].append((time.perf_counter_ns() - start_ns) / LAYERS / NS_PER_US)
    for shape, taken in turns.items():
        base = turns[BASE if shape.tokens == 1 else PROMPT]
        yield {
            "kind": "attention",
            "onnxruntime": version("onnxruntime"),
            "cpu": facts.cpu_model,
            "threads": threads,
            "asks": shape.asks,
            "shape": shape.name,
            "turns": len(taken),
            "layer_us": round(median(taken), 2),
            "ratio": round(median(a / b for a, b in zip(taken, base, strict=True)), 4),
        }


def _opened(folder: Path, shape: Shape, threads: int) -> Callable[[], object]:
    """Write, open and bind one shape; its caches are full of normal values."""
    cache, path = CACHES[shape.cache], folder / f"{SHAPES.index(shape)}.onnx"
    heads = Heads(LAYERS, shape.heads, shape.kv_heads, HEAD_DIM, shape.seen, shape.window)
    write_attention(path, heads, cache)
    # Threads of sessions that wait would spin on the cores of the one that runs.
    opened = open_session(path, find_device("cpu"), threads, stop_spinning=threads > 1)
    one = aligned_zeros((1, shape.kv_heads, shape.seen, cache.stored_width(HEAD_DIM)), cache.dtype)
    fill_cache(one, cache, (0,))
    caches = [one.copy() for _ in range(2 * LAYERS)]
    sizes = Sizes(heads=shape.heads, kv_heads=shape.kv_heads, head_dim=HEAD_DIM)
    return bound_attention(opened, sizes, caches, shape.tokens, shape.seen)


def report(path: Path) -> None:
    """One line per release, thread count and shape."""
    print(draw_columns(COLUMNS, read_lines(path), "md"))


COLUMNS: tuple[Column[dict[str, Any]], ...] = (
    Column("onnxruntime", lambda line: line["onnxruntime"]),
    Column("threads", lambda line: line["threads"]),
    Column("asks", lambda line: line["asks"]),
    Column("shape", lambda line: line["shape"]),
    Column("us a layer", lambda line: line["layer_us"], two_decimals),
    Column("× base", lambda line: line["ratio"], two_decimals),
    Column("turns", lambda line: line["turns"]),
)


if __name__ == "__main__":
    main()
