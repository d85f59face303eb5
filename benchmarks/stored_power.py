"""Does `bench compare` find a decode that really is 10 % slower, in two stored results?

    python benchmarks/stored_power.py measure --rounds 100
    python benchmarks/stored_power.py report

In every round a session runs twice, in a drawn order, each in a fresh process: as it is, and with
decode steps that take `--share` longer (slowed_worker.py). Every ten rounds are one comparison that
overlaps no other, paired by round. What smaller slowdowns would have given is told from the same
processes, their rates shifted by the difference: real noise, a computed effect. A later call goes
on with the file.
"""

import argparse
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from aa_rates import process_values

from harness.analysis.compare import Verdict, judge
from harness.machine.watch.facts import machine_facts, usable_cores
from harness.results.journal import Journal, read_lines
from harness.runner.loop.order import shuffled
from harness.runner.plan import make_plan
from harness.runner.plan.runtimes import WORKERS
from harness.runner.settings import load_settings
from harness.stats.differences import Difference, paired_difference

FILE = Path("results/validation/stored-power.jsonl")
PROCESSES = 10  # a side, of one comparison
TOLERANCE = 0.03
SHARES = (0.0, 0.03, 0.05, 0.10)
SLOWED = "slowed"
Json = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("measure", "report"))
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--share", type=float, default=0.10)
    parser.add_argument("--threads", default="1")
    parser.add_argument("--file", type=Path, default=FILE)
    options = parser.parse_args()
    if options.what == "measure":
        measure(options)
    report(options.file)


def measure(options: argparse.Namespace) -> None:
    """Measure the processes that the file does not hold yet."""
    WORKERS[SLOWED] = "slowed_worker"
    settings = load_settings(
        "ab",
        threads=(options.threads,),
        gen=(32,),
        warm_seconds=0.5,
        sample_seconds=0.5,
        min_passes=1,
    )
    plan = make_plan(settings, usable_cores())
    group = replace(plan.groups[0], runtime=SLOWED)
    known = read_lines(options.file) if options.file.exists() else []
    done = {(entry["round"], entry["share"]) for entry in known if entry["kind"] == "process"}
    options.file.parent.mkdir(parents=True, exist_ok=True)
    with Journal(options.file) as journal:
        if not known:
            journal.append({"kind": "machine", "facts": machine_facts()})
        for index in range(options.rounds):
            for share in shuffled([0.0, options.share], settings.seed, index):
                if (index, share) in done:
                    continue
                os.environ["SLOWED_SHARE"] = str(share)
                values = process_values(plan, group, index)
                head = {"kind": "process", "round": index, "threads": group.threads}
                journal.append({**head, "share": share, "values": values})
            print(f"round {index + 1} of {options.rounds}", flush=True)


def report(path: Path) -> None:
    """Verdicts of every comparison, at the slowdown that was measured and at smaller ones."""
    found: dict[int, dict[float, float]] = {}
    for entry in read_lines(path):
        if entry["kind"] == "process":
            (rate,) = entry["values"].values()
            found.setdefault(entry["round"], {})[entry["share"]] = math.log(rate)
    rounds = [found[index] for index in sorted(found) if len(found[index]) == 2]
    chunks = [
        rounds[start : start + PROCESSES]
        for start in range(0, len(rounds) - PROCESSES + 1, PROCESSES)
    ]
    measured = max(share for sides in rounds for share in sides)
    print(f"{PROCESSES} processes a side, tolerance {TOLERANCE:.0%}\n")
    print("| slower by | comparisons | SLOWER | FASTER | SAME | INCONCLUSIVE | |")
    print("|---|---|---|---|---|---|---|")
    for share in SHARES:
        verdicts = [judge(_difference(chunk, measured, share), LIMIT) for chunk in chunks]
        counts = " | ".join(str(verdicts.count(word)) for word in Verdict)
        how = "measured" if share == measured else "the same processes, shifted"
        print(f"| {share:.0%} | {len(chunks)} | {counts} | {how} |")
    errors = [_difference(chunk, measured, measured).standard_error for chunk in chunks]
    scatter = math.sqrt(sum(error**2 * PROCESSES for error in errors) / len(errors))
    print(f"\nscatter of the ratio between rounds: {scatter:.1%}")


def _difference(chunk: list[dict[float, float]], measured: float, share: float) -> Difference:
    """The time of the slower side over the other's, as if it had been slower by `share`."""
    shift = math.log1p(share) - math.log1p(measured)
    return paired_difference(
        [-sides[0.0] for sides in chunk], [-sides[measured] + shift for sides in chunk]
    )


LIMIT = math.log1p(TOLERANCE)


if __name__ == "__main__":
    main()
