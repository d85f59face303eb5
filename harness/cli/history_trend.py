"""`bench history trend`: how a metric of a cell went, and where it changed."""

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
from harness.cli.options import FORMATS, Word, format_option
from harness.cli.output import show, tell
from harness.core.errors import EXIT_GATE, EXIT_OK, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.history.series import Order
    from harness.history.standing import Trend
    from harness.history.trends import Found

ORDERS = ("date", "commit", "onnxruntime", "machine")


@click.command(
    "trend", epilog='Example:  bench history trend "smollm2-135m int4 tg32" --by onnxruntime'
)
@click.argument("cell", required=False, default="")
@metric_option()
@click.option(
    "--by",
    type=Word(ORDERS),
    default=ORDERS[0],
    show_default=True,
    help="What points follow each other by; machine: the newest of each.",
)
@machine_option()
@click.option("--since", default="", help="The first day, such as 2026-11-22.")
@click.option(
    "--gate", is_flag=True, help="End with 1 where the newest point is behind a step for the worse."
)
@click.option(
    "--html",
    metavar="PAGE",
    type=click.Path(path_type=Path),
    help="Write a page with charts, a file that needs no network, and draw no table.",
)
@index_option()
@blessings_option()
@format_option(FORMATS)
def trend(
    cell: str,
    metric: str | None,
    by: str,
    machine: str,
    since: str,
    gate: bool,
    html: Path | None,
    index: Path,
    accepted: Path | None,
    style: str,
) -> int:
    """Draw how a metric of a cell went, run after run, and name its steps.

    CELL is words that all stand in a cell's name; without it every cell is drawn, a line each. Two
    machines, or documents of two method versions, never share a line. A step is confirmed where two
    detectors see it, else suspected; `bench history bless` accepts one with a reason, and the gate
    passes it.
    """
    from harness.history.blessings import read_blessings
    from harness.history.database import reading
    from harness.history.series import Order
    from harness.history.standing import trend_of
    from harness.history.trends import Wanted, find_series, parse_day
    from harness.history.votes import kept_steps
    from harness.report.history_trend import draw_machines, draw_trends

    order = Order(by)
    if order is Order.MACHINE and (gate or html is not None):
        raise UsageError(
            "--by machine sets machines side by side: it has no steps for a gate, and no page",
            fix="--by date, which draws a trend of each machine",
        )
    if html is not None:
        _check_page(html)
    wanted = Wanted(cell, metric, machine, parse_day(since) if since else "")
    known = read_blessings(blessings_file(index, accepted))
    with reading(index) as connection:
        found = find_series(connection, wanted, order)
        kept = [kept_steps(connection, one) for one in found.series]
    if order is Order.MACHINE:
        show(draw_machines(found, style))
        return EXIT_OK
    pairs = zip(found.series, kept, strict=True)
    trends = [trend_of(one, known, steps) for one, steps in pairs]
    if html is None:
        show(draw_trends(trends, found, style), in_colour=True)
    else:
        _write(html, trends, found, order)
    return EXIT_GATE if gate and any(one.fails for one in trends) else EXIT_OK


def _check_page(html: Path) -> None:
    """Refuse what cannot be a page, before anything is read.

    Raises:
        UsageError: another ending than that of pages.
        DeviceError: the extra `report` is not installed.
    """
    from harness.cli.page_files import page_path
    from harness.report.page.frame import check_extra

    page_path(html)
    check_extra()


def _write(html: Path, trends: "Sequence[Trend]", found: "Found", order: "Order") -> None:
    from harness.cli.page_files import write_page
    from harness.report.page.history import draw_history

    write_page(draw_history(trends, found, order), html)
    tell(f"page: {html}")
