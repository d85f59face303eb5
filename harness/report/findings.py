"""What checks found: the tables of `bench doctor` and of `bench audit`. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from harness.core.findings import OK, Finding
from harness.report.grid import PEOPLE, Column, draw_columns, draw_records, prose

COLUMNS: tuple[Column[Finding], ...] = (
    Column("check", lambda found: found.check),
    Column("state", lambda found: found.state),
    Column("found", lambda found: found.detail),
    Column("what to do", lambda found: found.fix or None),
)


@dataclass(frozen=True, slots=True)
class CheckedTest:
    """What one check says of one test.

    Attributes:
        session: key of the session group that ran it.
        test: its name.
        found: the check, its state, and what to do.
    """

    session: str
    test: str
    found: Finding


def draw_findings(found: Sequence[Finding], style: str) -> str:
    """Draw one row per check.

    Args:
        found: in the order of the table.
        style: of `options.FORMATS`.
    """
    if style in ("json", "jsonl"):
        return draw_records([asdict(one) for one in found], style)
    return draw_columns(COLUMNS, found, style)


def draw_audit(lines: Sequence[CheckedTest], style: str) -> str:
    """Draw one row per test and one column per check, and below what is not as it should be.

    Args:
        lines: every check of every test.
        style: of `options.FORMATS`.
    """
    if style in ("json", "jsonl"):
        records = [{"session": one.session, "test": one.test, **asdict(one.found)} for one in lines]
        return draw_records(records, style)
    states: dict[tuple[str, str], dict[str, str]] = {}
    for one in lines:
        states.setdefault((one.session, one.test), {})[one.found.check] = one.found.state
    table = draw_columns(_audit_columns(lines), list(states.items()), style)
    if style not in PEOPLE:
        return table
    mark = "- " if style == "md" else ""
    wrong = [prose(_sentence(one), style, mark) for one in lines if one.found.state != OK]
    return table + "".join(f"\n\n{line}" for line in wrong)


Tested = tuple[tuple[str, str], dict[str, str]]


def _audit_columns(lines: Sequence[CheckedTest]) -> list[Column[Tested]]:
    """Return session, test, and the state of every check."""
    checks = dict.fromkeys(one.found.check for one in lines)
    return [
        Column("session", lambda row: row[0][0]),
        Column("test", lambda row: row[0][1]),
        *(Column(check, _state_of(check)) for check in checks),
    ]


def _state_of(check: str) -> Callable[[Tested], str | None]:
    """Return what reads the state of a check; None where a test has no such check."""
    return lambda row: row[1].get(check)


def _sentence(one: CheckedTest) -> str:
    """Say which check failed, why, and what to do."""
    return f"{one.session} {one.test}: {one.found.check}: {one.found.detail}; try: {one.found.fix}"
