"""`bench devices`: every provider row, what it needs, and whether it works here."""

from collections.abc import Sequence

import click

from harness.cli.options import FORMATS, Word, format_option
from harness.cli.output import show
from harness.core.findings import Finding
from harness.devices.probe import look_up, probe_row
from harness.devices.row import KINDS
from harness.devices.table import all_rows
from harness.report.devices_table import draw_devices
from harness.results.enums import DeviceState


@click.command("devices", epilog="Example:  bench devices --allow-simulated --format md")
@click.option(
    "--probe/--no-probe",
    default=True,
    show_default=True,
    help="Run a small graph on every installed row, each in a process of its own.",
)
@click.option("--allow-simulated", is_flag=True, help="Emulate what has no hardware here.")
@click.option("--class", "kind", type=Word(KINDS), help="Only rows of this class.")
@click.option("--all", "every", is_flag=True, help="Also rows of other operating systems.")
@format_option(FORMATS)
def command(probe: bool, allow_simulated: bool, kind: str | None, every: bool, style: str) -> None:
    """List the rows that --device and --ep take, and what each needs to work.

    `works`: a graph ran on it in a child process, gave the right answer, and its provider had the
    nodes. `simulated`: the same on an emulation. `no hardware`: installed, but it finds no device.
    `broken`: installed, and cannot be loaded. `fell back`: it opened, and the CPU did the work.
    Below the table: what counts energy, and whether it followed load over an idle and a busy
    second.
    """
    rows = [row for row in all_rows() if kind in (None, row.kind)]
    found = [probe_row(row, allow_simulated) if probe else look_up(row) for row in rows]
    hidden = () if every else (DeviceState.OTHER_SYSTEM,)
    show(draw_devices(found, hidden, style, _counters() if probe else ()))


def _counters() -> Sequence[Finding]:
    """What counts energy here. Imported here: the help needs no counters."""
    from harness.machine.watch.doctor import check_energy
    from harness.store.cache import default_cache

    return check_energy(cache=default_cache())
