"""`bench validate-estimates`: how far each estimator is from what was measured."""

from collections.abc import Sequence
from pathlib import Path

import click

from harness.analysis.errors import GROUPINGS, check_method, study_errors
from harness.cli.completion import RESULTS
from harness.cli.flags import FlagOption
from harness.cli.options import FORMATS, Word, cache_option, format_option, results_option
from harness.cli.output import show, tell, tell_problem
from harness.cli.results_files import read_results, results_path
from harness.cli.running import measure_plan, tell_lost
from harness.cli.validate_published import judge_published
from harness.core.errors import EXIT_OK, StorageError, UsageError
from harness.core.files import write_whole
from harness.report.grid import json_text
from harness.report.validate_table import draw_study, study_json
from harness.results.schema import METHOD_VERSION, Document
from harness.runner.plan import make_plan
from harness.runner.settings import load_settings
from harness.runner.settings.flags import flag

DEFAULT_PLAN = "validate"
PUBLISHED_BY = ("class", "engine", "runtime", "device")
EXAMPLE = "Example:  bench validate-estimates results/run-20261122-101500-1a2b.json --by model"


@click.command("validate-estimates", epilog=EXAMPLE)
@click.argument(
    "files",
    metavar="[RESULTS]...",
    nargs=-1,
    type=click.Path(path_type=Path),
    shell_complete=RESULTS,
)
@click.option(
    "--remeasure",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Results of the same plan from another hour. May be given again.",
)
@click.option(
    "--by",
    type=Word([*GROUPINGS, *PUBLISHED_BY]),
    help=f"Group by group; of --published {', '.join(PUBLISHED_BY)}.",
)
@click.option(
    "--published",
    metavar="FILE.csv",
    help="Estimates of absent devices beside published rows; `shipped`: those that ship.",
)
@results_option("folder")
@cache_option()
@format_option(FORMATS)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep the table as JSON in this file.",
)
def command(
    files: tuple[Path, ...],
    plan: str | None,
    remeasure: tuple[Path, ...],
    by: str | None,
    published: str | None,
    folder: Path,
    cache: Path | None,
    style: str,
    out: Path | None,
) -> int:
    """Judge every estimator by the results files RESULTS; without any, measure the plan first.

    The error of an estimate is |ln(estimated time / measured time)| in percent: 9.5 for a tenth
    too fast, 69.3 for twice as fast and for half as fast. A bias above 1 is an estimate that is
    too slow or too large. `remeasure` is how far two measurements of the same cells are apart.

    `--published` judges the answers of `bench estimate` by what others published instead: how many
    values its ranges hold, how far its centres are off, how wide ranges are, with the device of
    each row known, left out of the fit, and fitted to other devices alone, beside two rules.
    """
    _check_out(out, (*files, *remeasure))
    if published is not None:
        _refuse_beside_published(files, remeasure, plan, by)
        judge_published(published, by, style, out)
        return EXIT_OK
    if by in PUBLISHED_BY:
        raise UsageError(f"--by {by} goes with --published", fix=f"--by {', '.join(GROUPINGS)}")
    if files and plan is not None:
        raise UsageError(
            "RESULTS and --config are both given: stored numbers are checked, or new ones taken",
            fix="give one of the two",
        )
    remeasured = [read_results(results_path(path)) for path in remeasure]
    if files:
        judge([read_results(results_path(path)) for path in files], remeasured, by, style, out)
        return EXIT_OK
    document, code = _measure(plan or DEFAULT_PLAN, remeasured, folder, cache)
    try:
        judge([document], remeasured, by, style, out)
    except UsageError as error:
        if code == EXIT_OK:
            raise
        tell_problem(error.problem, error.fix)  # the run has failed: its exit code says how
    return code


command.params.append(
    FlagOption(flag("plan"), f"Plan to measure without RESULTS.  [default: {DEFAULT_PLAN}]")
)


def judge(
    documents: Sequence[Document],
    remeasured: Sequence[Document],
    by: str | None,
    style: str,
    out: Path | None,
) -> None:
    """Print the table, and keep it where `out` says.

    Raises:
        UsageError: as study_errors; nothing is printed or written then.
    """
    study = study_errors(documents, remeasured, by)
    table = study_json(study, documents, remeasured, by)
    if out is not None:
        write_whole(out, json_text(table, indent=1) + "\n")
        tell(f"errors of the estimates: {out}")
    text, notes = draw_study(study, table, style)
    show(text)
    for note in notes:
        tell(note)


def _refuse_beside_published(
    files: tuple[Path, ...], remeasure: tuple[Path, ...], plan: str | None, by: str | None
) -> None:
    """Refuse what is about measurements of this machine, beside published ones of others.

    Raises:
        UsageError: there is such a thing.
    """
    if files or remeasure or plan is not None:
        raise UsageError(
            "--published holds estimates against a file of published rows, and nothing measured",
            fix="leave out RESULTS, --remeasure and --config",
        )
    if by is not None and by not in PUBLISHED_BY:
        raise UsageError(
            f"--by {by} is of measurements here", fix=f"--by {', '.join(PUBLISHED_BY)}"
        )


def _measure(
    plan: str, remeasured: Sequence[Document], folder: Path, cache: Path | None
) -> tuple[Document, int]:
    """Measure a plan and return its document and how the run ended.

    What cannot be compared with this version's measurements is refused before they are taken.
    """
    from harness.machine.watch.facts import usable_cores

    chosen = make_plan(load_settings(plan), usable_cores(), folder=cache)
    for document in remeasured:
        check_method(document, METHOD_VERSION)
    outcome = measure_plan(chosen, folder, cache)
    tell_lost(outcome.lost)
    return outcome.document, outcome.exit_code


def _check_out(out: Path | None, files: Sequence[Path]) -> None:
    """Refuse, before anything is measured, a file that cannot be made or would cost results."""
    if out is None:
        return
    if not out.parent.is_dir():
        raise StorageError(f"--out {out}: its folder does not exist", fix="make the folder first")
    if out.resolve() in {path.resolve() for path in files}:
        raise UsageError(
            f"--out {out} is one of the results, which it would overwrite",
            fix="--out with a file of its own",
        )
