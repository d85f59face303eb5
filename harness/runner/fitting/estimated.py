"""Candidates that an estimate rules out: they are never built."""

from collections.abc import Sequence

from harness.core.errors import EXIT_OK
from harness.engine.workload import Workload
from harness.estimator.ranges import estimated_range
from harness.results.enums import Outcome, Status
from harness.results.judged import Judged
from harness.results.losses import FailureEntry
from harness.results.requirement import Requirement
from harness.runner.fitting.choice import Candidate, Lines
from harness.runner.loop.assemble import estimates_part
from harness.runner.loop.builds import Builds
from harness.runner.loop.entries import Entries
from harness.runner.loop.parts import CellFacts
from harness.runner.plan import SessionGroup

ESTIMATE = "estimate"


def ruled_out(group: SessionGroup, requirements: Sequence[Requirement], entries: Entries) -> Lines:
    """Lines of a candidate that its whole estimated range says it does not meet.

    Args:
        group: not built.
        requirements: with their metrics.
        entries: hold this machine's peaks.

    Returns:
        Empty where it may meet all.
    """
    found: Lines = {}
    for test in group.workloads:
        known = _estimates(group, test, entries)
        for one in requirements:
            likely = estimated_range(one.metric.name, known.get(one.metric.name, {}))
            if one.is_sustained or likely is None or not one.fits(test.kind):
                continue
            if not one.is_met_by(likely.high if one.metric.more_is_better else likely.low):
                middle = (likely.low * likely.high) ** 0.5
                found[test.name, one.text] = Judged(
                    one, Outcome.NOT_MET, middle, likely.low, likely.high, ESTIMATE
                )
    return found


def skipped(candidate: Candidate) -> FailureEntry:
    """The journal's entry of a candidate that is not built."""
    words = "; ".join(
        f"{one.requirement.text}: between {one.low:,.4g} and {one.high:,.4g}"
        f" {one.requirement.metric.unit}"
        for one in candidate.lines.values()
    )
    return FailureEntry(
        group=candidate.group.key,
        workload=None,
        status=Status.SKIPPED,
        reason=f"not built: by its estimate it does not meet {words}",
        exit_code=EXIT_OK,
    )


def _estimates(
    group: SessionGroup, test: Workload, entries: Entries
) -> dict[str, dict[str, float | None]]:
    facts = CellFacts(group, test, Builds({}, {}), entries, changed=False)
    found: dict[str, dict[str, float | None]] = estimates_part(facts, {}).fields["estimates"]
    return found
