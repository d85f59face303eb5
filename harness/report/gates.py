"""What gates say, for people, for a build's list of annotations, for JUnit and as values."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from harness.analysis.compare import CompareRow, Comparison
from harness.analysis.compare_match import describe
from harness.analysis.gate import (
    LEAST_PROCESSES,
    Cause,
    GateLine,
    Inconclusive,
    JudgedGate,
    Outcome,
    failing,
)
from harness.report.compare_table import effect, line_name, row_values, sentence
from harness.report.github import Annotation
from harness.report.junit import Case, draw_cases
from harness.results.background import BACKGROUND_CPU_SHARE
from harness.results.enums import Grade, Verdict

MOST_LINES = 6  # of one gate that are told; the rest is counted
# Values of a line that a test case carries.
NUMBERS = (
    *("unit", "base", "new", "ratio", "low", "high", "p_adjusted"),
    *("verdict", "holds_together", "mde"),
    *("p_family", "sure_to_show"),  # deprecated
    *("base_others_cpu_share", "new_others_cpu_share"),
)
# What an undecided gate is in a build's list, and a line of it in JUnit.
ANNOTATED = {Inconclusive.WARN: "warning", Inconclusive.FAIL: "error", Inconclusive.OK: "notice"}
TESTED = {
    Inconclusive.WARN: "skipped",
    Inconclusive.FAIL: "failure",
    Inconclusive.OK: "skipped",
}


def gate_lines(judged: Sequence[JudgedGate]) -> list[str]:
    """Per gate every line that fails it, else those that keep it from passing, else one in all."""
    return [line for one in judged for line in _told(one)]


def annotations(
    comparison: Comparison, judged: Sequence[JudgedGate], inconclusive: Inconclusive
) -> list[Annotation]:
    """What GitHub lists: lines that fail are errors; an undecided gate has one of its own.

    Any other line that is worse beside all others is a warning.
    """
    failed = failing(judged)
    told = {id(line.row) for line in failed}
    worse = [
        row
        for row in comparison.rows
        if row.verdict == Verdict.WORSE and row.holds_together and id(row) not in told
    ]
    undecided = [one for one in judged if one.outcome is Outcome.INCONCLUSIVE]
    return [
        *(Annotation("warning", "bench: partial", told) for told in comparison.partial),
        *(Annotation("error", f"bench: {one.gate.text}", _failure(one)) for one in failed),
        *(
            Annotation(
                ANNOTATED[inconclusive],
                f"bench: {one.gate.text} {Outcome.INCONCLUSIVE}",
                "; ".join(_undecided(one)),
            )
            for one in undecided
        ),
        *(Annotation("warning", f"bench: {row.word}", sentence(row)) for row in worse),
    ]


def draw_comparison_junit(
    comparison: Comparison,
    judged: Sequence[JudgedGate],
    inconclusive: Inconclusive,
    others: Sequence[Case] = (),
) -> str:
    """One test case per line: one that fails a gate is a failure, one that decides none skipped.

    A run that ended before its plan did has a case of its own, skipped, which says how it goes on;
    `others` follow.
    """
    gravest: dict[int, GateLine] = {}
    for line in sorted(
        (line for one in judged for line in one.lines),
        key=lambda line: list(Outcome).index(line.outcome),
    ):
        gravest.setdefault(id(line.row), line)
    cases = [
        Case("bench", told.partition(" is partial")[0], "skipped", "partial", told, {"run": told})
        for told in comparison.partial
    ]
    cases += [_case(row, gravest.get(id(row)), inconclusive) for row in comparison.rows]
    return draw_cases("bench compare", [*cases, *others])


def gate_values(judged: Sequence[JudgedGate]) -> list[dict[str, Any]]:
    """Every gate as values; shares are of the base, amounts in the metric's unit."""
    return [
        {
            "gate": one.gate.text,
            "limit": one.gate.limit,
            "outcome": one.outcome,
            "lost": [{"cell": describe(cell), "why": why} for cell, why in one.lost],
            "lines": [
                {
                    "line": line_name(line.row),
                    "metric": line.row.metric.name,
                    "workload": line.row.cell.workload,
                    "outcome": line.outcome,
                    "cause": line.cause,
                    "why": None if line.cause is None else _why(line),
                    "mde": None if line.mde is None or math.isinf(line.mde) else line.mde,
                }
                for line in one.lines
            ],
        }
        for one in judged
    ]


