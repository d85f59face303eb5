"""How often does `bench fit` say something false, and what does it cost? Simulated and measured.

    python benchmarks/fit_rates.py simulate [draws]
    python benchmarks/fit_rates.py measure --trials 40
    python benchmarks/fit_rates.py time bytelm
    python benchmarks/fit_rates.py report

Simulated: fits by the product's own rule and looks. Every line of every candidate has its true
median at its limit, or near it; false is a fit with any line MET that is not met, or NOT_MET that
is. Noise is normal, has rare slow processes, is shared by all candidates of a round, or is that of
real processes (results/validation/aa.jsonl: a busy virtual machine, 15 to 24 % between processes),
drawn one by one, or as stretches in their order. Its size alone does not matter.

Measured: fits of bytelm at int4 in real workers, whose limits lie a little below or above what a
pilot saw. Between the trials stand further processes, of which the long measurement consists that
says afterwards what was true. Every trial is one line of the file, on disk before the next begins,
and a later call goes on with what is missing.
"""

import argparse
import json
import math
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from harness.builder.quantize.levels import LEVELS
from harness.machine.watch.facts import machine_facts, usable_cores
from harness.results.enums import Outcome
from harness.results.journal import Journal, read_lines
from harness.results.metrics import metric_row
from harness.results.requirement import Requirement
from harness.runner.fitting.asked import fit_settings
from harness.runner.fitting.fit import fit_plan
from harness.runner.loop.builds import ensure_group
from harness.runner.loop.parts import cell_of
from harness.runner.loop.session import measure_group
from harness.runner.plan import Plan, make_plan
from harness.runner.settings import load_settings
from harness.stats.intervals import log_t_interval
from harness.stats.limits import (
    ABOVE,
    BELOW,
    NEITHER,
    Family,
    common_scatter,
    looks_between,
    tell_values,
)
from harness.store.cache import default_cache

FILE = Path("results/validation/fit-rates.jsonl")
REAL = Path("results/validation/aa.jsonl")
DRAWS, MOST = 10_000, 20
SIZES = ((1, 1), (4, 3), (16, 3))  # candidates, and requirements of each
NEAR = (0.0, 0.05)  # |ln(truth / limit)|
Noise = Callable[[random.Random, int, int], list[list[float]]]  # lines, values: ln of each

# Of the real trials: how the limits lie beside the pilot's median, and what they are of.
DISTANCES = (0.03, 0.10, 0.25, 0.60)
METRICS = {"decode": "decode_tok_s", "ttft": "ttft_ms"}
PILOT, BETWEEN = 15, 3
QUICK = {"warm_seconds": 0.3, "sample_seconds": 0.1, "rounds": 3, "max_rounds": 8}
PARTS = "1 / n"  # of the share, by look; some times were taken when they were equal
# Three requirements a model, for the time of a fit beside that of its whole grid.
TIMED = {
    "bytelm": "decode>=1200, peak<=74MiB, top1>=94%",
    "smollm2-135m": "decode>=60, ttft<=800ms, peak<=300MiB",
}


@dataclass(frozen=True, slots=True)
class Rates:
    """What many simulated fits came to.

    Attributes:
        false: share with any false line.
        decided: share of lines MET or NOT_MET.
        rounds: of a candidate, its mean.
    """

    false: float
    decided: float
    rounds: float


def simulate(draws: int) -> None:
    """Print a table for every kind of noise."""
    print(f"{draws:,} fits a line; looks after {looks_between(3, MOST)} processes; bound: 5 %\n")
    print("| noise | candidates x requirements | ln(truth/limit) | false | decided | processes |")
    print("|---|---|---|---|---|---|")
    for name, noise in NOISES.items():
        for candidates, requirements in SIZES:
            for near in NEAR:
                found = simulated(noise, candidates, requirements, near, draws, name)
                print(
                    f"| {name} | {candidates} x {requirements} | {near:g} | {found.false:.2%} "
                    f"| {found.decided:.0%} | {found.rounds:.1f} |",
                    flush=True,
                )


