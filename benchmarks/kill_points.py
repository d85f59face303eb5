"""kill -9 at random points: of the process that runs a plan, and of its workers; then --resume.

    python benchmarks/kill_points.py --parents 100 --workers 100 [--seed 0]

Runs of a tiny model whose workers answer constants (null_worker.py), in real processes. What must
hold: resumed until it is whole, a run has the records of one that nobody killed, and no process,
journal or other name is left of it. Prints a line per kind and what was found; ends with 1 where
something did not hold. About 3 s a trial on two cores.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from msgspec import structs

from harness.results.document import read_document
from harness.results.schema import Document

ROOT = Path(__file__).resolve().parent.parent
MARK = "BENCH_KILL_POINTS"  # a variable of every process of a trial
PAUSE_S = 0.01  # each command of a worker
MOST_SITTINGS = 6
EXIT_OK, EXIT_CELLS = 0, 3
PLAN = ("--quant", "fp32,int4", "--prompt", "8", "--gen", "4", "--threads", "1", "--rounds", "2")
RUN = """
import sys
from harness.cli.main import main
from harness.results.replies import MemoryRead
from harness.runner.loop import rounds
from harness.runner.plan import runtimes

runtimes.WORKERS[runtimes.ORT] = "benchmarks.null_worker"
rounds.measure_read_bandwidth = lambda *_: MemoryRead(threads=1, bytes=8, pass_ns=(1, 2))
sys.exit(main(sys.argv[1:]))
"""


@dataclass(frozen=True, slots=True)
class Bench:
    """One machine's trials.

    Attributes:
        model: folder of the model.
        cache: of built models.
        results: folder of the trial.
        mark: what tells its processes from others.
    """

    model: Path
    cache: Path
    results: Path
    mark: str

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        """Start `bench run` in a session of its own."""
        words = [sys.executable, "-c", RUN, "run", "--model", str(self.model), *PLAN]
        words += ["--no-calibrate", "-q", "--format", "csv"]
        words += ["--cache", str(self.cache), "--results", str(self.results), *more]
        return subprocess.Popen(
            words,
            cwd=ROOT,
            env={**os.environ, MARK: self.mark, "NULL_PAUSE_S": str(PAUSE_S)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def processes(self) -> Iterator[psutil.Process]:
        """Every process of the trial that lives."""
        for process in psutil.process_iter():
            try:
                is_ours = process.environ().get(MARK) == self.mark
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    yield process
            except psutil.Error:
                continue

    def finish(self, code: int) -> tuple[int, int]:
        """Go on until the run is whole; returns its exit code and the sittings that it took."""
        sittings = 0
        while code != EXIT_OK and sittings < MOST_SITTINGS:
            sittings += 1
            journals = list(self.results.glob("*.journal.jsonl"))
            if not journals and list(self.results.glob("run-*.json")):
                return EXIT_OK, sittings  # it was whole, and was killed while it was drawn
            code = self.start(*["--resume"] * bool(journals)).wait()
            if code == 2 and journals:  # killed before its first line: there is nothing to resume
                code = self.start().wait()
        return code, sittings


def records_of(document: Document) -> list[tuple[object, ...]]:
    """What two runs of one plan share: all but the machine beside them and what it is judged by."""
    found = []
    for record in document.records:
        samples = [
            structs.replace(one, watch=None, energy=None, round=one.round) for one in record.samples
        ]
        metrics = {name: one for name, one in record.metrics.items() if name != "energy_j"}
        found.append((record.cell, record.status, record.reason, samples, metrics, record.memory))
    return found


def whole_run(bench: Bench) -> tuple[list[tuple[object, ...]], float]:
    """The records of a run that nobody kills, and the seconds that it takes; builds the models."""
    for _ in range(2):
        shutil.rmtree(bench.results, ignore_errors=True)
        start_s = time.monotonic()
        code = bench.start().wait()
        taken_s = time.monotonic() - start_s
        if code != EXIT_OK:
            raise SystemExit(f"a run that nobody killed ended with {code}")
    return records_of(read_document(next(bench.results.glob("run-*.json")))), taken_s


def kill_parent(bench: Bench, after_s: float) -> int:
    """Kill the process that runs the plan after so many seconds; returns its exit code."""
    parent = bench.start()
    threading.Event().wait(after_s)
    parent.kill()
    return parent.wait()


def kill_worker(bench: Bench, after_s: float, chance: random.Random) -> int:
    """Kill one of its workers after so many seconds, if there is one; returns the exit code."""
    parent = bench.start()
    threading.Event().wait(after_s)
    workers = [process for process in bench.processes() if process.pid != parent.pid]
    if workers:
        with suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(chance.choice(workers).pid, signal.SIGKILL)
    return parent.wait()


def orphans(bench: Bench) -> int:
    """Processes that outlive the trial, after they had time to see its end."""
    for _ in range(50):
        if not any(bench.processes()):
            return 0
        threading.Event().wait(0.1)
    return sum(1 for _ in bench.processes())


def judge(bench: Bench, code: int, expected: list[tuple[object, ...]]) -> list[str]:
    """What did not hold of a trial that ended with `code`."""
    left = orphans(bench)
    faults = [f"{left} processes left"] * bool(left)
    code, sittings = bench.finish(code)
    if code != EXIT_OK:
        return [*faults, f"ended with {code} after {sittings} sittings"]
    documents = list(bench.results.glob("run-*.json"))
    if len(documents) != 1:
        return [*faults, f"{len(documents)} documents"]
    if records_of(read_document(documents[0])) != expected:
        faults.append("other records")
    names = [path.name for path in bench.results.iterdir() if path != documents[0]]
    kept = [name for name in names if not name.startswith(".")]
    return [*faults, *([f"left: {', '.join(kept)}"] if kept else [])]


def main() -> int:
    """Kill, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parents", type=int, default=100)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.tiny import write_checkpoint

    chance, bad = random.Random(asked.seed), 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = write_checkpoint(folder / "tiny")
        first = Bench(model, folder / "cache", folder / "whole", f"{os.getpid()}")
        expected, taken_s = whole_run(first)
        print(f"a run that nobody kills takes {taken_s:.1f} s")
        for kind, count in (("parent", asked.parents), ("worker", asked.workers)):
            codes: Counter[int] = Counter()
            found: list[str] = []
            for number in range(count):
                results = folder / f"{kind}-{number}"
                bench = Bench(model, first.cache, results, f"{os.getpid()}-{kind}-{number}")
                after_s = chance.uniform(0, taken_s)
                code = (
                    kill_parent(bench, after_s)
                    if kind == "parent"
                    else kill_worker(bench, after_s, chance)
                )
                codes[code] += 1
                faults = judge(bench, code, expected)
                found += [f"{kind} {number}, after {after_s:.2f} s: {one}" for one in faults]
                shutil.rmtree(results, ignore_errors=True)
            ends = ", ".join(f"{code}: {times}" for code, times in sorted(codes.items()))
            print(f"{kind}: {count} kills, exit codes {ends}; did not hold: {len(found)}")
            for line in found:
                print(f"  {line}")
            bad += len(found)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