def _told(one: JudgedGate) -> Iterator[str]:
    """Yield what is said of one gate."""
    head = f"gate {one.gate.text} {one.outcome}"
    if one.outcome is Outcome.FAIL:
        yield from (f"{head}: {_failure(line)}" for line in one.those(Outcome.FAIL))
    elif one.outcome is Outcome.INCONCLUSIVE:
        yield from (f"{head}: {words}" for words in _undecided(one))
    else:
        largest = max(one.lines, key=lambda line: line.mde or 0.0)
        count = len(one.lines)
        yield f"{head}: {count} of {count} lines surely within, MDE at most {_mde(largest)}"


def _undecided(one: JudgedGate) -> list[str]:
    """The lines that keep a gate from passing, the first of many."""
    lines = one.those(Outcome.INCONCLUSIVE)
    words = [f"{line_name(line.row)}: {_why(line)}, MDE {_mde(line)}" for line in lines]
    words += [f"{describe(cell)}: {why}" for cell, why in one.lost]
    rest = len(words) - MOST_LINES
    more = [f"and {rest} lines more"] if rest > 0 else []
    return [*words[:MOST_LINES], *more]


def _failure(line: GateLine) -> str:
    """A line that fails."""
    return f"{sentence(line.row)}, MDE {_mde(line)}"


def _mde(line: GateLine) -> str:
    """What the line could have shown."""
    return "unknown" if line.mde is None else effect(line.row, line.mde)


def _why(line: GateLine) -> str:
    """Why a line decides nothing."""
    row, gate = line.row, line.gate
    base, new = row.processes
    words = {
        Cause.FEW: f"{row.basis} of base {base}, of new {new}; a gate needs {LEAST_PROCESSES}",
        Cause.SILENT: row.reason or "no interval",
        Cause.BUSY: _busy(row),
        Cause.UNCONFIRMED: "beyond the limit, and not confirmed beside all other lines",
        Cause.ONCE: "beyond the limit, and not when measured anew",
        Cause.WEAK: f"the data could not have shown {gate.text.partition(':')[2]}",
        Cause.STRADDLES: f"the limit lies inside the interval; {sentence(row)}",
    }
    return words[line.cause] if line.cause is not None else ""


def _busy(row: CompareRow) -> str:
    """Who used the processors beside both sides."""
    most = BACKGROUND_CPU_SHARE[Grade.B]
    found = []
    for words, shares in (
        ("CPU used by others", [side.cpu_share for side in row.background]),
        ("CPU taken by the host", [side.steal_share for side in row.background]),
    ):
        if any(share is not None and share > most for share in shares):
            base, new = ("unknown" if one is None else f"{100 * one:.0f} %" for one in shares)
            found.append(f"{words}: base {base}, new {new}; a gate allows {100 * most:.0f} %")
    if any(side.other_bench for side in row.background):
        found.append("another bench measured at the same time")
    return "; ".join(found)


def _case(row: CompareRow, line: GateLine | None, inconclusive: Inconclusive) -> Case:
    """One line of a comparison as a test case."""
    values = row_values(row)
    properties = {name: str(values[name]) for name in NUMBERS if values[name] is not None}
    name, group = line_name(row), f"{row.cell.model}.{row.cell.level}.{row.cell.device}"
    if line is not None:
        properties |= {"gate": line.gate.text, "outcome": line.outcome, "mde": _mde(line)}
    if line is None or line.outcome is Outcome.PASS:
        return Case(group, name, properties=properties)
    if line.outcome is Outcome.FAIL:
        message = f"gate {line.gate.text}: {_failure(line)}"
        return Case(group, name, "failure", row.word, message, properties)
    message = f"gate {line.gate.text}: {_why(line)}, MDE {_mde(line)}"
    return Case(group, name, TESTED[inconclusive], line.outcome, message, properties)
