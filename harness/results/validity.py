"""Which records may be shown, compared and counted."""

from harness.results.enums import Grade, Status
from harness.results.schema import SERVER, Record


def is_valid(record: Record) -> bool:
    """Whether what was measured may be shown."""
    return record.status == Status.OK and (
        record.trust is None or record.trust.grade != Grade.INVALID
    )


def why_left_out(record: Record) -> str | None:
    """In a few words, why what a record measured does not count; None: it does."""
    if record.status != Status.OK:
        return record.status
    if not is_valid(record):
        codes = [reason.code for reason in record.trust.reasons] if record.trust else []
        return " ".join([Grade.INVALID, *codes])
    if record.simulated:
        return "simulated"
    return None if is_own_work(record) else "not on its device"


def is_own_work(record: Record) -> bool:
    """Whether the arithmetic ran on the device of the cell; unknown of old or fake records.

    Where a server computes nobody knows, and its cell says no more than that.
    """
    placement, is_told = record.placement, record.cell.device != SERVER
    return placement is None or placement.proven or not is_told


def is_real(record: Record) -> bool:
    """Whether it may be ranked, compared or gated: its own device did the work, and a real one."""
    return is_own_work(record) and not record.simulated
