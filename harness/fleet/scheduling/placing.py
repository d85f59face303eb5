"""Which worker may take which cell: pure functions of what the workers offer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.devices.device import split_index
from harness.devices.row import KINDS
from harness.devices.table import find_row
from harness.fleet.scheduling.offer import EXTRA, SIMULATED, Offer, read_offer

EACH, ANY = PLACES = ("each", "any")


@dataclass(frozen=True, slots=True)
class Member:
    """A worker that may be used.

    Attributes:
        address: by which the scheduler knows it.
        offer: what it has.
    """

    address: str
    offer: Offer


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a cell needs of a worker.

    Attributes:
        cell: its hash.
        text: of its file.
        device: word of the plan: a row or a class, `:1` for the second one.
        rows: of the table of providers that may serve a class; empty: all.
        allow_simulated: an emulated device will do.
    """

    cell: str
    text: str
    device: str
    rows: tuple[str, ...] = ()
    allow_simulated: bool = False

    @property
    def kind(self) -> str:
        """Class of the device."""
        name, _ = split_index(self.device)
        return name if name in KINDS else find_row(name).kind

    @property
    def names(self) -> tuple[str, ...]:
        """Names of devices that will do, the best first."""
        name, index = split_index(self.device)
        number = f":{index}" if index else ""
        real = tuple(f"{one}{number}" for one in (self.rows if name in KINDS else ()) or (name,))
        return (*real, *(f"{SIMULATED}{one}" for one in real if self.allow_simulated))


def unit_for(wanted: Wanted, members: Iterable[Member]) -> str | None:
    """The name of a device that a cell can have of some workers; None: none has any."""
    offered = {
        name for member in members for device in member.offer.devices for name in device.names
    }
    return next((name for name in wanted.names if name in offered), None)


def members_of(
    workers: Mapping[str, Mapping[str, Any]], version: str, method: int
) -> tuple[tuple[Member, ...], tuple[str, ...]]:
    """Sort workers into those that may be used and those that are refused.

    Args:
        workers: address -> what a scheduler knows of each.
        version: of this package.
        method: METHOD_VERSION.

    Returns:
        Members in the order of their names, and a sentence for every other one.
    """
    members, refused = [], []
    for address, known in workers.items():
        offer = read_offer(known.get(EXTRA))
        called = str(known.get("name", address))
        if offer is None:
            refused.append(f"worker {called} is none of bench: not used")
        elif (offer.version, offer.method) != (version, method):
            refused.append(
                f"worker {offer.name} runs ondevice-bench {offer.version} (method {offer.method}),"
                f" this is {version} (method {method}): not used"
            )
        else:
            members.append(Member(address, offer))
    return tuple(sorted(members, key=lambda one: (one.offer.name, one.address))), tuple(refused)
