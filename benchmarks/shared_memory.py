"""Peaks of tests that share a process beside those of a process each.

    python benchmarks/shared_memory.py
    python benchmarks/shared_memory.py smollm2-135m:int4 bytelm:fp32 --threads 1 --batch 4

A word is model:level; each is run with the same tests. Every model is built into the cache. Nothing
that is compared is timed, so neighbours do no harm.
"""

import argparse
from math import exp, log

from harness.core.units import MIB
from harness.estimator.calibration.bandwidth import measure_read_bandwidth
from harness.results.entries import BandwidthEntry, MemoryEntry
from harness.runner.loop.builds import build_all
from harness.runner.loop.entries import Entries
from harness.runner.loop.memory_passes import memory_passes
from harness.runner.loop.session import measure_memory
from harness.runner.plan import make_plan
from harness.runner.settings import Settings
from harness.store.cache import default_cache

SESSIONS = ("bytelm:fp32", "bytelm:int4", "smollm2-135m:fp32", "smollm2-135m:int4")


def settings_of(word: str, threads: int, batch: int) -> Settings:
    """Ten tests of a session: prompts, steps and requests, from no depth and from some."""
    model, level = word.rsplit(":", 1)
    return Settings(
        model=(model,),
        quant=(level,),
        threads=(str(threads),),
        batch=(batch,),
        prompt=(64, 128, 256),
        gen=(16,),
        pg=((64, 16), (128, 16)),
        depth=(0, 128),
    )


def compare(word: str, threads: int, batch: int) -> tuple[list[float], int]:
    """Print a line for each test; return the differences, and how many processes were shared."""
    settings = settings_of(word, threads, batch)
    plan = make_plan(settings, usable_threads=threads)
    builds = build_all(plan, default_cache())
    read = measure_read_bandwidth(threads, 0.1, settings.timeout)  # estimates decide the order
    entries = Entries([BandwidthEntry(threads=threads, round=0, reply=read)])
    (group,), told = plan.groups, []
    for entry in memory_passes(plan, builds, entries, lambda what, *_: told.append(what)):
        assert isinstance(entry, MemoryEntry), entry
        entries.add(entry)
    differences = []
    for test in group.workloads:
        (alone,) = measure_memory(group, builds.of(group), [test], settings, lambda test: None)
        together = entries.memory[group.key, test.name].peak_bytes
        differences.append(log(together / alone.reply.peak_bytes))
        print(
            f"{word:20} {test.name:16} shared {together / MIB:8.1f} MiB, alone"
            f" {alone.reply.peak_bytes / MIB:8.1f} MiB, {100 * (exp(differences[-1]) - 1):+.2f} %",
            flush=True,
        )
    return differences, len(told) - len(group.workloads)


def main() -> None:
    """Compare every session named, or SESSIONS."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sessions", nargs="*", default=SESSIONS, metavar="MODEL:LEVEL")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1)
    asked = parser.parse_args()
    found = [compare(word, asked.threads, asked.batch) for word in asked.sessions]
    differences = [one for differences, _ in found for one in differences]
    largest = 100 * (exp(max(map(abs, differences))) - 1)
    again = sum(count for _, count in found)
    print(f"{len(differences)} cells: at most {largest:.2f} % apart; {again} taken alone after all")


if __name__ == "__main__":
    main()
