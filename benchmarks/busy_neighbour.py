"""How often is a gate wrong beside a busy neighbour: red of one build, green of a slower one?

    python benchmarks/busy_neighbour.py measure --trials 20
    python benchmarks/busy_neighbour.py report

A trial is `bench compare` of two runs of five processes, or `bench ab` of five pairs, of a model of
two million parameters, with `--fail-on slower:3%`. Meanwhile a loop on every processor works DUTY
of each tenth of a second: beside the base, the new side or both runs, drawn anew; beside both sides
of pairs. In half of the trials the new side decodes SHARE slower (slowed_worker.py), in the others
both sides are one build. The kinds come in a drawn order; each trial is a line of JSON in the file,
on disk before the next begins, and a later call goes on with what is missing.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import harness
from harness.analysis.compare import Comparison, Question, compare_documents
from harness.analysis.gate import JudgedGate, Outcome, judge_gates, parse_gate
from harness.analysis.paired import compare_turns, lines_of
from harness.machine.watch.cores import usable_processors
from harness.machine.watch.facts import machine_facts, usable_cores
from harness.results.entries import PairEntry, TurnPlan, TurnValues
from harness.results.journal import Journal, read_lines
from harness.results.schema import Document
from harness.runner.loop.paired import A, B, Side, measure_pair, shared_tests
from harness.runner.loop.parts import cell_of
from harness.runner.plan import make_plan, runtimes
from harness.runner.settings import load_settings
from harness.store.cache import default_cache, ensure_artifact

FILE = Path("results/validation/gate-rates.jsonl")
MODULE = "slowed_worker"
PROCESSES = 5  # of a side, or pairs: as few as a gate allows
SIZES: dict[str, Any] = {"model": ("bytelm",), "threads": ("1",), "quant": ("int4",), "gen": (17,)}
WARM_S, SAMPLE_S = 0.3, 0.3
WAYS = ("compare", "ab")
PLACES = ("base", "new", "both")
LOOP = """
import sys, time
duty = float(sys.argv[1])
while True:
    end = time.perf_counter() + 0.1 * duty
    while time.perf_counter() < end:
        pass
    time.sleep(0.1 * (1 - duty))
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """One comparison to be made.

    Attributes:
        way: one of WAYS.
        duty: of the neighbour.
        share: by which the new side is slower.
        number: of the trial among its kind.
        place: beside which side the neighbour works.
    """

    way: str
    duty: float
    share: float
    number: int
    place: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("measure", "report"))
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--duties", default="0,0.3,0.6,0.9")
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--trials", type=int, default=20, help="of each kind")
    parser.add_argument("--most", type=int, help="measure no more trials in this call")
    parser.add_argument("--gate", default="slower:3%")
    parser.add_argument("--file", type=Path, default=FILE)
    options = parser.parse_args()
    if options.what == "measure":
        measure(options)
    report(options.file)


def measure(options: argparse.Namespace) -> None:
    """Measure the trials that the file does not hold yet."""
    known = read_lines(options.file) if options.file.exists() else []
    done = {_key(line) for line in known if line["kind"] == "trial"}
    options.file.parent.mkdir(parents=True, exist_ok=True)
    left = [one for one in _schedule(options) if _key(asdict(one)) not in done]
    with Journal(options.file) as journal:
        if not known:
            journal.append({"kind": "machine", "facts": machine_facts()})
        for count, trial in enumerate(left[: options.most], start=1):
            began_s = time.monotonic()
            comparison = (_compare if trial.way == "compare" else _ab)(trial)
            (judged,) = judge_gates(comparison, [parse_gate(options.gate)])
            seconds = round(time.monotonic() - began_s, 1)
            line = {"kind": "trial", **asdict(trial), **_found(judged), "seconds": seconds}
            journal.append(line)
            print(f"{count} of {len(left)}: {json.dumps(line)}", flush=True)


def _schedule(options: argparse.Namespace) -> list[Trial]:
    """Every trial, in a drawn order that is the same in every call with the same words."""
    chance = random.Random("gates")
    every = [
        Trial(
            way, float(duty), share, number, chance.choice(PLACES) if way == "compare" else "both"
        )
        for number in range(options.trials)
        for way in options.ways.split(",")
        for duty in options.duties.split(",")
        for share in (0.0, options.share)
    ]
    chance.shuffle(every)
    return every


@contextmanager
def _neighbour(duty: float) -> Iterator[None]:
    """A loop on every processor that works so much of the time."""
    with ExitStack() as stack:
        for _ in usable_processors() if duty else ():
            loop = subprocess.Popen([sys.executable, "-c", LOOP, str(duty)])
            stack.callback(loop.wait)
            stack.callback(loop.kill)
        yield


