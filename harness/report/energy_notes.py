"""Which counters the energy of a table is from, how they followed load, and what each part used."""

from collections.abc import Iterator, Sequence

from harness.results.enums import EnergyKind
from harness.results.schema import Energy, Record
from harness.results.validity import is_valid


def energy_notes(records: Sequence[Record]) -> Iterator[str]:
    """Notes below a table; where nothing was counted the record says why.

    Args:
        records: of the table.
    """
    found = [
        record.energy
        for record in records
        if record.energy and is_valid(record) and record.energy.kind is EnergyKind.MEASURED
    ]
    counters = dict.fromkeys(
        " + ".join(_counter(one, name) for name in (one.host, one.device) if name) for one in found
    )
    if counters:
        told = "others' load and idling included (bench explain energy_j)"
        yield f"energy: {', '.join(counters)}; {told}"
    for counter in dict.fromkeys(name for one in found for name in one.zones):
        told = ", ".join(f"{zone} {_range(shares)}" for zone, shares in _zones(found, counter))
        yield f"energy of {counter}, by part: {told}"


def _counter(energy: Energy, name: str) -> str:
    """A counter with what was seen of it before it was believed."""
    proof = energy.proofs.get(name)
    return f"{name} ({proof})" if proof else name


def _zones(found: Sequence[Energy], counter: str) -> Iterator[tuple[str, list[float]]]:
    """Each zone of a counter with its shares of what the counter told, one a record."""
    told = [one.zones[counter] for one in found if counter in one.zones]
    for zone in dict.fromkeys(name for zones in told for name in zones):
        yield zone, [zones[zone] / sum(zones.values()) for zones in told if zone in zones]


def _range(shares: Sequence[float]) -> str:
    """The least and the greatest share: `12%`, `12-31%`."""
    ends = dict.fromkeys(f"{100 * share:.0f}" for share in (min(shares), max(shares)))
    return f"{'-'.join(ends)}%"
