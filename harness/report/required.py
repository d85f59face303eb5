"""What requirements say of a run, for people, for a build's list, for JUnit and as values. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from msgspec import UNSET

from harness.analysis.paired_required import SideCell
from harness.report.export import cell_name
from harness.report.github import Annotation
from harness.report.junit import Case, document_cases, draw_cases
from harness.report.numbers import percent, size_text, three_digits
from harness.results.enums import Outcome
from harness.results.judged import Judged, judge_records
from harness.results.requirement import Requirement, parse_requirements
from harness.results.schema import Cell, Document


class Whose(Protocol):
    """What a line is about: a record, or one side of pairs."""

    @property
    def cell(self) -> Cell:
        """Its identity."""


Lines = Sequence[tuple[Whose, Judged]]
MOST_LINES = 6  # of one requirement that are told; the rest is counted
GRAVEST = (Outcome.NOT_MET, Outcome.INCONCLUSIVE, Outcome.MET)


def requirements_of(document: Document) -> tuple[Requirement, ...]:
    """Those that a run was to meet; empty: none."""
    require = document.plan.require
    return () if require is UNSET or not require else parse_requirements(require)


def judged_document(document: Document) -> Lines:
    """What is said of a run by its own requirements; a fit has its own verdicts."""
    if document.plan.fit is not UNSET:
        return ()
    requirements = requirements_of(document)
    return judge_records(document.records, requirements, document.plan.looks)


def required_lines(lines: Lines) -> Iterator[str]:
    """Yield per requirement every line that is NOT_MET, else those not decided, else one in all."""
    for text in dict.fromkeys(one.requirement.text for _, one in lines):
        mine = [(record, one) for record, one in lines if one.requirement.text == text]
        worst = min((one.outcome for _, one in mine), key=GRAVEST.index)
        head = f"require {text} {worst}"
        if worst is Outcome.MET:
            yield f"{head}: {len(mine)} of {len(mine)} lines, the nearest {_nearest(mine)}"
            continue
        told = [_words(record, one) for record, one in mine if one.outcome is worst]
        yield from (f"{head}: {words}" for words in told[:MOST_LINES])
        if len(told) > MOST_LINES:
            yield f"{head}: and {len(told) - MOST_LINES} lines more"


def required_annotations(lines: Lines, inconclusive: str = "warning") -> list[Annotation]:
    """A line that is NOT_MET is an error, one that is not decided a warning, or what is given."""
    kinds = {Outcome.NOT_MET: "error", Outcome.INCONCLUSIVE: inconclusive}
    return [
        Annotation(
            kinds[one.outcome],
            f"bench: {one.requirement.text} {one.outcome}",
            _words(record, one),
        )
        for record, one in lines
        if one.outcome in kinds
    ]


def required_cases(lines: Lines, inconclusive: str = "skipped") -> list[Case]:
    """A test case per line; one that is not decided is skipped, or what is given."""
    outcomes = {Outcome.NOT_MET: "failure", Outcome.INCONCLUSIVE: inconclusive}
    return [
        Case(
            f"require.{record.cell.model}.{record.cell.level}.{record.cell.device}",
            f"{_named(record)} {one.requirement.text}",
            outcomes.get(one.outcome),
            str(one.outcome),
            _words(record, one),
        )
        for record, one in lines
    ]


def draw_document_junit(document: Document) -> str:
    """A document as JUnit XML: its records, and a case for each line of its requirements."""
    cases = [*document_cases(document), *required_cases(judged_document(document))]
    return draw_cases("bench run", cases, document.created_utc)


def required_values(lines: Lines) -> list[dict[str, Any]]:
    """Every line as values, in the metric's unit."""
    return [
        {
            "requirement": one.requirement.text,
            "metric": one.requirement.metric_name,
            "limit": one.requirement.limit,
            "side": record.side if isinstance(record, SideCell) else None,
            "cell": cell_name(record.cell),
            "workload": record.cell.workload,
            "outcome": str(one.outcome),
            "value": one.value,
            "low": one.low,
            "high": one.high,
            "basis": one.basis,
            "why": one.why,
        }
        for record, one in lines
    ]


def amount(one: Requirement, value: float) -> str:
    """A value of a requirement's metric with its unit."""
    unit = one.metric.unit
    if unit == "bytes":
        return size_text(value)
    if unit == "share":
        return percent(value)
    digits = f"{value:.4f}" if unit.startswith("nats") else three_digits(value)
    return f"{digits} {unit}"


def interval(one: Requirement, low: float | None, high: float | None) -> str:
    """The ends of the interval that decides; empty without one."""
    if low is None or high is None or low == high:
        return ""
    return f" ({amount(one, low)} to {amount(one, high)})"


def _named(whose: Whose) -> str:
    """The cell, behind the side of pairs."""
    side = f"{whose.side} " if isinstance(whose, SideCell) else ""
    return f"{side}{cell_name(whose.cell)}"


def _words(record: Whose, one: Judged) -> str:
    """One line: whose, how much, and why it is not decided."""
    value = "" if one.value is None else f": {amount(one.requirement, one.value)}"
    ends = interval(one.requirement, one.low, one.high)
    why = f", {one.why}" if one.why else ""
    return f"{_named(record)}{value}{ends}{why}"


def _nearest(lines: Lines) -> str:
    """The line whose value is nearest to the limit."""
    known = [(record, one) for record, one in lines if one.value is not None]
    nearest = min(known, key=lambda pair: abs((pair[1].value or 0.0) - pair[1].requirement.limit))
    return _words(*nearest)