def simulated(
    noise: Noise, candidates: int, requirements: int, near: float, draws: int, seed: str = ""
) -> Rates:
    """Many fits whose lines all have their truth at the same distance from their limit."""
    chance = random.Random(f"{seed} {candidates} {requirements} {near}")
    family = Family(candidates * requirements, looks_between(3, MOST))
    false = decided = rounds = 0
    for _ in range(draws):
        values = noise(chance, family.lines, MOST)
        # Just above a limit is met; just below is not, however little.
        met = [chance.random() < 0.5 for _ in values]
        shifts = [near if one else -max(near, 1e-12) for one in met]
        lines = [
            [shift + one for one in drawn] for shift, drawn in zip(shifts, values, strict=True)
        ]
        sides, taken = _fitted(lines, requirements, family)
        rounds += taken
        decided += sum(side != NEITHER for side in sides)
        false += any(
            side == (BELOW if one else ABOVE) for side, one in zip(sides, met, strict=True)
        )
    return Rates(false / draws, decided / (draws * family.lines), rounds / (draws * candidates))


def _fitted(
    lines: Sequence[Sequence[float]], requirements: int, family: Family
) -> tuple[list[int], int]:
    """The sides of all lines, and how many processes that took; who is out is not measured on."""
    sides, counts = [NEITHER] * len(lines), [0] * len(lines)
    groups = [range(start, start + requirements) for start in range(0, len(lines), requirements)]
    for look in family.looks:
        running = [group for group in groups if _is_undecided([sides[place] for place in group])]
        for group in running:
            for place in group:
                counts[place] = look
        common = common_scatter(line[:count] for line, count in zip(lines, counts, strict=True))
        for place in (place for group in running for place in group):
            if sides[place] == NEITHER:
                sides[place] = tell_values(lines[place][:look], 0.0, family, common).side
    return sides, sum(counts[group.start] for group in groups)


def _is_undecided(sides: Sequence[int]) -> bool:
    """Whether a candidate gets further processes: rates, of which less than a limit is out."""
    return BELOW not in sides and NEITHER in sides


def _normal(sd: float) -> Noise:
    return lambda chance, lines, count: [
        [chance.gauss(0, sd) for _ in range(count)] for _ in range(lines)
    ]


def _rare_slow(chance: random.Random, lines: int, count: int) -> list[list[float]]:
    """One process in ten is 30 % slower; the median of all is 0."""
    return [
        [
            chance.gauss(0.0028, 0.02) - (0.357 if chance.random() < 0.1 else 0.0)
            for _ in range(count)
        ]
        for _ in range(lines)
    ]


def _shared(chance: random.Random, lines: int, count: int) -> list[list[float]]:
    """Half of the noise is that of the round, which all candidates see."""
    common = [chance.gauss(0, 0.05) for _ in range(count)]
    return [[one + chance.gauss(0, 0.05) for one in common] for _ in range(lines)]


def _real(chance: random.Random, lines: int, count: int) -> list[list[float]]:
    """Stretches of real processes, each beside the median of its whole series."""
    found = []
    for _ in range(lines):
        series = chance.choice(_series())
        start = chance.randrange(len(series) - count + 1)
        sign = chance.choice((1, -1))  # rates and times
        found.append([sign * one for one in series[start : start + count]])
    return found


def _resampled(chance: random.Random, lines: int, count: int) -> list[list[float]]:
    """Real processes, each drawn by itself."""
    found = []
    for _ in range(lines):
        series, sign = chance.choice(_series()), chance.choice((1, -1))
        found.append([sign * chance.choice(series) for _ in range(count)])
    return found


def _series(known: list[list[float]] = []) -> list[list[float]]:  # noqa: B006  # read once
    """Ln of what processes of one build measured, beside its median, in their order."""
    if not known:
        found: dict[tuple[str, int, str], list[float]] = defaultdict(list)
        for entry in read_lines(REAL):
            if entry["kind"] == "process":
                for name, value in entry["values"].items():
                    found[name, entry["threads"], entry["side"]].append(math.log(value))
        known += [[one - median(values) for one in values] for values in found.values()]
    return known


NOISES: dict[str, Noise] = {
    "normal 2 %": _normal(0.02),
    "one in ten 30 % slower": _rare_slow,
    "half of it shared by a round": _shared,
    "real processes": _resampled,
    "real processes in their order": _real,
}


