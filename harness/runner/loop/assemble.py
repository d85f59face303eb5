"""Journal entries -> the results document: a record per cell, merged of what each feature says."""

from typing import Any

from harness.results.enums import Status, worst_grade
from harness.results.progress import KEY as PROGRESS
from harness.results.schema import Document, Metric, Reason, Record, Trust
from harness.runner.loop.builds import Builds
from harness.runner.loop.calibration import measured_environment
from harness.runner.loop.device import device_part
from harness.runner.loop.effort import effort_of
from harness.runner.loop.entries import Entries
from harness.runner.loop.estimates import estimates_part
from harness.runner.loop.exported import exported_part
from harness.runner.loop.judge import judge
from harness.runner.loop.measured import (
    compiled_part,
    memory_part,
    profile_part,
    samples_part,
    size_part,
    status_part,
    sustain_part,
)
from harness.runner.loop.parts import CellFacts, Doubt, Feature
from harness.runner.loop.quality import quality_part, text_part
from harness.runner.plan import Plan

# In the order of the metrics of a record; a feature sees the metrics of those above it. Doubts of
# a later one come first.
FEATURES: tuple[Feature, ...] = (
    status_part,
    samples_part,
    memory_part,
    size_part,
    compiled_part,
    estimates_part,
    quality_part,
    text_part,
    device_part,
    exported_part,
    profile_part,
    sustain_part,
)


def assemble(
    plan: Plan,
    builds: Builds,
    entries: Entries,
    changed: frozenset[str],
    progress: dict[str, Any] | None = None,
) -> Document:
    """Draw up the document from everything that was journalled.

    Args:
        plan: what was asked for; decides which records there are.
        builds: the artifacts behind the groups.
        entries: what was measured, or failed.
        changed: keys of groups whose model files changed during the run.
        progress: how far the run came; see effort.progress_of.
    """
    header, effort = entries.header, effort_of(plan, builds, entries)
    return Document(
        run_id=header.run_id,
        created_utc=header.created_utc,
        environment=header.environment | measured_environment(entries),
        plan={
            **header.plan,
            "rounds_done": entries.rounds_done(plan),
            **({} if effort is None else {"effort": effort}),
            **({} if progress is None else {PROGRESS: progress}),
        },
        records=tuple(
            record_of(CellFacts(group, workload, builds, entries, group.key in changed))
            for group in plan.groups
            for workload in group.workloads
        ),
    )


def record_of(facts: CellFacts) -> Record:
    """Merge what every feature says of one cell."""
    fields: dict[str, Any] = {}
    metrics: dict[str, Metric] = {}
    doubts: tuple[Doubt, ...] = ()
    for feature in FEATURES:
        part = feature(facts, metrics)
        fields |= part.fields
        metrics |= part.metrics
        doubts = part.doubts + doubts
    trust = _trust(facts, metrics, doubts) if fields["status"] is Status.OK else None
    return Record(cell=facts.cell, metrics=metrics, trust=trust, **fields)


def _trust(facts: CellFacts, metrics: dict[str, Metric], doubts: tuple[Doubt, ...]) -> Trust:
    """The grade that the samples deserve, less what the features take away."""
    machine = facts.entries.header.environment
    return doubt(judge(facts.cell, metrics, facts.processes, facts.changed, machine), doubts)


def doubt(trust: Trust, doubts: tuple[Doubt, ...]) -> Trust:
    """A grade less what doubts take away; their reasons come first."""
    reasons = tuple(Reason(code=one.code, detail=one.detail) for one in doubts)
    grade = worst_grade(trust.grade, *(one.best for one in doubts))
    return Trust(grade=grade, reasons=(*reasons, *trust.reasons))
