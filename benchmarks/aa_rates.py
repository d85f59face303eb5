"""How often is a build called different from itself, on real runs in their recorded order?

    python benchmarks/aa_rates.py measure --rounds 50
    python benchmarks/aa_rates.py report

One plan is measured round after round; in every round its session runs twice, as `a` and as `b`, in
a drawn order, each in a fresh process. Every five rounds are one comparison that overlaps no other:
paired by round, as `bench compare` takes interleaved sides. Beside it the same processes in block
order, the first five of ten in time against the last five (Welch), as two runs one after the other
would be. Nothing is shuffled afterwards. A later call goes on with the file.
"""

import argparse
import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from harness.analysis.compare import Verdict, judge
from harness.machine.watch.facts import machine_facts, usable_cores
from harness.results.journal import Journal, read_lines
from harness.results.metrics import rate_of_kind
from harness.runner.loop.order import shuffled
from harness.runner.loop.parts import cell_of
from harness.runner.loop.session import measure_group
from harness.runner.plan import Plan, make_plan
from harness.runner.settings import load_settings
from harness.stats.correction import holm
from harness.stats.differences import Difference, paired_difference, welch_difference
from harness.stats.power import ALPHA
from harness.store.cache import default_cache, ensure_artifact

FILE = Path("results/validation/aa.jsonl")
TOLERANCE = 0.03
ROUNDS = 5  # of one comparison
Json = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("measure", "report"))
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--threads", default="1,all")
    parser.add_argument("--file", type=Path, default=FILE)
    options = parser.parse_args()
    if options.what == "measure":
        measure(options)
    report(options.file)


def measure(options: argparse.Namespace) -> None:
    """Measure the processes that the file does not hold yet."""
    settings = load_settings(
        "ab",
        threads=tuple(options.threads.split(",")),
        prompt=(64,),
        gen=(32,),
        warm_seconds=0.5,
        sample_seconds=0.25,
        min_passes=1,
    )
    plan = make_plan(settings, usable_cores())
    known = read_lines(options.file) if options.file.exists() else []
    done = {(entry["round"], entry["side"], entry["threads"]) for entry in known if "side" in entry}
    options.file.parent.mkdir(parents=True, exist_ok=True)
    with Journal(options.file) as journal:
        if not known:
            journal.append({"kind": "machine", "facts": machine_facts()})
        for index in range(options.rounds):
            items = [(group, side) for group in plan.groups for side in "ab"]
            for group, side in shuffled(items, settings.seed, index):
                if (index, side, group.threads) not in done:
                    head = {"kind": "process", "round": index, "side": side}
                    values = process_values(plan, group, index)
                    journal.append({**head, "threads": group.threads, "values": values})
            print(f"round {index + 1} of {options.rounds}", flush=True)


def process_values(plan: Plan, group: Any, index: int) -> dict[str, float]:
    """What one fresh process gives: test and metric -> value."""
    artifact = ensure_artifact(group.source, group.level.name, default_cache(), plan.settings.seed)
    tests = {workload.name: workload for workload in group.workloads}
    found = {}
    for entry in measure_group(group, artifact, index, plan.settings):
        test = tests[entry.workload]
        cell = cell_of(group, test, artifact)
        rate = rate_of_kind(test.kind)
        value = rate.value(cell, entry) if rate.value is not None else None
        assert value is not None
        found[f"{test.name} {rate.name}"] = value
    return found


def report(path: Path) -> None:
    """Verdicts of every comparison, interleaved and in block order."""
    processes = [entry for entry in read_lines(path) if entry["kind"] == "process"]
    print(f"{ROUNDS} processes a side, tolerance {TOLERANCE:.0%}; FASTER or SLOWER are false\n")
    print("| threads | metric | comparisons | false, interleaved | false, in block order | sd |")
    print("|---|---|---|---|---|---|")
    total = [0, 0, 0]
    every: list[tuple[list[Difference], list[Difference]]] = []
    for threads in sorted({entry["threads"] for entry in processes}):
        mine = [entry for entry in processes if entry["threads"] == threads]
        for name in mine[0]["values"]:
            turns, blocks = _comparisons(mine, name)
            every.append((turns, blocks))
            wrong = [sum(map(_is_false, found)) for found in (turns, blocks)]
            scatter = math.sqrt(sum(one.standard_error**2 * ROUNDS for one in turns) / len(turns))
            line = f"| {threads} | {name} | {len(turns)} | {wrong[0]} | {wrong[1]} "
            print(line + f"| {scatter:.1%} |")
            total = [a + b for a, b in zip(total, (len(turns), *wrong), strict=True)]
    print(f"\nall: {total[1]} of {total[0]} false, in block order {total[2]}")
    families = [zip(*(found[order] for found in every), strict=True) for order in (0, 1)]
    held = [sum(sum(map(_holds, _family(lines))) for lines in found) for found in families]
    print(
        f"beside the other {len(every) - 1} lines of its table (Holm), as a gate reads it: "
        f"{held[0]} of {total[0]}, in block order {held[1]}"
    )


def _comparisons(processes: list[Json], name: str) -> tuple[list[Difference], list[Difference]]:
    """Every whole five rounds: paired by round, and the same ten processes in order of time."""
    turns, blocks = [], []
    by_round = [list(found) for _, found in groupby(processes, lambda entry: entry["round"])]
    for start in range(0, len(by_round) - ROUNDS + 1, ROUNDS):
        chunk = by_round[start : start + ROUNDS]
        logs = [
            {entry["side"]: math.log(entry["values"][name]) for entry in found} for found in chunk
        ]
        if any(len(found) != 2 for found in logs):
            continue
        turns.append(paired_difference([one["a"] for one in logs], [one["b"] for one in logs]))
        in_time = [math.log(entry["values"][name]) for found in chunk for entry in found]
        blocks.append(welch_difference(in_time[:ROUNDS], in_time[ROUNDS:]))
    return turns, blocks


def _family(lines: Sequence[Difference]) -> list[tuple[Difference, float]]:
    """Every line of one table with its p-value among the others."""
    return list(zip(lines, holm([line.p_value() for line in lines]), strict=True))


def _holds(line: tuple[Difference, float]) -> bool:
    """Whether a false verdict stands beside the other lines too."""
    return _is_false(line[0]) and line[1] < ALPHA


def _is_false(found: Difference) -> bool:
    """Whether a build is called different from itself."""
    return judge(found, math.log1p(TOLERANCE)) in (Verdict.WORSE, Verdict.BETTER)


if __name__ == "__main__":
    main()