def measure(trials: int) -> None:
    """Run the trials that the file lacks, with processes of the long measurement between them."""
    FILE.parent.mkdir(parents=True, exist_ok=True)
    known = read_lines(FILE) if FILE.exists() else []
    done = {entry["number"] for entry in known if entry["kind"] == "trial"}
    pilot = [entry for entry in known if entry["kind"] == "process"]
    begun_s = time.monotonic()
    with Journal(FILE) as journal:
        if not known:
            journal.append({"kind": "machine", "facts": json_facts()})
        while len(pilot) < PILOT:
            pilot.append(_process(journal, len(pilot)))
        middle = {
            name: median(entry["values"][name] for entry in pilot[:PILOT])
            for name in METRICS.values()
        }
        for number in range(trials):
            if number in done:
                continue
            journal.append(_trial(number, middle))
            for place in range(BETWEEN):
                _process(journal, PILOT + number * BETWEEN + place)
            print(f"trial {number + 1} of {trials}, {time.monotonic() - begun_s:.0f} s", flush=True)


def json_facts() -> object:
    """The machine, as journals hold it."""
    import msgspec

    return msgspec.to_builtins(machine_facts())


def _plan(require: Sequence[str]) -> tuple[Plan, tuple[Requirement, ...]]:
    settings, requirements = fit_settings(
        load_settings(
            "fit",
            model=("bytelm",),
            quant=("int4",),
            threads=("1",),
            pg=((64, 32),),
            calibrate=False,
            require=tuple(require),
            **QUICK,
        )
    )
    return make_plan(settings, usable_cores()), requirements


def _process(journal: Journal, number: int) -> dict[str, object]:
    """One fresh process of the long measurement."""
    plan, _ = _plan(["decode>=1"])
    (group,) = plan.groups
    artifact = ensure_group(group, default_cache(), plan.settings.seed)
    (found,) = measure_group(group, artifact, number, plan.settings)
    cell = cell_of(group, group.workloads[0], artifact)
    values = {name: metric_row(name).value(cell, found) for name in METRICS.values()}
    entry: dict[str, object] = {"kind": "process", "number": number, "values": values}
    journal.append(entry)
    return entry


def _trial(number: int, middle: dict[str, float]) -> dict[str, object]:
    """One fit whose two limits lie at a distance from what the pilot saw."""
    chance = random.Random(f"trial {number}")
    distance = DISTANCES[number % len(DISTANCES)]
    limits = {
        name: middle[name] * math.exp(distance * chance.choice((1, -1)))
        for name in METRICS.values()
    }
    require = [
        f"decode>={limits['decode_tok_s']:.2f}",
        f"ttft<={limits['ttft_ms']:.4f}ms",
    ]
    plan, requirements = _plan(require)
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcome = fit_plan(
            plan,
            requirements,
            "quality",
            results=Path(folder),
            cache=default_cache(),
            progress=lambda _what, _done, _total: None,
        )
    found = outcome.document.plan.fit.candidates[0]
    return {
        "kind": "trial",
        "number": number,
        "distance": distance,
        "limits": limits,
        "outcomes": {
            METRICS[line.requirement.partition(">")[0].partition("<")[0]]: str(line.outcome)
            for line in found.lines
        },
        "why": [line.why for line in found.lines],
        "rounds": found.rounds,
        "exit_code": outcome.exit_code,
        "seconds": round(time.monotonic() - begun_s, 1),
    }


@dataclass(frozen=True, slots=True)
class Judged:
    """One line of one real trial beside the long measurement.

    Attributes:
        distance: of the limit from the pilot's median, ln.
        outcome: of the fit.
        is_met: by the median of the long measurement.
        is_sure: the limit lies outside its 99 % interval.
    """

    distance: float
    outcome: str
    is_met: bool
    is_sure: bool

    @property
    def is_false(self) -> bool:
        """Whether it says what is not so."""
        return self.outcome == ("NOT_MET" if self.is_met else "MET")


def judged_trials(entries: Sequence[dict[str, object]]) -> Iterator[list[Judged]]:
    """The lines of every trial."""
    processes = [entry for entry in entries if entry["kind"] == "process"]
    long = {
        name: log_t_interval([entry["values"][name] for entry in processes], 0.99)
        for name in METRICS.values()
    }
    for entry in entries:
        if entry["kind"] != "trial":
            continue
        lines = []
        for name, outcome in entry["outcomes"].items():
            limit, truth = entry["limits"][name], long[name]
            above = truth.center >= limit
            sure = not truth.low <= limit <= truth.high
            is_met = above if name == "decode_tok_s" else truth.center <= limit
            lines.append(Judged(entry["distance"], outcome, is_met, sure))
        yield lines


