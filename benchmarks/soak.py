"""A long run of a model that costs nothing: memory, file handles and time of the parent.

    python benchmarks/soak.py                     # 1,000 cells
    python benchmarks/soak.py --cells 5000

Each kind of question is asked of one real worker once; what it said is said again to all that come
later, so that nothing is left but what the parent does for a cell: its journal line on the disk,
its statistics, its record. Told after every hundred cells, beside the first hundred: resident
memory above it, open files, and the median time between two finished rows. It ends with 1 where
memory grew by more than 5 %, files grew at all, or the last hundred cells took more than half as
long again.
"""

import argparse
import gc
import sys
import time
from copy import deepcopy
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from harness.core.units import MIB
from harness.estimator.calibration import bandwidth, calibrate
from harness.results.progress import FINISHED
from harness.runner.loop import interleaved, session
from harness.runner.loop.run import run_plan
from harness.runner.plan import make_plan
from harness.runner.settings import Settings
from tests.runner.loop.recorded_worker import RecordedWorker
from tests.tiny import write_checkpoint

BLOCK, BATCHES, LEVELS = 100, 10, ("fp32", "int4")
MOST_GROWTH, MOST_SLOWER = 0.05, 1.5
ANSWERS: dict[tuple[str, str, str], Any] = {}


class NullWorker(RecordedWorker):
    """Answers each kind of question with what a real worker said to the first of them."""

    def ask(self, do: str, timeout_s: float, reply: Any = Any, **arguments: Any) -> Any:
        """Repeat the first answer to such a question."""
        kind = str(arguments.get("kind") or arguments.get("workload", {}))[:9]
        key = (self.module, do, kind)
        if key not in ANSWERS:
            ANSWERS[key] = super().ask(do, timeout_s, reply, **arguments)
        return deepcopy(ANSWERS[key])


class Watch:
    """Memory, files and time of this process, row by row."""

    def __init__(self) -> None:
        """Begin now."""
        self.process, self.rows = psutil.Process(), 0
        self.times_s: list[float] = []
        self.blocks: list[tuple[float, int, float]] = []
        self.last_s = time.perf_counter()

    def row(self, what: str, _done: int, _total: int) -> None:
        """Take the time of a finished row."""
        if not what.startswith(FINISHED):
            return
        now_s = time.perf_counter()
        self.times_s.append(now_s - self.last_s)
        self.last_s = now_s
        if len(self.times_s) % BLOCK == 0:
            self.block()

    def block(self) -> None:
        """Tell what a hundred more cells have cost."""
        gc.collect()
        memory_mib = self.process.memory_info().rss / MIB
        files = self.process.num_fds() if hasattr(self.process, "num_fds") else 0
        each_ms = 1e3 * median(self.times_s[-BLOCK:])
        self.blocks.append((memory_mib, files, each_ms))
        growth = memory_mib / self.blocks[0][0] - 1
        print(
            f"{len(self.times_s):6} cells  {memory_mib:7.1f} MiB {growth:+6.1%}  "
            f"{files:3} files  {each_ms:6.2f} ms a cell",
            flush=True,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=1000)
    asked = parser.parse_args()
    for module in (bandwidth, calibrate, interleaved, session):
        module.Worker = NullWorker  # type: ignore[attr-defined]
    with TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(
            model=(str(write_checkpoint(folder / "tiny")),),
            quant=LEVELS,
            gen=(4,),
            prompt=(),
            pg=(),
            batch=tuple(range(1, BATCHES + 1)),
            depth=tuple(range(asked.cells // (BATCHES * len(LEVELS)))),
            threads=("1",),
            rounds=1,
            warm_seconds=0.05,
            sample_seconds=0.01,
            min_passes=2,
            calibrate=False,
        )
        plan = make_plan(settings, usable_threads=1)
        watch = Watch()
        outcome = run_plan(
            plan, results=folder / "results", cache=folder / "cache", progress=watch.row
        )
        size_mib = outcome.path.stat().st_size / MIB
        print(f"{plan.cell_count} cells, code {outcome.exit_code}, document of {size_mib:.1f} MiB")
    first, last = watch.blocks[0], watch.blocks[-1]
    sound = (
        max(memory for memory, _, _ in watch.blocks) <= first[0] * (1 + MOST_GROWTH),
        max(files for _, files, _ in watch.blocks) <= first[1],
        last[2] <= first[2] * MOST_SLOWER,
    )
    return 0 if all(sound) else 1


if __name__ == "__main__":
    sys.exit(main())
