"""What a worker offers: its machine, its versions, and the devices that our own probe proved."""

from collections.abc import Callable, Iterable

import msgspec

from harness.core.version import installed_version
from harness.devices.probe import Probe, look_up, probe_row
from harness.devices.row import ProviderRow
from harness.devices.table import all_rows
from harness.machine.watch.facts import machine_facts
from harness.machine.watch.sole import KINDS
from harness.results.enums import DeviceState
from harness.results.environment import MachineFacts
from harness.results.schema import METHOD_VERSION

EXTRA = "bench"  # under which a scheduler passes on what a worker said of itself
# Units of a machine: one of its classes takes one, the processor all, for whoever measures a
# processor takes what every other device is fed by (harness.machine.watch.sole).
UNITS = 2
SIMULATED = "simulated "  # before the names of what is emulated: no cell takes it unasked
MOST_DEVICES = 64  # of one row, which have a name each


class OfferedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One row that works on a machine.

    Attributes:
        row: key of the table of providers.
        kind: its class: cpu, gpu or npu.
        simulated: it is emulated.
        count: how many there are.
    """

    row: str
    kind: str
    simulated: bool = False
    count: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """What cells call it: its row, its class, and each of several by its number."""
        first = SIMULATED if self.simulated else ""
        numbers = ("", *(f":{index}" for index in range(1, min(self.count, MOST_DEVICES))))
        return tuple(
            f"{first}{name}{no}" for name in dict.fromkeys((self.row, self.kind)) for no in numbers
        )


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says of itself, once, when it registers.

    Attributes:
        name: of the worker: the label that its operator gives the machine, or of its hash.
        version: of this package.
        method: METHOD_VERSION of its results.
        onnxruntime: version; empty: not known.
        machine: 16 hexadecimal digits over the facts of the machine and its label.
        devices: that work, the processor first.
    """

    name: str
    version: str
    method: int
    onnxruntime: str = ""
    machine: str
    devices: tuple[OfferedDevice, ...] = ()


def own_offer(
    label: str,
    identify: Callable[[MachineFacts, str], str],
    allow_simulated: bool = False,
    rows: Iterable[ProviderRow] | None = None,
    probe: Callable[[ProviderRow, bool], Probe] = probe_row,
) -> Offer:
    """Find out what this machine has.

    Args:
        label: that its operator gives it; empty: it is called by the beginning of its hash.
        identify: its hash, from its facts and the label.
        allow_simulated: offer what is emulated as well.
        rows: of the table of providers; None: all.
        probe: proves one row.
    """
    facts = machine_facts()
    machine = identify(facts, label)
    return Offer(
        name=label or machine[:8],
        version=installed_version(),
        method=METHOD_VERSION,
        onnxruntime=(facts.packages or {}).get("onnxruntime", ""),
        machine=machine,
        devices=tuple(_working(all_rows() if rows is None else rows, allow_simulated, probe)),
    )


def _working(
    rows: Iterable[ProviderRow],
    allow_simulated: bool,
    probe: Callable[[ProviderRow, bool], Probe],
) -> Iterable[OfferedDevice]:
    for row in rows:
        if row.is_host:
            yield OfferedDevice(row=row.key, kind=row.kind)
        elif look_up(row).state == DeviceState.PRESENT:
            found = probe(row, allow_simulated)
            if found.works:
                simulated = found.state == DeviceState.SIMULATED
                yield OfferedDevice(
                    row=row.key, kind=row.kind, simulated=simulated, count=found.devices or 1
                )


def generation(version: str, method: int) -> str:
    """Name of the resource that only workers of one version of this package have."""
    return f"bench-version {version} method {method}"


def resources(offer: Offer) -> dict[str, float]:
    """What a scheduler may give away of a worker: its units, its classes, its rows and devices.

    Returns:
        Name -> how many there are. One measurement at a time on each class, and none beside one
        that measures the processor.
    """
    locks = {_lock(device.kind): 1.0 for device in offer.devices}
    names = {unit(name): 1.0 for device in offer.devices for name in device.names}
    return {generation(offer.version, offer.method): float(UNITS)} | locks | names


def needed(name: str, kind: str, version: str, method: int) -> dict[str, float]:
    """What a cell takes of a worker while it is measured.

    Args:
        name: one of OfferedDevice.names.
        kind: class of the device.
        version: of this package, as `resources` has it.
        method: likewise.
    """
    units = UNITS if kind == KINDS[0] else 1
    return {generation(version, method): float(units), _lock(kind): 1.0, unit(name): 1.0}


def read_offer(said: object) -> Offer | None:
    """What a worker said of itself; None: it is none of ours, or says something else."""
    try:
        return msgspec.convert(said, Offer)
    except msgspec.ValidationError:
        return None


def unit(name: str) -> str:
    """The resource of a device by one of its names."""
    return f"bench-device {name}"


def _lock(kind: str) -> str:
    return f"bench-lock {kind}"