def report(path: Path) -> str:
    """The real trials, and the times of fits."""
    entries = read_lines(path)
    trials = list(judged_trials(entries))
    count = sum(entry["kind"] == "process" for entry in entries)
    parts = [f"{len(trials)} trials of two lines; the long measurement is of {count} processes\n"]
    parts += ["| limit off by | lines | MET | NOT_MET | INCONCLUSIVE | false |", "|---" * 6 + "|"]
    for distance in DISTANCES:
        lines = [one for trial in trials for one in trial if one.distance == distance]
        told = [sum(one.outcome == word for one in lines) for word in Outcome]
        false = sum(one.is_false for one in lines)
        cells = [f"{distance:.0%}", len(lines), *told, false]
        parts.append("| " + " | ".join(map(str, cells)) + " |")
    wrong = sum(any(one.is_false for one in trial) for trial in trials)
    sure = sum(any(one.is_false and one.is_sure for one in trial) for trial in trials)
    parts.append(
        f"\nfits with a false line: {wrong} of {len(trials)}; {sure} where the limit lies outside"
        " the 99 % interval of the long measurement"
    )
    times = [entry for entry in entries if entry["kind"] == "time"]
    if times:
        parts.append("\n| model | required | parts of looks | fit s | whole grid s | share |")
        parts.append("|---" * 6 + "|")
        parts += [
            f"| {one['model']} | {one['require']} | {one['parts']} | {one['fit_s']:.0f} "
            f"| {one['grid_s']:.0f} | {one['fit_s'] / one['grid_s']:.2f} |"
            for one in times
        ]
    return "\n".join(parts) + "\n"


def time_model(model: str, require: str) -> None:
    """Time a fit and the whole grid, each with a cache that holds this machine's peaks alone.

    The grid is every level with one thread and with all, the tests that the fit takes, five
    rounds, and quality where the requirements ask for it.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        fit = ["fit", model, "--require", require, "--threads", _threads(), "-q"]
        settings, _ = fit_settings(load_settings("fit", require=tuple(require.split(","))))
        tests = [word for pair in settings.pg for word in ("--pg", "{},{}".format(*pair))]
        grid = ["run", "--config", "fit", "--model", model, "--threads", _threads(), "-q"]
        grid += ["--rounds", "5", *tests, *(["--quality"] if settings.quality else [])]
        peaks = ["calibrate", "--quant", ",".join(LEVELS), "--threads", _threads(), "-q"]
        _bench([*peaks, "--cache", str(root / "peaks")])  # who came first would pay for them
        seconds = {}
        for name, words in (("fit", fit), ("grid", grid)):
            cache = root / name
            shutil.copytree(root / "peaks" / "calibration", cache / "calibration")
            begun_s = time.monotonic()
            _bench([*words, "--cache", str(cache), "--results", str(root / "results")])
            seconds[f"{name}_s"] = round(time.monotonic() - begun_s, 1)
    entry = {"kind": "time", "model": model, "require": require, "parts": PARTS, **seconds}
    with Journal(FILE) as journal:
        journal.append(entry)
    print(json.dumps(entry))


def _threads() -> str:
    return ",".join(dict.fromkeys(("1", str(usable_cores()))))


def _bench(words: Sequence[str]) -> None:
    """One command line of `bench`; a fit that nothing meets ends with 1."""
    ended = subprocess.run([sys.executable, "-m", "harness", *words], check=False)
    if ended.returncode not in (0, 1):
        raise SystemExit(ended.returncode)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    simulated_parser = commands.add_parser("simulate")
    simulated_parser.add_argument("draws", type=int, nargs="?", default=DRAWS)
    measured = commands.add_parser("measure")
    measured.add_argument("--trials", type=int, default=40)
    timed = commands.add_parser("time")
    timed.add_argument("model", choices=sorted(TIMED))
    timed.add_argument("--require", default=None)
    reported = commands.add_parser("report")
    reported.add_argument("--file", type=Path, default=FILE)
    asked = parser.parse_args()
    if asked.command == "simulate":
        simulate(asked.draws)
    elif asked.command == "measure":
        measure(asked.trials)
    elif asked.command == "time":
        time_model(asked.model, asked.require or TIMED[asked.model])
    else:
        text = report(asked.file)
        asked.file.with_suffix(".md").write_text(text, encoding="utf-8")
        print(text, end="")


if __name__ == "__main__":
    main()
