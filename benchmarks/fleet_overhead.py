"""What a fleet costs a cell, and whether it changes what is measured: on one machine, by loopback.

    PYTHONPATH=. python benchmarks/fleet_overhead.py rate       # about 30 s
    PYTHONPATH=. python benchmarks/fleet_overhead.py growth     # about 100 s
    PYTHONPATH=. python benchmarks/fleet_overhead.py overhead   # about 60 s
    PYTHONPATH=. python benchmarks/fleet_overhead.py pairs 10   # about 60 s a pair
    PYTHONPATH=. python benchmarks/fleet_overhead.py beside 200 # about 17 minutes
    PYTHONPATH=. python benchmarks/fleet_overhead.py waiting 200 # the same of the worker alone

`rate`: cells a second of one scheduler and four workers whose cells cost nothing but a result that
is written and sent. `growth`: what 1 to 16 workers add to cells of a known length: the time of all,
by what one worker had, less the cells themselves. `overhead`: cells of bytelm by `bench cell`, one
worker: the time of all less the seconds that its children ran, by cell; a local loop has the same
children. `pairs`: the same cells (decode of bytelm and smollm2-135m at int4) by a fleet whose
scheduler stands on the same machine, and by a loop without any of its processes, in turns whose
order is drawn; ratio of the rates with its 95 % interval. Fresh processes differ by more than a
fleet could add, so this takes very many pairs. `beside` asks the same of one process: it decodes
with all cores while a scheduler, a worker that waits for a cell, and who gathers stand beside it,
and while all three are stopped, in turns of a third of a second or more whose order is drawn.
"""

import json
import math
import random
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory

import harness
from harness.cli.signals import end_as_with_ctrl_c
from harness.fleet.cells import CellFile
from harness.fleet.laying import cells_of
from harness.fleet.scheduling.crew import open_crew
from harness.fleet.scheduling.gathering import Asked, Gathered, gather
from harness.fleet.scheduling.security import scheduler_address
from harness.fleet.scheduling.task import Children
from harness.results.document import read_document
from harness.runner.settings import load_settings
from harness.stats.intervals import t_interval
from tests.fleet.scheduling.processes import Fleet, fleet, null_cells, start

RATE_CELLS = 1000
GROWTH = (1, 2, 4, 8, 16)
GROWTH_CELLS = 40  # of each worker
GROWTH_S = 0.25  # of each of them
OVERHEAD_CELLS = 10
DECODE = {"prompt": (), "gen": (64,), "pg": (), "rounds": 3, "calibrate": False}
GOAL = 0.01
TURN_S = 0.33
SETTLE_S = 0.3  # what went on has caught up with what it missed
STEPS = 100


Model = harness.LoadedModel


def told(**figures: object) -> None:
    """One line of figures, as JSON."""
    print(json.dumps(figures), flush=True)


def at(one: Fleet, names: Sequence[str], *words: str) -> None:
    """Start workers and wait until all are there."""
    for name in names:
        one.worker(name, *words)
    for name in names:
        one.wait_for(name, f"worker {name} at")


def gathered(one: Fleet, cells: Sequence[CellFile], workers: int) -> tuple[Gathered, float]:
    """What came of some cells, and the seconds from the first order to the last result."""
    with open_crew(scheduler_address(one.address)) as crew:
        crew.workers()
        start_s = time.monotonic()
        asked = Asked(cells, "any", one.folder / "gathered", workers=workers)
        found = gather(crew, asked, lambda what, done, total: None, print)
        took_s = time.monotonic() - start_s
    assert (len(found.results), found.losses) == (len(cells), ()), found.losses[:1]
    return found, took_s


def rate(folder: Path) -> None:
    """Cells a second that cost nothing."""
    cells = null_cells(RATE_CELLS + 20)
    with fleet(folder / "rate") as one:
        at(one, "abcd")
        gathered(one, cells[:20], 4)  # imports, connections
        _, took_s = gathered(one, cells[20:], 4)
    told(
        part="rate", cells=RATE_CELLS, seconds=took_s, cells_s=RATE_CELLS / took_s, bar_cells_s=200
    )


