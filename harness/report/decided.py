"""A line of a log for each candidate of `bench fit` that is decided: why it is out, or why not."""

from collections.abc import Iterable

from harness.report.numbers import counted
from harness.report.required import amount, interval
from harness.results.enums import Outcome
from harness.results.judged import Judged, all_met
from harness.results.progress import DECIDED
from harness.runner.fitting.choice import Candidate
from harness.runner.fitting.estimated import ESTIMATE


def decided_line(one: Candidate) -> str:
    """What became of a candidate, and by which limits."""
    return f"{DECIDED}{one.group.key}: {_fate(one)}"


def _fate(one: Candidate) -> str:
    lines = one.lines.values()
    if any(line.basis == ESTIMATE for line in lines):
        return f"not built, by its estimate it does not meet {_told(_those(lines))}"
    if one.is_lost:
        return f"failed: {next((line.why for line in lines if line.why), 'nothing is known of it')}"
    after = f" after {counted(one.rounds, 'processes')}" if one.rounds else ""
    if not one.confirmation:
        why = _told(line for line in lines if line.outcome is one.outcome)
        return f"{one.outcome}{after}" + (f": {why}" if one.outcome is not Outcome.MET else "")
    fresh = one.confirmation.values()
    if all_met(fresh):
        return f"MET, confirmed in {', '.join(dict.fromkeys(line.basis for line in fresh))}"
    return f"not confirmed: {_told(line for line in fresh if line.outcome is not Outcome.MET)}"


def _those(lines: Iterable[Judged]) -> Iterable[Judged]:
    return (line for line in lines if line.outcome is Outcome.NOT_MET)


def _told(lines: Iterable[Judged]) -> str:
    """Each limit with what is known of it."""
    return "; ".join(
        " ".join(filter(None, (f"{line.requirement.text}:", _value(line), line.why)))
        for line in lines
    )


def _value(line: Judged) -> str:
    if line.value is None:
        return ""
    ends = interval(line.requirement, line.low, line.high)
    if line.basis == ESTIMATE:
        return f"estimated {ends.strip(' ()')}"
    return f"{amount(line.requirement, line.value)}{ends}"
