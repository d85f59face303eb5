"""Which records may be shown, compared and counted."""

from harness.results.schema import Record

PROVEN = ("FULL", "FULL_COMPUTE")  # verdicts under which the device did the arithmetic


def is_valid(record: Record) -> bool:
    """Whether what was measured may be shown."""
    return record.status == "ok" and (record.trust is None or record.trust.grade != "INVALID")


def is_own_work(record: Record) -> bool:
    """Whether the arithmetic ran on the device of the cell; unknown of old or fake records."""
    return record.placement is None or record.placement.verdict in PROVEN


def is_real(record: Record) -> bool:
    """Whether it may be ranked, compared or gated: its own device did the work, and a real one."""
    return is_own_work(record) and not record.simulated