def growth(folder: Path) -> None:
    """What more workers add to each cell."""
    for count in GROWTH:
        names = [f"w{number}" for number in range(count)]
        cells = null_cells(GROWTH_CELLS * count + count)
        with fleet(folder / f"growth-{count}") as one:
            at(one, names, f"seconds={GROWTH_S}")
            gathered(one, cells[:count], count)
            _, took_s = gathered(one, cells[count:], count)
        overhead_ms = (took_s / GROWTH_CELLS - GROWTH_S) * 1e3
        told(part="growth", workers=count, overhead_ms=overhead_ms, bar_ms=50)


def overhead(folder: Path) -> None:
    """What a cell of a real model costs beside its child process."""
    cells = [one for gen in range(4, 4 + OVERHEAD_CELLS) for one in small(gen)]
    with fleet(folder / "overhead") as one:
        at(one, "a", "real=yes")
        gathered(one, small(3), 1)
        _, took_s = gathered(one, cells, 1)
        lines = (one.folder / "out-a" / "times.txt").read_text().splitlines()[1:]
    children_s = sum(float(line.split()[1]) for line in lines)
    each_ms = (took_s - children_s) / len(cells) * 1e3
    told(part="overhead", cells=len(cells), child_s=children_s / len(cells), overhead_ms=each_ms)


def small(gen: int) -> tuple[CellFile, ...]:
    """A cell of the small model, of another length each time."""
    return laid("bytelm", prompt=(), gen=(gen,), pg=(), rounds=1, calibrate=False)


def laid(model: str, **plan: object) -> tuple[CellFile, ...]:
    """The one cell of a model at int4."""
    words = {"model": (model,), "quant": ("int4",), "device": ("cpu",), "threads": ("1",)}
    return cells_of(load_settings("default", **words, **plan))


def pairs(folder: Path, count: int) -> None:
    """The same cells by a fleet and without one, in turns."""
    cells = [cell for model in ("bytelm", "smollm2-135m") for cell in laid(model, **DECODE)]
    by_loop(cells, folder / "warm")  # builds
    logs: dict[str, list[float]] = {}
    for number in range(count):
        sides = [by_fleet, by_loop]
        random.Random(number).shuffle(sides)
        rates = {side: side(cells, folder / f"{number}-{side.__name__}") for side in sides}
        for name, fleet_rate in rates[by_fleet].items():
            logs.setdefault(name, []).append(math.log(fleet_rate / rates[by_loop][name]))
        told(part="pairs", pair=number, ratios={name: math.exp(v[-1]) for name, v in logs.items()})
    both = [sum(values) / len(values) for values in zip(*logs.values(), strict=True)]
    for name, values in {**logs, "both": both}.items():
        tell_interval("pairs", name, values)


def waiting(folder: Path, count: int) -> None:
    """The same with the worker alone stopped in turns: the scheduler stands elsewhere as a rule."""
    beside(folder, count, only="a")


def beside(folder: Path, count: int, only: str = "") -> None:
    """One process that decodes, with a fleet beside it and with that fleet stopped, in turns."""
    with fleet(folder / "beside") as one:
        at(one, "a", "seconds=36000")
        code = f"from benchmarks.fleet_overhead import hold; hold({one.address!r}, {str(folder)!r})"
        one.workers["gathers"] = start(one.folder / "gathers.log", "-c", code)
        while not (one.folder / "out-a" / "measured.txt").exists():
            time.sleep(0.1)
        fleets = (one.workers[only],) if only else (one.scheduler, *one.workers.values())
        with ExitStack() as stack:
            stack.callback(signal_all, fleets, signal.SIGCONT)
            in_turns("waiting" if only else "beside", fleets, count)


