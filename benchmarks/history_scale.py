"""How long a history of many records takes: indexed, asked, drawn, and in how much memory.

    python benchmarks/history_scale.py                          # 100,000 records
    python benchmarks/history_scale.py --records 10000 --folder /tmp/history

Documents are those of a plan that is run night after night: the records of a committed document,
samples and all, whose values vary from run to run by a seeded noise of 2 %, with one step of 10 %
on one day, on two machines. Each command of `bench history` is timed as a user starts it,
interpreter included, with its CPU time and the most memory that it held; those that repeat are run
several times, and the least is told beside the first. It ends with 1 where a limit is passed.
"""

import argparse
import json
import os
import random
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from harness.core.units import KIB, MIB
from harness.results.checksum import KEY, checksum_of
from harness.results.document import encode_document, read_document
from harness.results.schema import Json

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "results" / "validation" / "modern.json"
NOISE, STEP, MACHINES = 0.02, 0.10, 2
FIRST = datetime(2020, 1, 1, 3, tzinfo=UTC)
MOST_BYTES = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Timed:
    """One command.

    Attributes:
        wall_s: from its start to its end.
        cpu_s: of the process and those it started.
        peak_bytes: most resident memory of the process.
        code: that it ended with.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int
    code: int


def timed(words: list[str], out: Path) -> Timed:
    """Run `bench` in a process of its own, its output in a file."""
    begin = time.monotonic()
    with out.open("wb") as file:
        child = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "harness", *words],
            dict(os.environ),
            file_actions=[(os.POSIX_SPAWN_DUP2, file.fileno(), 1)],
        )
        _, status, used = os.wait4(child, 0)
    wall_s = time.monotonic() - begin
    peak_bytes = used.ru_maxrss * (1 if sys.platform == "darwin" else KIB)
    return Timed(
        wall_s, used.ru_utime + used.ru_stime, peak_bytes, os.waitstatus_to_exitcode(status)
    )


def night(source: Json, number: int, nights: int, chance: random.Random) -> bytes:
    """The document of one night: every value moves by itself, and all of them with the step."""
    slower = 1 - STEP if number > nights * 2 // 3 else 1.0
    when = FIRST + timedelta(hours=12 * number)
    facts = source["environment"]
    made = {
        **source,
        "run_id": f"run-{when:%Y%m%d-%H%M%S}-{number:04x}",
        "created_utc": when.isoformat(),
        "environment": {**facts, "cpu_model": f"{facts['cpu_model']} {number % MACHINES}"},
        "records": [
            {
                **record,
                "metrics": {
                    name: moved(metric, chance.lognormvariate(0, NOISE) * slower)
                    for name, metric in record["metrics"].items()
                },
            }
            for record in source["records"]
        ],
    }
    return msgspec.json.encode({KEY: checksum_of(msgspec.json.encode(made)), **made})


def moved(metric: Json, factor: float) -> Json:
    """A measured metric with its interval times a factor; a counted one as it is."""
    if not metric["processes"]:
        return metric
    ends = {name: metric[name] for name in ("value", "low", "high") if metric.get(name) is not None}
    return {**metric, **{name: end * factor for name, end in ends.items()}}


def make_documents(folder: Path, records: int) -> tuple[int, int, int]:
    """Write documents until there are so many records; returns runs, records and bytes."""
    source: Json = json.loads(encode_document(read_document(SOURCE)))
    source.pop(KEY)
    nights = -(-records // len(source["records"]))
    chance = random.Random(21)
    size = 0
    for number in range(nights):
        path = folder / f"{number // 100:03}" / f"run-{number:05}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(night(source, number, nights, chance))
        size += path.stat().st_size
    return nights, nights * len(source["records"]), size


def cells() -> tuple[str, ...]:
    """The words of every decode cell of the source."""
    return tuple(
        f"{one.cell.model} {one.cell.level} {one.cell.workload.partition(' @ ')[0]}"
        for one in read_document(SOURCE).records
        if "decode_tok_s" in one.metrics
    )


def processor() -> str:
    """Name of the processor that the documents were measured on; each machine adds its number."""
    return read_document(SOURCE).environment.cpu_model or ""


def main() -> int:
    """Make the documents, run the commands, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where documents are made and kept")
    asked = parser.parse_args()
    with TemporaryDirectory(prefix="history-scale-") as temporary:
        folder = asked.folder or Path(temporary)
        return measure(folder, asked.records, asked.repeats)


def measure(folder: Path, records: int, repeats: int) -> int:
    """Time every command over documents of a folder, which are made where it has none."""
    documents = folder / "documents"
    if not documents.is_dir():
        documents.mkdir(parents=True)
        runs, count, size = make_documents(documents, records)
        print(f"{runs:,} runs, {count:,} records, {size / MIB:,.0f} MiB")
    index, out = folder / "history.duckdb", folder / "out.txt"
    own = ["--db", str(index)]
    words = [cells()[0], "--machine", f"{processor()} 0"]
    commands: tuple[tuple[str, list[str], float | None, int], ...] = (
        ("add, all new", ["add", str(documents), "-q", *own], 60.0, 1),
        ("add, nothing new", ["add", str(documents), "-q", *own], None, repeats),
        ("trend of one cell", ["trend", *words, *own], 1.0, repeats),
        ("trend by onnxruntime", ["trend", *words, "--by", "onnxruntime", *own], 1.0, repeats),
        ("trend of every cell", ["trend", *own], None, 1),
        (
            "page of a trend",
            ["trend", *words, "--html", str(folder / "t.html"), *own],
            5.0,
            repeats,
        ),
        ("ls", ["ls", *own], None, repeats),
        ("query: slower by 5 %", ["query", SLOWER, *own], None, repeats),
        ("export", ["export", "--parquet", str(folder / "parquet"), *own], None, 1),
    )
    index.unlink(missing_ok=True)
    failed = False
    print("| command | first s | least s | CPU s | peak MiB | limit s | |")
    print("|---|--:|--:|--:|--:|--:|---|")
    for name, line, limit_s, times in commands:
        done = [timed(["history", *line], out) for _ in range(times)]
        least = min(one.wall_s for one in done)
        peak = max(one.peak_bytes for one in done)
        is_over = (limit_s is not None and least > limit_s) or peak > MOST_BYTES
        is_lost = any(one.code for one in done)
        failed = failed or is_over or is_lost
        told = "failed" if is_lost else "over" if is_over else ""
        print(
            f"| {name} | {done[0].wall_s:.2f} | {least:.2f} |"
            f" {min(one.cpu_s for one in done):.2f} | {peak / MIB:.0f} |"
            f" {'' if limit_s is None else f'{limit_s:g}'} | {told} |",
            flush=True,
        )
    print(f"index: {index.stat().st_size / MIB:.0f} MiB")
    return int(failed)


SLOWER = (
    "select created_utc, cell, ratio, onnxruntime from trends where metric = 'decode_tok_s'"
    " and ratio < 0.95 order by ratio"
)

if __name__ == "__main__":
    sys.exit(main())
