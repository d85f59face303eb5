"""Does `bench ab` find a slowdown that was put in, and nothing where none was?

    python benchmarks/ab_power.py measure --threads 1 --share 0.03 --trials 20 --same 10
    python benchmarks/ab_power.py report

A trial is so many pairs of fresh processes that take turns, as `bench ab` measures them, judged by
its own rule. In trials of a kind, side B decodes `--share` slower (slowed_worker.py); in the others
both sides are the same. The kinds come in a drawn order. Every pair is one line of the file, on
disk before the next begins, and a later call goes on with what is missing.
"""

import argparse
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from harness.analysis.compare import Verdict, judge
from harness.machine.watch.facts import machine_facts, usable_cores
from harness.results.entries import TurnPlan
from harness.results.journal import Journal, read_lines
from harness.runner.loop.paired import A, B, Side, measure_pair
from harness.runner.plan import make_plan
from harness.runner.settings import load_settings
from harness.stats.differences import paired_difference
from harness.store.cache import default_cache, ensure_artifact

FILE = Path("results/validation/ab-power.jsonl")
MODULE = "slowed_worker"
TOLERANCE = 0.01
METRIC = "decode_step_tok_s"
FIRST_SECONDS = 3.0  # of both sides together, in one pair


@dataclass(frozen=True, slots=True)
class Trial:
    """One comparison: the log ratios of its pairs, and how long they took."""

    log_ratios: tuple[float, ...]
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """By the rule of `bench ab`: time of B over time of A, tolerance 1 %."""
        found = paired_difference([0.0] * len(self.log_ratios), self.log_ratios)
        return judge(found.mirrored(), math.log1p(TOLERANCE))  # of rates a larger one is better


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("measure", "report"))
    parser.add_argument("--threads", default="1")
    parser.add_argument("--share", type=float, default=0.03)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--same", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=FIRST_SECONDS)
    parser.add_argument("--warm-seconds", type=float, default=0.5)
    parser.add_argument("--file", type=Path, default=FILE)
    options = parser.parse_args()
    if options.what == "measure":
        measure(options)
    report(options.file)


def measure(options: argparse.Namespace) -> None:
    """Measure the pairs that the file does not hold yet."""
    settings = load_settings("ab", threads=(options.threads,), warm_seconds=options.warm_seconds)
    (group,) = make_plan(settings, usable_cores()).groups
    artifact = ensure_artifact(group.source, group.level.name, default_cache(), settings.seed)
    plan = TurnPlan(options.seconds, settings.warm_seconds, settings.timeout, settings.seed)
    known = read_lines(options.file) if options.file.exists() else []
    done = {entry["key"] for entry in known if entry["kind"] == "pair"}
    options.file.parent.mkdir(parents=True, exist_ok=True)
    with Journal(options.file) as journal:
        if not known:
            journal.append({"kind": "machine", "facts": machine_facts()})
        for number, (share, trial, pair) in enumerate(_schedule(options)):
            part = "" if options.seconds == FIRST_SECONDS else f" {options.seconds:g} s"
            key = f"t{options.threads} {share}{part} trial {trial} pair {pair}"
            if key in done:
                continue
            sides = [
                Side(name, group, artifact, {"SLOWED_SHARE": str(slow)}, module=MODULE)
                for name, slow in ((A, 0.0), (B, share))
            ]
            began_s = time.monotonic()
            found = measure_pair((sides[0], sides[1]), plan, number)
            seconds = round(time.monotonic() - began_s, 1)
            ratios = {metric: ratio for test, metric, ratio in found.log_ratios() if test}
            head = {"kind": "pair", "key": key, "threads": group.threads, "share": share}
            turns = len(next(iter(found.turns.values())))
            head["part_seconds"] = options.seconds
            tail = {"log_ratio": ratios[METRIC], "turns": turns, "seconds": seconds}
            journal.append({**head, "trial": trial, **tail})
            print(f"{key}: {ratios[METRIC]:+.4f}", flush=True)


def _schedule(options: argparse.Namespace) -> Iterator[tuple[float, int, int]]:
    """Share, trial and pair, trial after trial, the kinds in a drawn order."""
    kinds = [(options.share, number) for number in range(options.trials)]
    kinds += [(0.0, number) for number in range(options.same)]
    random.Random(f"{options.threads}/{options.share}").shuffle(kinds)
    for share, trial in kinds:
        for pair in range(options.pairs):
            yield share, trial, pair


def report(path: Path) -> None:
    """Verdicts, mean and scatter of every kind of trial, complete ones only."""
    kept: dict[tuple[int, float, float, int], list[float]] = {}
    spent: dict[tuple[int, float, float, int], float] = {}
    for entry in read_lines(path):
        if entry["kind"] == "pair":
            part = entry.get("part_seconds", FIRST_SECONDS)
            key = entry["threads"], part, entry["share"], entry["trial"]
            kept.setdefault(key, []).append(entry["log_ratio"])
            spent[key] = spent.get(key, 0.0) + entry["seconds"]
    most = max(map(len, kept.values()))
    kinds: dict[tuple[int, float, float], list[Trial]] = {}
    for key, ratios in sorted(kept.items()):
        if len(ratios) == most:
            seconds = spent[key]
            kinds.setdefault(key[:3], []).append(Trial(tuple(ratios), seconds))
    print(f"{most} pairs a trial, tolerance {TOLERANCE:.0%}; time B / A in %, sd between pairs\n")
    words = " | ".join(("SLOWER", "FASTER", "SAME", "INCONCLUSIVE"))
    print(f"| threads | part | slower by | trials | {words} | mean | sd | longest trial |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for (threads, part, share), trials in kinds.items():
        verdicts = [trial.verdict for trial in trials]
        counts = [verdicts.count(word) for word in Verdict]
        everything = [-ratio for trial in trials for ratio in trial.log_ratios]
        words = " | ".join(str(count) for count in counts)
        mean, scatter = fmean(everything), stdev(everything)
        longest = max(trial.seconds for trial in trials)
        line = f"| {threads} | {part:g} s | {share:.0%} | {len(trials)} | {words} "
        print(line + f"| {mean:+.2%} | {scatter:.2%} | {longest:.0f} s |")


if __name__ == "__main__":
    main()