def _compare(trial: Trial) -> Comparison:
    """Two runs, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        documents = []
        for side, share in (("base", 0.0), ("new", trial.share)):
            with _neighbour(trial.duty if trial.place in (side, "both") else 0.0):
                documents.append(_run(share, trial.number, Path(folder) / side))
    return compare_documents(documents[:1], documents[1:], Question(), force=False)


def _run(share: float, seed: int, results: Path) -> Document:
    """One run whose worker's steps take a share longer."""
    usual = runtimes.WORKERS[runtimes.ORT]
    os.environ["SLOWED_SHARE"] = str(share)
    runtimes.WORKERS[runtimes.ORT] = MODULE
    try:
        return harness.run(
            config="ab",
            **SIZES,
            rounds=PROCESSES,
            seed=seed,
            warm_seconds=WARM_S,
            sample_seconds=SAMPLE_S,
            calibrate=False,
            results=results,
        )
    finally:
        runtimes.WORKERS[runtimes.ORT] = usual
        del os.environ["SLOWED_SHARE"]


def _ab(trial: Trial) -> Comparison:
    """Pairs of live workers that take turns."""
    settings = load_settings("ab", **SIZES, warm_seconds=WARM_S)
    (group,) = make_plan(settings, usable_cores()).groups
    artifact = ensure_artifact(group.source, group.level.name, default_cache(), settings.seed)
    plan = TurnPlan(2 * SAMPLE_S, WARM_S, settings.timeout, trial.number)
    a, b = (
        Side(name, group, artifact, {"SLOWED_SHARE": str(share)}, module=MODULE)
        for name, share in ((A, 0.0), (B, trial.share))
    )
    pairs = []
    with _neighbour(trial.duty):
        for number in range(PROCESSES):
            pair = measure_pair((a, b), plan, number)
            turns = tuple(
                TurnValues(test=test, metric=metric, values=values)
                for (test, metric), values in pair.turns.items()
            )
            pairs.append(
                PairEntry(pair=number, starts_ms=pair.starts, turns=turns, watches=pair.watches)
            )
    cell = {test.name: (cell_of(group, test, artifact),) * 2 for test in shared_tests((a, b))}
    return compare_turns(lines_of(pairs, cell), Question(0.01), ("a", "b"), ())


def _found(judged: JudgedGate) -> dict[str, Any]:
    """What a gate says of its one line."""
    (line,) = judged.lines
    return {
        "gate": judged.gate.text,
        "outcome": judged.outcome,
        "cause": line.cause,
        "ratio": round(line.row.center, 4),
        "mde": line.mde,
        "others": [side.cpu_share for side in line.row.background],
    }


def report(path: Path) -> None:
    """How often each kind of trial was red or green, and false rates in all."""
    trials = [line for line in read_lines(path) if line["kind"] == "trial"]
    kinds: dict[tuple[str, float, float], list[dict[str, Any]]] = {}
    for one in trials:
        kinds.setdefault((one["way"], one["duty"], one["share"]), []).append(one)
    print(f"{PROCESSES} processes a side, or pairs; gate {trials[0]['gate'] if trials else '-'}\n")
    print("| way | neighbour | slower by | trials | PASS | FAIL | INCONCLUSIVE | wrong | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (way, duty, share), found in sorted(kinds.items()):
        counts = [_count(found, word) for word in (Outcome.PASS, Outcome.FAIL)]
        undecided = _count(found, Outcome.INCONCLUSIVE)
        wrong = counts[0] if share else counts[1]
        seconds = sum(one["seconds"] for one in found) / len(found)
        line = f"| {way} | {duty:.0%} | {share:.0%} | {len(found)} | {counts[0]} | {counts[1]} "
        print(line + f"| {undecided} | {wrong} | {seconds:.0f} |")
    for name, slow, word in (("red", False, Outcome.FAIL), ("green", True, Outcome.PASS)):
        mine = [one for one in trials if bool(one["share"]) == slow]
        print(f"\nfalse {name}: {_count(mine, word)} of {len(mine)}")


def _count(found: Sequence[dict[str, Any]], outcome: str) -> int:
    """How many trials ended so."""
    return sum(one["outcome"] == outcome for one in found)


def _key(line: dict[str, Any]) -> tuple[Any, ...]:
    """Which trial a line is of."""
    return tuple(line[name] for name in ("way", "duty", "share", "number"))


if __name__ == "__main__":
    main()
