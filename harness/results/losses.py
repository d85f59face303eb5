"""Entries of a journal that say what could not be measured, and how much that costs."""

import msgspec

from harness.results.enums import Status

NO_MEMORY = "its memory was not taken"  # how that begins in the reasons of a grade


class FailureEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="failure"):
    """A test, or a whole group, that cannot be measured.

    Attributes:
        group: key of the session group.
        workload: full name of the test; null: the whole group.
        status: how it ended.
        reason: what a person can act on.
        exit_code: that the command ends with, were it for this alone.
    """

    group: str
    workload: str | None
    status: Status
    reason: str
    exit_code: int


class LostEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="lost"):
    """A worker that was lost in one round: later ones are tried, and what they give stands.

    Attributes:
        group: key of the session group.
        workload: full name of the test that it was at; null: it had none yet, and every test of
            the group that this round has no samples of is lost with it.
        round: index of the round.
        status: how it ended.
        reason: what a person can act on.
        exit_code: that the command ends with, were it for this alone.
    """

    group: str
    workload: str | None
    round: int
    status: Status
    reason: str
    exit_code: int


class NoMemoryEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="no_memory"):
    """Why the memory of a test is not known; its times stand.

    Attributes:
        group: key of the session group.
        workload: full name of the test.
        status: how it ended.
        reason: what a person can act on.
        exit_code: that the command ends with, were it for this alone.
    """

    group: str
    workload: str
    status: Status
    reason: str
    exit_code: int
