"""Estimated beside measured peak memory, in cells of one process each.

    python benchmarks/memory_peaks.py smollm2-135m:int4:pp2048 qwen3.5-0.8b:int4:tg16@1024

A cell is model:level:test with depth and batch as in `pp512@1024x3`, and a prompt that is read in
chunks as in `pp2048c512`. Each model is built into the
cache, and each cell measured in a worker of its own as a run measures it (VmHWM on Linux); nothing
is timed, so neighbours do no harm. Without cells those of LONG_PROMPTS are taken.
"""

import argparse
import re
from dataclasses import dataclass, replace
from math import exp, log
from statistics import fmean

from harness.builder.quantize.levels import LEVELS
from harness.core.units import MIB
from harness.engine.shapes import shapes_json
from harness.engine.workload import Workload
from harness.estimator.cell import CellLengths, cell_memory
from harness.estimator.memory import MemoryBreakdown
from harness.machine.process.worker import Worker
from harness.models.specs.dissect import spec_structure
from harness.models.weights.source import resolve_model
from harness.results.enums import Kind
from harness.results.replies import MemoryTaken
from harness.store.cache import default_cache, ensure_artifact

LONG_PROMPTS = (
    "smollm2-135m:fp32:pp2048",
    "smollm2-135m:int4:pp512",
    "smollm2-135m:int4:pp2048",
    "smollm2-135m:int8:pp2048",
    "qwen2.5-0.5b:int4:pp512",
    "qwen2.5-0.5b:int4:pp2048",
    "qwen2.5-0.5b:int8-block:pp2048",
    "gemma-3-270m:int4:pp2048",
    "gemma-2-2b:int4:pp2048",
    "lfm2-350m:int4:pp2048",
    "bge-small-en-v1.5:fp32:enc512x8",
    "modernbert-base:int8:enc512x8",
)
TEST = re.compile(r"(pp|tg|pg|enc)(\d+)(?:\+(\d+))?(?:c(\d+))?(?:@(\d+))?(?:x(\d+))?")


@dataclass(frozen=True, slots=True)
class Cell:
    """What is measured: a model at a level, and a test at a depth and a batch."""

    model: str
    level: str
    test: Workload
    batch: int


def parse(word: str) -> Cell:
    """Read `model:level:test`."""
    model, level, test = word.rsplit(":", 2)
    found = TEST.fullmatch(test)
    if found is None:
        raise SystemExit(f"{test!r} is no test: pp512, tg16@1024, pg128+16, enc128x8, pp64@512x3")
    kind = Kind(found[1])
    first, second, chunk, depth, batch = (int(number or 0) for number in found.groups()[1:])
    prompt, gen = (0, first) if kind is Kind.DECODE else (first, second)
    batch = max(1, batch)
    encodes = kind is Kind.ENCODE
    test_of = Workload(kind, prompt, gen, depth, batch if encodes else 1, chunk_tokens=chunk)
    return Cell(model, level, test_of, 1 if encodes else batch)


def measure(cell: Cell) -> MemoryTaken:
    """Build the model where the cache has none, and take its memory."""
    built = ensure_artifact(resolve_model(cell.model), cell.level, default_cache())
    built = built.for_capacity(cell.test.cache_tokens)
    with Worker.start("harness.engine.worker") as worker:
        return worker.ask(
            "memory",
            None,
            MemoryTaken,
            graph=str(built.graph),
            geometry=shapes_json(built.geometry),
            device="cpu",
            threads=1,
            batch=cell.batch,
            workload=cell.test,
            seed=0,
        )


def estimate(cell: Cell) -> MemoryBreakdown:
    """What a record would say of the cell."""
    test, structure = cell.test, spec_structure(resolve_model(cell.model).spec)
    batch = cell.batch * test.sequences
    lengths = CellLengths(test.prompt_tokens, test.gen_tokens, test.depth_tokens, batch)
    return cell_memory(
        structure, LEVELS[cell.level], replace(lengths, chunk_tokens=test.chunk_tokens)
    )


def main() -> None:
    """Print one row per cell, and the mean error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", nargs="*", default=LONG_PROMPTS)
    parser.add_argument("--parts", action="store_true", help="what each estimate is a sum of")
    arguments = parser.parse_args()
    errors = []
    print("| cell | loaded MiB | peak MiB | estimated MiB | meas/est |")
    print("|---|---|---|---|---|")
    for word in arguments.cells:
        cell = parse(word)
        taken, estimated = measure(cell), estimate(cell)
        errors.append(log(taken.peak_bytes / estimated.peak_bytes))
        print(
            f"| {word} | {taken.loaded.rss_bytes / MIB:,.1f} | {taken.peak_bytes / MIB:,.1f} "
            f"| {estimated.peak_bytes / MIB:,.1f} | {exp(errors[-1]):.3f} |",
            flush=True,
        )
        if arguments.parts:
            print("  ", taken)
            for term in estimated.terms:
                print(f"    {term.resident_bytes / MIB:10,.2f} MiB {term.name}")
    print(f"mean |ln| {100 * fmean(map(abs, errors)):.1f} %")


if __name__ == "__main__":
    main()
