"""JUnit XML: what every build service shows. One test case per cell, or per line compared."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree

from harness.report.export import cell_name
from harness.report.grid import one_line
from harness.report.rows import shown_metric
from harness.results.enums import Ending, Status
from harness.results.progress import ending_of, progress_sentence
from harness.results.schema import Document, Record
from harness.results.validity import is_valid

# Statuses that say nothing about the build: the device or the time was not there.
SKIPPED = (Status.SKIPPED, Status.UNSUPPORTED)


@dataclass(frozen=True, slots=True)
class Case:
    """One test case.

    Attributes:
        group: what build services fold by.
        name: inside the group.
        outcome: `failure`, `error` or `skipped`; None: passed.
        kind: a short code of the outcome.
        message: what happened and what to do.
        properties: numbers and facts.
    """

    group: str
    name: str
    outcome: str | None = None
    kind: str = ""
    message: str = ""
    properties: dict[str, str] = field(default_factory=dict)


def draw_junit(document: Document) -> str:
    """A document: a record that failed or is INVALID is an error, never a failure."""
    cases = [*_run_case(document), *(_case(record) for record in document.records)]
    return draw_cases("bench run", cases, document.created_utc)


def _run_case(document: Document) -> list[Case]:
    """A case of its own for a run that did not end as planned in one go."""
    told, ended = progress_sentence(document), ending_of(document)
    if not told:
        return []
    outcome = {Ending.INTERRUPTED: "error", Ending.BUDGET: "skipped"}.get(ended)
    return [Case("bench", "run", outcome, ended, told, {"run": told})]


def draw_cases(suite: str, cases: Sequence[Case], timestamp: str | None = None) -> str:
    """A suite as XML; what XML cannot hold is written as its visible escape."""
    root = ElementTree.Element("testsuites")
    counts = {
        outcome: str(sum(case.outcome == outcome for case in cases))
        for outcome in ("failure", "error", "skipped")
    }
    attributes = {
        "name": suite,
        "tests": str(len(cases)),
        "failures": counts["failure"],
        "errors": counts["error"],
        "skipped": counts["skipped"],
    }
    if timestamp is not None:
        attributes["timestamp"] = one_line(timestamp)
    parent = ElementTree.SubElement(root, "testsuite", attributes)
    for case in cases:
        _add(parent, case)
    ElementTree.indent(root, " ")
    # As ASCII with references: right in whatever encoding a shell writes it down.
    text = ElementTree.tostring(root, encoding="us-ascii", xml_declaration=False).decode()
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _add(parent: ElementTree.Element, case: Case) -> None:
    """Append one case."""
    names = {"classname": one_line(case.group), "name": one_line(case.name)}
    element = ElementTree.SubElement(parent, "testcase", names)
    if case.properties:
        found = ElementTree.SubElement(element, "properties")
        for name, value in case.properties.items():
            pair = {"name": one_line(name), "value": one_line(value)}
            ElementTree.SubElement(found, "property", pair)
    if case.outcome is not None:
        message = {"type": one_line(case.kind), "message": one_line(case.message)}
        ElementTree.SubElement(element, case.outcome, message)


def _case(record: Record) -> Case:
    """One record."""
    outcome, kind, message = _outcome(record)
    group = f"{record.cell.model}.{record.cell.level}.{record.cell.device}"
    name = cell_name(record.cell)
    return Case(group, name, outcome, kind, message, dict(_properties(record)))


def _outcome(record: Record) -> tuple[str | None, str, str]:
    """Outcome, code and message of a record."""
    if record.status in SKIPPED:
        return "skipped", record.status, record.reason or ""
    if record.status != Status.OK:
        return "error", record.status, record.reason or ""
    if not is_valid(record) and record.trust:
        details = [f"{reason.code}: {reason.detail}" for reason in record.trust.reasons]
        return "error", "INVALID", "; ".join(details)
    return None, "", ""


def _properties(record: Record) -> Iterable[tuple[str, str]]:
    """Yield trust and every number that may be shown, with its unit in the name."""
    if record.trust:
        yield "trust", record.trust.grade
    if record.simulated:
        yield "simulated", "true"
    for name in record.metrics:
        metric = shown_metric(record, name)
        if metric is not None and metric.value is not None:
            yield f"{name} [{metric.unit}]", repr(metric.value)
