"""Our decode loop against onnxruntime-genai's on the same files: ratio of rates, with interval.

    python benchmarks/against_genai.py --model smollm2-135m --level int4 --threads 1

Pairs of fresh processes, one of each runtime, both open and warm, take turns: one request each
(prefill, then decode steps), who begins a turn drawn at random. A pair gives one ratio per test
(the median over its turns); pairs are added until the half-width of the 95 % interval of both
tests is at most --precision, or --pairs is reached. Ratio > 1: ours is faster.
Development only: needs `pip install '.[genai]'`. Run nothing beside it.
"""

import argparse
import os
import random
import statistics

from harness.artifacts.artifact import Artifact
from harness.artifacts.cache import default_cache, ensure_artifact
from harness.measure.worker import Worker
from harness.plan import SessionGroup, make_plan
from harness.runner.session import WORKER_MODULE, session_arguments, workload_json
from harness.settings import Settings
from harness.stats.intervals import Interval, log_t_interval
from harness.weights.source import resolve_model
from harness.workload.workload import Workload

TIMEOUT_S = 300.0
PROMPT_TOKENS = 128
DECODE_STEPS = 32
TESTS = ("prefill", "decode")


def main() -> None:
    """Print one row per test: ratio ours / genai, interval, pairs, and both medians."""
    arguments = parse_arguments()
    artifact = ensure_artifact(resolve_model(arguments.model), arguments.level, default_cache())
    group = session_group(arguments)
    ratios: dict[str, list[float]] = {test: [] for test in TESTS}
    rates: dict[str, list[tuple[float, float]]] = {test: [] for test in TESTS}
    for pair in range(arguments.pairs):
        for test, turns in run_pair(group, artifact, arguments.turns, random.Random(pair)).items():
            ratios[test].append(statistics.median(theirs / ours for ours, theirs in turns))
            rates[test].extend(turns)
        if pair >= 4 and all(half_width(ratios[test]) <= arguments.precision for test in TESTS):
            break
    print("| model | level | threads | test | ours / genai | 95 % | pairs | ours ms | genai ms |")
    print("|---|---|---|---|---|---|---|---|---|")
    for test in TESTS:
        interval = interval_of(ratios[test])
        ours = statistics.median(ours for ours, _ in rates[test]) / 1e6
        theirs = statistics.median(theirs for _, theirs in rates[test]) / 1e6
        print(
            f"| {arguments.model} | {arguments.level} | {arguments.threads} | {test} "
            f"| {interval.center:.3f} | {interval.low:.3f}-{interval.high:.3f} "
            f"| {len(ratios[test])} | {ours:.2f} | {theirs:.2f} |"
        )


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--level", default="int4")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--precision", type=float, default=0.03)
    return parser.parse_args()


def session_group(arguments: argparse.Namespace) -> SessionGroup:
    """The one session group both runtimes measure."""
    settings = Settings(
        model=(arguments.model,),
        quant=(arguments.level,),
        threads=(str(arguments.threads),),
        pg=((PROMPT_TOKENS, DECODE_STEPS + 1),),
    )
    return make_plan(settings, usable_threads=os.cpu_count() or 1).groups[0]


def run_pair(
    group: SessionGroup, artifact: Artifact, turns: int, chance: random.Random
) -> dict[str, list[tuple[float, float]]]:
    """One pair of fresh processes; returns (ours, theirs) times in ns per turn and test."""
    with (
        Worker.start(WORKER_MODULE) as ours,
        Worker.start("genai_worker") as theirs,
    ):
        open_both(group, artifact, ours, theirs)
        request = group.workloads[0]
        sides = {"ours": lambda: our_turn(ours, request), "theirs": lambda: their_turn(theirs)}
        taken: dict[str, list[tuple[float, float]]] = {test: [] for test in TESTS}
        for turn in range(turns + 1):
            order = chance.sample(sorted(sides), k=2)
            times = {side: sides[side]() for side in order}
            if turn:  # the first turn warms both
                for test in TESTS:
                    taken[test].append((times["ours"][test], times["theirs"][test]))
        return taken


def open_both(group: SessionGroup, artifact: Artifact, ours: Worker, theirs: Worker) -> None:
    """Open the same folder in both processes with the same threads and context."""
    request = group.workloads[0]
    ours.ask(
        "open",
        timeout_s=TIMEOUT_S,
        first=workload_json(request),
        capacity_tokens=group.capacity_tokens,
        **session_arguments(group, artifact, seed=0),
    )
    theirs.ask(
        "open",
        timeout_s=TIMEOUT_S,
        folder=str(artifact.folder),
        threads=group.threads,
        capacity_tokens=group.capacity_tokens + 1,
    )


def our_turn(worker: Worker, request: Workload) -> dict[str, float]:
    """One request of our loop: its prefill and the median of its decode steps, ns."""
    reply = worker.ask(
        "sample",
        timeout_s=TIMEOUT_S,
        workload=workload_json(request),
        min_passes=1,
        min_seconds=0.0,
    )
    return {"prefill": reply["prefill_ns"][0], "decode": statistics.median(reply["itl_ns"][0])}


def their_turn(worker: Worker) -> dict[str, float]:
    """The same request of onnxruntime-genai, ns."""
    tokens = [(7 * position + 3) % 250 for position in range(PROMPT_TOKENS)]
    reply = worker.ask("request", timeout_s=TIMEOUT_S, tokens=tokens, steps=DECODE_STEPS)
    return {"prefill": reply["prefill_ns"], "decode": statistics.median(reply["itl_ns"])}


def interval_of(ratios: list[float]) -> Interval:
    """95 % t-interval on the log ratios of the pairs."""
    return log_t_interval(ratios)


def half_width(ratios: list[float]) -> float:
    """Half of the interval's width as a share of its centre."""
    interval = interval_of(ratios)
    return (interval.high - interval.low) / 2 / interval.center


if __name__ == "__main__":
    main()
