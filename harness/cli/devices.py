"""`bench devices`: every provider row, what it needs, and whether it works here."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from harness.cli.models import draw
from harness.cli.options import FORMATS, Word
from harness.core.units import GIB
from harness.devices.device import Device
from harness.devices.probe import Probe, look_up, probe_row
from harness.devices.row import KINDS
from harness.devices.table import all_rows
from harness.report.grid import MISSING

HEADER = (
    *("device", "class", "state", "provider", "version", "vendor", "id", "memory", "verdict"),
    "needs",
)
OTHER_SYSTEM = "other system"
FAILED = ("no hardware", "broken", "fell back")


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
@click.option("--format", "style", type=Word(FORMATS), default="table", show_default=True)
def command(probe: bool, allow_simulated: bool, kind: str | None, every: bool, style: str) -> None:
    """List the rows that --device and --ep take, and what each needs to work.

    `works`: a graph ran on it in a child process, gave the right answer, and its provider had the
    nodes. `simulated`: the same on an emulation. `no hardware`: installed, but it finds no device.
    `broken`: installed, and cannot be loaded. `fell back`: it opened, and the CPU did the work.
    """
    rows = [row for row in all_rows() if kind in (None, row.kind)]
    found = [probe_row(row, allow_simulated) if probe else look_up(row) for row in rows]
    shown = [one for one in found if every or one.state != OTHER_SYSTEM]
    draw(HEADER, [cells(one) for one in shown], [values(one) for one in found], style)
    if style in ("table", "md"):
        mark = "- " if style == "md" else ""
        lines = notes(shown, len(found) - len(shown))
        click.echo("".join(f"\n{mark}{line}" for line in lines))


def cells(found: Probe) -> list[str]:
    """One row as text."""
    hardware = found.hardware or {}
    return [
        found.row.key,
        found.row.kind,
        found.state,
        found.row.provider.removesuffix("ExecutionProvider"),
        hardware.get("version") or MISSING,
        hardware.get("vendor") or MISSING,
        " ".join(hardware.get(name) or "" for name in ("vendor_id", "device_id")).strip()
        or MISSING,
        memory_of(hardware),
        found.verdict or MISSING,
        found.row.needs or MISSING,
    ]


def memory_of(hardware: Mapping[str, Any]) -> str:
    """Name and size of a device's memory: `WebGPU_Buf`, `WebGPU_Buf 16.0 GiB`."""
    size = hardware.get("memory_bytes")
    words = (hardware.get("memory"), None if size is None else f"{size / GIB:.1f} GiB")
    return " ".join(word for word in words if word) or MISSING


def values(found: Probe) -> dict[str, object]:
    """One row as values; null where nothing is known."""
    row, hardware = found.row, found.hardware or {}
    simulation = row.simulation
    return {
        "device": row.key,
        "class": row.kind,
        "state": found.state,
        "problem": found.problem,
        "fix": found.fix,
        "provider": row.provider,
        "registration": row.registration.value,
        "wheel": row.wheel,
        "install": row.install,
        "systems": list(row.systems),
        **{name: hardware.get(name) for name in ("version", "hardware", "vendor", "vendor_id")},
        "device_id": hardware.get("device_id"),
        "memory": hardware.get("memory"),
        "memory_bytes": hardware.get("memory_bytes"),
        "discrete": hardware.get("discrete"),
        "devices": found.devices,
        "verdict": found.verdict,
        "simulated": hardware.get("simulated"),
        "first_ms": found.first_ms,
        "options": {option.name: list(option.values) for option in row.options},
        "defaults": Device(row).provider_options,
        "needs_static": row.needs_static,
        "needs_qdq": row.needs_qdq,
        "contributed_operators": row.contributed,
        "simulation": None if simulation is None else simulation.what,
    }


def notes(shown: Sequence[Probe], hidden: int) -> list[str]:
    """What is wrong with each row that does not work, and the exact way out."""
    lines = [f"{found.problem}; try: {found.fix}" for found in shown if found.state in FAILED]
    for install in dict.fromkeys(one.fix for one in shown if one.state == "not installed"):
        keys = ", ".join(one.row.key for one in shown if one.fix == install)
        lines.append(f"{keys}: {install}")
    lines += [
        f"{one.row.key}: {one.devices} devices; {one.row.key}:1 is the second"
        for one in shown
        if (one.devices or 0) > 1
    ]
    lines += [
        f"{one.row.key} is simulated by {one.row.simulation.what}: its speed means nothing"
        for one in shown
        if one.state == "simulated" and one.row.simulation
    ]
    return [*lines, *([f"{hidden} rows of other operating systems: --all"] * (hidden > 0))]
