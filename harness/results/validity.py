"""Which records may be shown, compared and counted."""

from harness.results.schema import Record


def is_valid(record: Record) -> bool:
    """Whether what was measured may be shown."""
    return record.status == "ok" and (record.trust is None or record.trust.grade != "INVALID")


def why_left_out(record: Record) -> str | None:
    """In a few words, why what a record measured does not count; None: it does."""
    if record.status != "ok":
        return record.status
    if not is_valid(record):
        codes = [reason.code for reason in record.trust.reasons] if record.trust else []
        return " ".join(["INVALID", *codes])
    return "simulated" if record.simulated else None
