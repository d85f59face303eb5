"""The provider rows of `bench devices`: what each needs, and whether it works here. Pure."""

from collections.abc import Callable, Sequence

from harness.core.findings import Finding
from harness.core.units import GIB
from harness.devices.device import Device
from harness.devices.probe import Probe
from harness.report.grid import PEOPLE, Column, draw_columns, draw_records, prose
from harness.results.enums import DeviceState
from harness.results.replies import Hardware

HARDWARE_FIELDS = ("version", "hardware", "vendor", "vendor_id")
FAILED = (DeviceState.NO_HARDWARE, DeviceState.BROKEN, DeviceState.FELL_BACK)


def _of_hardware(name: str) -> Callable[[Probe], object]:
    """Read what a probe found out about the hardware."""
    return lambda found: getattr(found.hardware, name, None) or None


COLUMNS: tuple[Column[Probe], ...] = (
    Column("device", lambda found: found.row.key),
    Column("class", lambda found: found.row.kind),
    Column("state", lambda found: found.state),
    Column("provider", lambda found: found.row.provider.removesuffix("ExecutionProvider")),
    Column("version", _of_hardware("version"), leaves=2),
    Column("vendor", _of_hardware("vendor"), leaves=3),
    Column("id", lambda found: _ids(found.hardware), leaves=5),
    Column("memory", lambda found: _memory(found.hardware), leaves=4),
    Column("verdict", lambda found: found.verdict or None),
    Column("needs", lambda found: found.row.needs or None),
)


def draw_devices(
    found: Sequence[Probe],
    hidden_states: Sequence[str],
    style: str,
    counters: Sequence[Finding] = (),
) -> str:
    """Draw every row, and below the table what is wrong and the way out.

    Args:
        found: one probe per row of the device table.
        hidden_states: rows in these states are counted, not drawn; JSON has all.
        style: of `options.FORMATS`.
        counters: of energy, for people; `bench doctor` has them for programs.
    """
    if style in ("json", "jsonl"):
        return draw_records([probe_values(one) for one in found], style)
    shown = [one for one in found if one.state not in hidden_states]
    table = draw_columns(COLUMNS, shown, style)
    if style not in PEOPLE:
        return table
    mark = "- " if style == "md" else ""
    lines = device_notes(shown, len(found) - len(shown))
    lines += [f"{one.check}: {one.detail}" for one in counters]
    return table + "\n" + "".join(f"\n{prose(line, style, mark)}" for line in lines)


def probe_values(found: Probe) -> dict[str, object]:
    """Return one row as values; null where nothing is known."""
    row, hardware = found.row, found.hardware
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
        **{name: getattr(hardware, name, None) for name in HARDWARE_FIELDS},
        "device_id": getattr(hardware, "device_id", None),
        "memory": getattr(hardware, "memory", None),
        "memory_bytes": getattr(hardware, "memory_bytes", None),
        "discrete": getattr(hardware, "discrete", None),
        "devices": found.devices,
        "verdict": found.verdict,
        "simulated": getattr(hardware, "simulated", None),
        "first_ms": found.first_ms,
        "options": {option.name: list(option.values) for option in row.options},
        "defaults": Device(row).provider_options,
        "needs_static": row.needs_static,
        "needs_qdq": row.needs_qdq,
        "contributed_operators": row.contributed,
        "simulation": None if simulation is None else simulation.what,
    }


def device_notes(shown: Sequence[Probe], hidden: int) -> list[str]:
    """Say what is wrong with each row that does not work, and the exact way out."""
    lines = [f"{found.problem}; try: {found.fix}" for found in shown if found.state in FAILED]
    for install in dict.fromkeys(
        one.fix for one in shown if one.state == DeviceState.NOT_INSTALLED
    ):
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


def _ids(hardware: Hardware | None) -> str | None:
    """Vendor and device numbers; None: not known."""
    words = (getattr(hardware, name, None) or "" for name in ("vendor_id", "device_id"))
    return " ".join(words).strip() or None


def _memory(hardware: Hardware | None) -> str | None:
    """Name and size of a device's memory: `WebGPU_Buf`, `WebGPU_Buf 16.0 GiB`."""
    size = getattr(hardware, "memory_bytes", None)
    words = (getattr(hardware, "memory", None), None if size is None else f"{size / GIB:.1f} GiB")
    return " ".join(word for word in words if word) or None
