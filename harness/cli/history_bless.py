"""`bench history bless`: a step that is accepted, with its reason."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.history_options import (
    blessings_file,
    blessings_option,
    index_option,
    machine_option,
    metric_option,
)
from harness.cli.options import FORMATS, format_option
from harness.cli.output import show
from harness.core.environment import tested_commit
from harness.core.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from harness.history.standing import Trend


@click.command(
    "bless",
    epilog='Example:  bench history bless "int4 tg32" --reason "longer chunks, less memory"',
)
@click.argument("cell", required=False, default="")
@click.option("--reason", metavar="TEXT", help="Why the step is accepted.")
@click.option("--run", "run_id", metavar="RUN", help="The first run behind the step.")
@metric_option()
@machine_option()
@click.option("--commit", metavar="NAME", help="A commit to note.  [default: that of the service]")
@click.option("--list", "is_list", is_flag=True, help="List what was accepted.")
@click.option("--withdraw", metavar="ID", help="Take a blessing back, by its id.")
@index_option()
@blessings_option()
@format_option(FORMATS)
def bless(
    cell: str,
    reason: str | None,
    run_id: str | None,
    metric: str | None,
    machine: str,
    commit: str | None,
    is_list: bool,
    withdraw: str | None,
    index: Path,
    accepted: Path | None,
    style: str,
) -> int:
    """Accept a step of a CELL with a reason, list what was accepted, or take it back.

    CELL is words of a cell's name, as `bench history trend` takes them. Where the trend has one
    step that nobody accepted, it is that one; of several --run says which. It holds for the metric
    and the machine of the trend, in the step's direction. Blessings are lines of a text file beside
    the index, which people keep in git: they outlive an index that is built anew.
    """
    from harness.history.blessings import read_blessings, withdraw_blessing
    from harness.report.history_table import draw_blessings

    path = blessings_file(index, accepted)
    if withdraw is not None:
        show(draw_blessings([withdraw_blessing(path, withdraw)], "withdrawn", str(path), style))
        return EXIT_OK
    if is_list:
        show(draw_blessings(read_blessings(path), "accepted", str(path), style))
        return EXIT_OK
    if not cell or reason is None:
        raise UsageError(
            "bless needs a CELL and a --reason", fix="bench history trend names steps; or --list"
        )
    from harness.history.blessings import add_blessing, new_blessing
    from harness.history.standing import step_to_bless

    trend = _only_trend(index, path, cell, metric, machine)
    step = step_to_bless(trend, run_id)
    today = datetime.now(UTC).date().isoformat()
    made = new_blessing(
        trend.series,
        step.step.first.run_id,
        step.step.is_worse,
        reason,
        today,
        tested_commit() if commit is None else commit,
    )
    add_blessing(path, made)
    show(draw_blessings([made], "accepted", str(path), style))
    return EXIT_OK


def _only_trend(
    index: Path, accepted: Path, cell: str, metric: str | None, machine: str
) -> "Trend":
    """The one trend that words mean.

    Raises:
        UsageError: they mean several.
    """
    from harness.history.blessings import read_blessings
    from harness.history.database import reading
    from harness.history.standing import trend_of
    from harness.history.trends import Wanted, find_series

    with reading(index) as connection:
        found = find_series(connection, Wanted(cell, metric, machine))
    if len(found.series) > 1:
        names = [f"{one.cell} on {one.machine}" for one in found.series[:3]]
        raise UsageError(
            f"{cell!r} means {len(found.series)} trends, such as {'; '.join(names)}",
            fix="more words of one cell's name, or --machine",
        )
    return trend_of(found.series[0], read_blessings(accepted))
