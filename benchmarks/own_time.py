"""How long the tool itself takes: a run of one checkout beside that of another, cold and warm.

    python benchmarks/own_time.py OLD NEW --pairs 5

OLD and NEW are checkouts, run by this interpreter. A pair is a run of each from an empty cache and
a second one over what the first has left; who begins is drawn. Printed are medians, the ratio of
the pairs with its 95 % interval, where the seconds go by what a log says, and how wide the
intervals of the records came out: a run that is shorter because it measures worse shows there.
Last the median of `bench --help`. Other flags (`--model bytelm`) are those of the run. Run nothing
beside it.
"""

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from harness.stats.differences import paired_difference

# Every line of the log, not one in five seconds: phases end where the next one begins.
COMMAND = "import sys; from harness.cli.main import main; sys.argv[0] = 'bench'; sys.exit(main())"
RUN = f"import harness.cli.progress as progress; progress.LEAST_SECONDS = 0; {COMMAND}"
HELPS = 20
INTERVALS = ("prefill_tok_s", "decode_tok_s")


@dataclass(frozen=True, slots=True)
class Taken:
    """What one run took.

    Attributes:
        seconds: from its start to its end.
        phases: seconds by the first word of the line that began them; the rest is `start`.
        widths: half-widths of the records' intervals, as shares of their centres.
        unsteady: share of timed parts whose warm-up was not steady.
    """

    seconds: float
    phases: Mapping[str, float]
    widths: Mapping[str, float]
    unsteady: float


Side = dict[str, list[Taken]]  # by `cold` and `warm`, one a pair


