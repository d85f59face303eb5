"""`bench run --on`: the same plan on one other machine, which is reached by ssh or adb."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.output import show, tell
from harness.cli.progress import open_progress
from harness.core.errors import EXIT_INTERRUPTED, UsageError

if TYPE_CHECKING:
    from harness.fleet.cells import CellFile
    from harness.fleet.remote.gather import Gathered
    from harness.fleet.remote.visit import Errand
    from harness.runner.settings import Settings

# Options of `bench run` that a visit does not heed -> what does what they do.
OF_HERE = {
    "resume": "the same command again goes on by itself",
    "explain_row": "bench explain with the file of the results",
}

# How lines of `bench cell` begin that say where its files lie there: nobody here can use them.
OF_THERE = ("results: out/", "interrupted; go on: ")


def refuse_elsewhere(**given: object) -> None:
    """Refuse options that say something of this machine only.

    Raises:
        UsageError: the first of them.
    """
    for name, instead in OF_HERE.items():
        if given[name]:
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} does not go with --on", fix=instead)


def errand_of(
    on: str | None, python: str | None, machine: str | None, wait: str | None, offline: bool
) -> "Errand | None":
    """What a visit is for, checked before anything begins; None: this machine is meant.

    Raises:
        UsageError: no such machine, time or word; or what only another machine has.
    """
    if on is None:
        for flag, given in (("--remote-python", python), ("--machine", machine)):
            if given is not None:
                raise UsageError(f"{flag} says nothing without --on", fix="--on ssh:HOST")
        return None
    from harness.cli.running import seconds_of
    from harness.fleet.cell_run import check_label
    from harness.fleet.remote.target import parse_target
    from harness.fleet.remote.visit import Errand

    seconds_of(wait)
    words = ["--offline"] if offline else ["--allow-hub"]
    words += ["--wait", wait] if wait is not None else []
    words += ["--machine", check_label(machine)] if machine is not None else []
    return Errand(parse_target(on), python, tuple(words))


def run_elsewhere(
    settings: "Settings",
    errand: "Errand",
    results: Path,
    cache: Path | None,
    style: str,
    dry_run: bool,
    quiet: bool,
) -> "Gathered | None":
    """Measure a plan on another machine; None: its cells were only listed."""
    from harness.cli.signals import end_as_with_ctrl_c
    from harness.fleet.laying import cells_of
    from harness.fleet.model_files import files_here
    from harness.fleet.remote.gather import gather
    from harness.report.cells_table import draw_cells

    cells = cells_of(settings, cache)
    if dry_run:
        show(draw_cells(cells, style))
        return None
    words = (word for part in settings.parts for word in part.model)
    errand = replace(errand, models=tuple(files_here(words).items()))
    end_as_with_ctrl_c()
    with open_progress(quiet) as view:

        def begun(cell: "CellFile", number: int) -> None:
            row = cell.rows[0]
            view(f"{errand.target.name}: {row.model} {row.level} {row.device}", number, len(cells))

        def say(line: str) -> None:
            if not line.startswith(OF_THERE):
                view.say(line)

        gathered = gather(cells, errand, results, say, begun)
    for problem in gathered.problems:
        tell(f"bench: {problem}")
    tell(f"results: {gathered.path}")
    if gathered.exit_code == EXIT_INTERRUPTED:
        tell("interrupted; go on: the same command again")
    return gathered
