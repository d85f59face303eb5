"""Where a record's nodes ran and where its time went: per provider, and the top operators. Pure."""

from msgspec.structs import asdict

from harness.report.columns import percent
from harness.report.grid import draw_rows
from harness.results.schema import Json, Placement, Record

HEADER = ("provider", "operator", "calls", "share")
HOST = "cpu"


def has_place(record: Record) -> bool:
    """Whether there is more to say than that the processor ran it all."""
    return bool(record.profile) or (record.placement is not None and record.cell.device != HOST)


def draw_place(record: Record, style: str) -> str:
    """Draw the placement in a line; under it the profile, if one was taken.

    Args:
        record: one that has_place.
        style: `table` or `md`.
    """
    lines = [_placement(record.placement)] if record.placement is not None else []
    if not record.profile:
        return "\n".join(lines)
    shares = (f"{one['provider']} {percent(one['share'])}" for one in record.profile["providers"])
    lines.append(f"profile, share of the time: {', '.join(shares)}")
    rows = [
        [one["provider"], one["operator"], str(one["calls"]), percent(one["share"])]
        for one in record.profile["operators"]
    ]
    return "\n".join(lines) + "\n\n" + draw_rows(HEADER, rows, style)


def place_values(record: Record) -> Json:
    """The same as values: `placement` and `profile`, null where unknown."""
    placement = None if record.placement is None else asdict(record.placement)
    return {"placement": placement, "profile": record.profile}


def _placement(placement: Placement) -> str:
    """Verdict, nodes per provider, changes of provider, and what fell off by operator."""
    nodes = ", ".join(
        f"{name} {count} nodes ({placement.compute_nodes.get(name, 0)} compute)"
        for name, count in placement.nodes.items()
    )
    text = f"placement {placement.verdict}: {nodes or 'no node recorded'}"
    if placement.switches is not None:
        text += f"; {placement.switches} switches"
    if placement.fell_off:
        text += "; left to others: " + ", ".join(
            f"{count} {name}" for name, count in placement.fell_off.items()
        )
    return text