def main() -> None:
    """Run the pairs, then print one table of times, one of phases and one of widths."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--helps", type=int, default=HELPS)
    options, words = parser.parse_known_args()  # others are flags of the run
    trees = {"old": options.old.resolve(), "new": options.new.resolve()}
    with tempfile.TemporaryDirectory(prefix="own-time-") as folder:
        places = {name: Place(tree, Path(folder) / name) for name, tree in trees.items()}
        for place in places.values():
            place.compile()
        sides = measure(places, options.pairs, ["--device", "cpu", *words])
        print_times(sides)
        print_phases(sides)
        print_widths(sides)
        helps = {name: [] for name in places}
        for number in range(options.helps):
            for name in random.Random(number).sample(list(places), k=2):
                helps[name].append(places[name].call(COMMAND, "--help")[0])
        words = ", ".join(f"{name} {median(found):.3f} s" for name, found in helps.items())
        print(f"\nbench --help, median of {options.helps}: {words}")


@dataclass(frozen=True, slots=True)
class Place:
    """A checkout and the folder of what its runs leave."""

    tree: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Of its runs: this checkout alone, bytecode as an installed package has it."""
        variables = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        return variables | {
            "PYTHONPATH": str(self.tree),
            "PYTHONPYCACHEPREFIX": str(self.folder / "bytecode"),
            "BENCH_CACHE": str(self.folder / "cache"),
        }

    def compile(self) -> None:
        """Compile the checkout beside it."""
        words = [sys.executable, "-m", "compileall", "-q", str(self.tree / "harness")]
        subprocess.run(words, env=self.environment, check=True)
        self.call(COMMAND, "--help")

    def call(self, program: str, *words: str) -> tuple[float, list[tuple[float, str]]]:
        """Run the command; return its seconds, and every line of its log with its time."""
        start_s, lines = time.monotonic(), []
        with subprocess.Popen(
            [sys.executable, "-c", program, *words],
            env=self.environment,
            cwd=self.folder.parent,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            lines = [(time.monotonic() - start_s, line) for line in process.stderr]
        if process.returncode:
            sys.exit(f"{self.tree}: exit code {process.returncode}: {lines[-1:]}")
        return time.monotonic() - start_s, lines

    def run(self, words: Sequence[str]) -> Taken:
        """Run a plan once."""
        results = self.folder / "results"
        seconds, lines = self.call(RUN, *words, "--results", str(results))
        (path,) = results.glob("run-*.json")
        widths, unsteady = read_document(path)
        path.unlink()
        return Taken(seconds, phases_of(seconds, lines), widths, unsteady)

    def empty_cache(self) -> None:
        """Forget builds and peaks."""
        subprocess.run(["rm", "-rf", str(self.folder / "cache")], check=True)


def measure(places: Mapping[str, Place], pairs: int, words: Sequence[str]) -> dict[str, Side]:
    """Take the pairs, and say each as it comes."""
    sides: dict[str, Side] = {name: {"cold": [], "warm": []} for name in places}
    for number in range(pairs):
        for name in random.Random(number).sample(list(places), k=2):
            places[name].empty_cache()
            for state in ("cold", "warm"):
                taken = places[name].run(words)
                sides[name][state].append(taken)
                print(f"pair {number + 1}: {name} {state} {taken.seconds:.1f} s", flush=True)
    return sides


def phases_of(seconds: float, lines: Sequence[tuple[float, str]]) -> dict[str, float]:
    """Seconds by what the log said that began; a row that ended begins nothing."""
    phases: dict[str, float] = defaultdict(float)
    phase, since_s = "start", 0.0
    for at_s, line in lines:
        word = line.split(" ")[0].strip().rstrip(":")
        if word in ("building", "calibrating", "round", "memory", "results"):
            phases[phase] += at_s - since_s
            phase, since_s = "end" if word == "results" else word, at_s
    phases[phase] += seconds - since_s
    return dict(phases)


def read_document(path: Path) -> tuple[dict[str, float], float]:
    """Half-widths of the headline intervals by row, and how often a warm-up was not steady."""
    widths, steady = {}, []
    for record in json.loads(path.read_text())["records"]:
        cell, metrics = record["cell"], record["metrics"]
        steady += [sample["warm"]["steady"] for sample in record["samples"]]
        for name in INTERVALS:
            found = metrics.get(name)
            if found and found.get("low") is not None:
                row = f"{cell['level']} {cell['workload']} {name}"
                widths[row] = (found["high"] - found["low"]) / 2 / found["value"]
    return widths, 1 - fmean(steady)


def ratio_words(old: Sequence[float], new: Sequence[float]) -> str:
    """The ratio of pairs with its interval; one pair has none."""
    logs = [[math.log(value) for value in side] for side in (old, new)]
    if len(old) < 2:
        return f"{new[0] / old[0]:.3f}"
    found = paired_difference(*logs)
    low, high = found.interval()
    return f"{math.exp(found.center):.3f} ({math.exp(low):.3f} to {math.exp(high):.3f})"


def print_times(sides: Mapping[str, Side]) -> None:
    """Medians and the ratio of pairs."""
    print("\n| cache | old s | new s | new / old |\n|---|---|---|---|")
    for state in ("cold", "warm"):
        old, new = ([one.seconds for one in sides[name][state]] for name in ("old", "new"))
        print(f"| {state} | {median(old):.1f} | {median(new):.1f} | {ratio_words(old, new)} |")


def print_phases(sides: Mapping[str, Side]) -> None:
    """Means over the pairs."""
    print("\n| phase | old cold s | new cold s | old warm s | new warm s |\n|---|---|---|---|---|")
    columns = [sides[name][state] for state in ("cold", "warm") for name in ("old", "new")]
    for phase in ("start", "building", "calibrating", "round", "memory", "end"):
        means = (fmean(one.phases.get(phase, 0.0) for one in runs) for runs in columns)
        print(f"| {phase} | {' | '.join(f'{mean:.2f}' for mean in means)} |")


def print_widths(sides: Mapping[str, Side]) -> None:
    """Geometric means of the widths over all runs, by row, and of their ratio over all rows."""
    print("\n| row | old ± | new ± | new / old |\n|---|---|---|---|")
    runs = {name: side["cold"] + side["warm"] for name, side in sides.items()}
    rows = sorted(set.intersection(*(set(one.widths) for side in runs.values() for one in side)))
    logs = {
        name: {row: fmean(math.log(one.widths[row]) for one in side) for row in rows}
        for name, side in runs.items()
    }
    for row in rows:
        old, new = logs["old"][row], logs["new"][row]
        print(f"| {row} | {math.exp(old):.1%} | {math.exp(new):.1%} | {math.exp(new - old):.2f} |")
    wide = [
        [math.exp(fmean(math.log(one.widths[row]) for row in rows)) for one in runs[name]]
        for name in ("old", "new")
    ]
    print(f"| all | | | {ratio_words(*wide)} |")
    unsteady = (fmean(one.unsteady for one in runs[name]) for name in ("old", "new"))
    print(f"| not steady | {' | '.join(f'{share:.0%}' for share in unsteady)} | |")


if __name__ == "__main__":
    main()