def in_turns(part: str, fleets: Sequence[Popen[bytes]], count: int) -> None:
    """Decode with processes that are stopped and go on."""
    for name in ("bytelm", "smollm2-135m"):
        model = harness.load(name, level="int4", context_tokens=256)
        passes = max(1, round(TURN_S / seconds_of(model, 1)))
        logs = []
        for number in range(count):
            sides = [signal.SIGCONT, signal.SIGSTOP]
            random.Random(number).shuffle(sides)
            took_s = {side: turn(fleets, side, model, passes) for side in sides}
            logs.append(math.log(took_s[signal.SIGSTOP] / took_s[signal.SIGCONT]))
        tell_interval(part, name, logs)


def signal_all(processes: Sequence[Popen[bytes]], number: int) -> None:
    """Send a signal to each."""
    for process in processes:
        process.send_signal(number)


def turn(fleets: Sequence[Popen[bytes]], side: int, model: Model, passes: int) -> float:
    """Seconds of some passes, with every process of a fleet stopped or going on."""
    for process in fleets:
        process.send_signal(side)
    time.sleep(SETTLE_S)
    return seconds_of(model, passes)


def seconds_of(model: Model, passes: int) -> float:
    """Seconds of the steps alone."""
    total_s = 0.0
    for _ in range(passes):
        model.prefill([[1, 2, 3, 4]])
        start_s = time.monotonic()
        for _ in range(STEPS):
            model.step([[5]])
        total_s += time.monotonic() - start_s
    return total_s


def hold(address: str, folder: str) -> None:
    """Gather one cell that never ends."""
    with open_crew(scheduler_address(address)) as crew:
        asked = Asked(null_cells(1), "any", Path(folder) / "held")
        gather(crew, asked, lambda what, done, total: None, print)


def tell_interval(part: str, name: str, logs: Sequence[float]) -> None:
    """The ratio of two rates with its 95 % interval, beside the goal."""
    found = t_interval(logs)
    ends = [math.exp(one) - 1 for one in (found.low, found.high)]
    told(part=part, model=name, pairs=len(logs), low=ends[0], high=ends[1], inside=is_inside(ends))


def is_inside(ends: Sequence[float]) -> bool:
    """Whether a whole interval is inside the goal."""
    return max(map(abs, ends)) <= GOAL


def by_loop(cells: Sequence[CellFile], folder: Path) -> dict[str, float]:
    """Rates of `bench cell` after `bench cell`."""
    folder.mkdir()
    measure = Children(["--machine", "a", "-q"])
    for cell in cells:
        file = folder / cell.file_name
        file.write_bytes(cell.encoded())
        ended = measure(file, folder)
        assert ended.exit_code == 0, ended.said
    return rates_of(sorted(folder.glob("result-*.json")))


def by_fleet(cells: Sequence[CellFile], folder: Path) -> dict[str, float]:
    """Rates of the same cells by a scheduler and a worker."""
    with fleet(folder) as one:
        at(one, "a", "real=yes")
        found, _ = gathered(one, cells, 1)
    return rates_of(found.results)


def rates_of(results: Sequence[Path]) -> dict[str, float]:
    """Tokens a second by model."""
    records = [record for path in results for record in read_document(path).records]
    found = {one.cell.model: one.metrics.get("decode_tok_s") for one in records}
    return {model: metric.value for model, metric in found.items() if metric and metric.value}


COUNTED = {"pairs": (pairs, 10), "beside": (beside, 200), "waiting": (waiting, 200)}
PARTS = {"rate": rate, "growth": growth, "overhead": overhead}


def main(words: Sequence[str]) -> None:
    """Run one part, or all but those in turns."""
    end_as_with_ctrl_c()
    with TemporaryDirectory() as folder:
        if words and words[0] in COUNTED:
            part, count = COUNTED[words[0]]
            part(Path(folder), int(words[1]) if len(words) > 1 else count)
            return
        for name in words or PARTS:
            start_s = time.monotonic()
            PARTS[name](Path(folder))
            print(f"{name}: {time.monotonic() - start_s:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
