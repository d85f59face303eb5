"""Which records may be shown, compared and counted."""

from harness.results.schema import Record


def is_valid(record: Record) -> bool:
    """Whether what was measured may be shown."""
    return record.status == "ok" and (record.trust is None or record.trust.grade != "INVALID")
