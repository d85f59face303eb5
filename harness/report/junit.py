"""JUnit XML: what every build service shows. One test case per cell, or per line compared.

As the strict schemas of Ant and Jenkins have it: a case holds its outcome and nothing else, so
numbers are properties of the suite, whose names begin with the case's; times are always there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.etree import ElementTree

from harness.core.units import NS_PER_S
from harness.report.export import cell_name
from harness.report.grid import one_line
from harness.report.rows import shown_metric
from harness.results.enums import Ending, Status
from harness.results.progress import ending_of, progress_sentence
from harness.results.schema import Document, Record
from harness.results.validity import is_valid

STAMP = "2026-11-22T10:15:00"  # the form of a time: Ant's schema knows no zone
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
        time_s: that its processes took; 0: nothing was timed, or nobody watched.
    """

    group: str
    name: str
    outcome: str | None = None
    kind: str = ""
    message: str = ""
    properties: dict[str, str] = field(default_factory=dict)
    time_s: float = 0.0


def document_cases(document: Document) -> list[Case]:
    """A document: a record that failed or is INVALID is an error, never a failure."""
    return [*_run_case(document), *(_case(record) for record in document.records)]


def _run_case(document: Document) -> list[Case]:
    """A case of its own for a run that did not end as planned in one go."""
    told, ended = progress_sentence(document), ending_of(document)
    if not told:
        return []
    outcome = {Ending.INTERRUPTED: "error", Ending.BUDGET: "skipped"}.get(ended)
    return [Case("bench", "run", outcome, ended, told, {"run": told})]


def draw_cases(suite: str, cases: Sequence[Case], timestamp: str | None = None) -> str:
    """A suite as XML; what XML cannot hold is written as its visible escape.

    Args:
        suite: its name.
        cases: of it.
        timestamp: when it began, ISO 8601, of UTC; None: it is now.
    """
    root = ElementTree.Element("testsuites")
    counts = {
        outcome: str(sum(case.outcome == outcome for case in cases))
        for outcome in ("failure", "error", "skipped")
    }
    told = one_line(timestamp or datetime.now(UTC).isoformat())
    attributes = {
        "name": suite,
        "package": "bench",
        "id": "0",
        "hostname": "localhost",  # Ant's word for one that is not told
        "timestamp": told[: len(STAMP)],
        "time": _seconds(sum(case.time_s for case in cases)),
        "tests": str(len(cases)),
        "failures": counts["failure"],
        "errors": counts["error"],
        "skipped": counts["skipped"],
    }
    parent = ElementTree.SubElement(root, "testsuite", attributes)
    properties = ElementTree.SubElement(parent, "properties")
    for case in cases:
        for name, value in case.properties.items():
            pair = {"name": one_line(f"{case.name}: {name}"), "value": one_line(value)}
            ElementTree.SubElement(properties, "property", pair)
    for case in cases:
        _add(parent, case)
    for stream in ("system-out", "system-err"):
        ElementTree.SubElement(parent, stream)
    ElementTree.indent(root, " ")
    # As ASCII with references: right in whatever encoding a shell writes it down.
    text = ElementTree.tostring(root, encoding="us-ascii", xml_declaration=False).decode()
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _add(parent: ElementTree.Element, case: Case) -> None:
    """Append one case."""
    names = {"classname": one_line(case.group), "name": one_line(case.name)}
    times = {"time": _seconds(case.time_s)}
    element = ElementTree.SubElement(parent, "testcase", names | times)
    if case.outcome is not None:
        message = {"type": one_line(case.kind), "message": one_line(case.message)}
        ElementTree.SubElement(element, case.outcome, message)


def _seconds(time_s: float) -> str:
    """A time as every schema takes it."""
    return f"{time_s:.3f}"


def _case(record: Record) -> Case:
    """One record."""
    outcome, kind, message = _outcome(record)
    group = f"{record.cell.model}.{record.cell.level}.{record.cell.device}"
    name = cell_name(record.cell)
    watches = [one.watch for one in record.samples if one.watch is not None]
    time_s = sum(watch.wall_ns for watch in watches) / NS_PER_S
    return Case(group, name, outcome, kind, message, dict(_properties(record)), time_s)


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
