"""`bench cell`: measure one cell of a plan, wherever a queue has brought its file."""

import os
from functools import partial
from pathlib import Path

import click

from harness.cli.fleet_options import cell_model_options
from harness.cli.options import (
    DOCUMENT_FORMATS,
    cache_option,
    details_option,
    format_option,
    inconclusive_option,
    offline_option,
    quiet_option,
    wait_option,
    wide_option,
)
from harness.cli.output import tell
from harness.cli.progress import open_progress
from harness.core.environment import MACHINE, MODELS, read_variable
from harness.core.errors import EXIT_INTERRUPTED


@click.command("cell", epilog="Example:  bench cell cell-1a2b3c4d5e6f7a8b.json --out results")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--out",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the result: result-CELL-HASH.json, the hash being that of cell, machine and"
    " method.",
)
@cell_model_options()
@click.option("--machine", metavar="WORD", help="What this machine is called in the result.")
@click.option("--again", is_flag=True, help="Measure also where the result is there already.")
@offline_option()
@wait_option()
@quiet_option()
@details_option()
@inconclusive_option()
@format_option(DOCUMENT_FORMATS, has_wide=True)
@wide_option()
@cache_option()
def command(
    file: Path,
    out: Path,
    models: tuple[Path, ...],
    allow_hub: bool,
    machine: str | None,
    again: bool,
    offline: bool,
    wait: str | None,
    quiet: bool,
    inconclusive: str,
    style: str,
    wide: bool,
    cache: Path | None,
) -> int:
    """Measure the cell FILE that `bench plan --cells` wrote, and keep its result in DIR.

    Where DIR has the result, nothing is measured, and the exit code is that of the result. A cell
    that was interrupted goes on. It ends with 2 where the cell is refused: another version, a model
    that is in no folder of models, files, servers or options that a cell may not name.
    """
    from harness.cli.running import seconds_of, tell_lost, tell_unfinished
    from harness.cli.show import show_document, tell_required
    from harness.cli.signals import end_as_with_ctrl_c
    from harness.fleet.cell_run import Place, check_label, run_cell
    from harness.fleet.cells import read_cell
    from harness.fleet.model_files import find_word
    from harness.store.cache import default_cache
    from harness.store.fetch import Hub, fetch_model

    cell, built = read_cell(file), cache or default_cache()
    label = check_label(read_variable(MACHINE) if machine is None else machine)
    place = Place(out, built, label, again, seconds_of(wait))
    end_as_with_ctrl_c()
    with open_progress(quiet) as view:

        def fetch(name: str) -> Path:
            return fetch_model(name, built, Hub(offline=offline), view.say)

        folders = models or model_folders()
        find = partial(find_word, folders=folders, fetch=fetch if allow_hub else None)
        again_words = ("bench", *(click.get_current_context().find_root().obj or ()))
        outcome = run_cell(cell, find, place, view, view.board, again_words)
    if not outcome.is_new:
        tell(f"{outcome.path} is there: nothing is measured (--again does)")
    elif outcome.lost is None:
        tell(f"results: {outcome.path}")
    if outcome.exit_code == EXIT_INTERRUPTED:
        tell_unfinished(outcome.document, again_words)
    show_document(outcome.document, style, wide, str(outcome.path))
    tell_lost(outcome.lost)
    return max(outcome.exit_code, tell_required(outcome.document, style, inconclusive))


def model_folders() -> tuple[Path, ...]:
    """The folders that BENCH_MODELS names."""
    return tuple(Path(one) for one in read_variable(MODELS).split(os.pathsep) if one)
