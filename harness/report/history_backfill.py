"""What `bench history backfill` found: versions, changes, and which version brought them. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from harness.history.backfill import Outcome
from harness.history.brought import LEAST_ROUNDS, Brought, Change
from harness.report.grid import KNOWN, PEOPLE, VARIES, Column, bullets, draw_columns, draw_records
from harness.report.numbers import ratio
from harness.results.enums import Verdict

VERSIONS: tuple[Column[Outcome], ...] = (
    Column("version", lambda one: one.target.name),
    Column("rounds", lambda one: len(one.documents)),
    Column("measured now", lambda one: one.measured),
    Column("state", lambda one: FAILED if one.problem else "ok"),
)
CHANGES: tuple[Column[Change], ...] = (
    Column("model", lambda one: one.cell.model, shown=VARIES),
    Column("level", lambda one: one.cell.level, shown=VARIES),
    Column("device", lambda one: one.cell.device, shown=VARIES),
    Column("runtime", lambda one: one.cell.runtime, shown=VARIES),
    Column("threads", lambda one: one.cell.threads, shown=VARIES),
    Column("batch", lambda one: one.cell.batch, shown=VARIES),
    Column("test", lambda one: SESSION if one.metric.of_session else _test(one)),
    Column("metric", lambda one: one.metric.name),
    Column("to", lambda one: one.after.version),
    Column("ratio", lambda one: one.ratio, ratio),
    Column("interval", lambda one: one.interval, lambda ends: " to ".join(map(ratio, ends))),
    Column("verdict", lambda one: one.word + "*" * _is_alone(one), leaves=-1),
    Column("brought", lambda one: one.brought.value or None, shown=KNOWN),
)
SESSION = "session"
FAILED = "failed, see below"


def draw_backfill(outcomes: Sequence[Outcome], changes: Sequence[Change], style: str) -> str:
    """Draw a backfill; no line feed at the end.

    Args:
        outcomes: its versions.
        changes: from each to the next.
        style: of `options.FORMATS`.
    """
    if style not in PEOPLE:
        records = [_record(one) for one in changes]
        return draw_records(records, style) if records or style != "csv" else ""
    parts = [draw_columns(VERSIONS, outcomes, style)]
    shown = [one for one in changes if not one.is_counted_equal]
    if shown:
        parts.append(draw_columns(CHANGES, shown, style))
    parts.append(bullets(_notes(outcomes, changes), style))
    return "\n\n".join(parts)


def _notes(outcomes: Sequence[Outcome], changes: Sequence[Change]) -> Iterator[str]:
    """Yield what was found, the surest first, and what could not be."""
    told = [one for one in changes if one.brought is not Brought.NOT]
    for one in sorted(told, key=lambda one: one.brought is Brought.SUSPECTED):
        yield _sentence(one)
    for outcome in outcomes:
        if outcome.problem:
            yield f"{outcome.target.name}: {outcome.problem} (try: {outcome.fix})"
    if not changes:
        yield "nothing can be compared: two versions or more have to measure the same cell"
        return
    if not told:
        yield "no version is shown to have brought a change"
    if min(one.rounds for one in changes) < LEAST_ROUNDS:
        yield f"no vote on steps: it takes {LEAST_ROUNDS} rounds of every version"
    yield from _legend(changes)


def _legend(changes: Sequence[Change]) -> Iterator[str]:
    """Yield what columns mean."""
    if any(_is_alone(one) for one in changes):
        yield "*: of this line alone; beside all lines of the table it does not hold (Holm, 5 %)"
    if any(one.verdict is Verdict.INCONCLUSIVE for one in changes):
        rounds = max(5, 2 * max(one.rounds for one in changes))
        yield f"INCONCLUSIVE: more rounds tell more; the same command with --rounds {rounds}"
    equal = sum(one.is_counted_equal for one in changes)
    if equal:
        yield f"equal sizes not shown: {equal}"
    yield (
        "ratio: beside the version before it, within rounds, with its 95 % interval; CONFIRMED: the"
        " comparison beside all lines, and both detectors of steps; SUSPECTED: a part of them"
    )


def _sentence(one: Change) -> str:
    """What a version brought."""
    ends = one.interval
    between = "" if ends is None else f" ({ratio(ends[0])} to {ratio(ends[1])})"
    return (
        f"{one.after.name} brought {one.metric.name} of {one.described} to"
        f" {ratio(one.ratio)}{between} of what it was with {one.before.version}: {_surely(one)}"
    )


def _surely(one: Change) -> str:
    """What a change is called, and what keeps it from being confirmed."""
    if one.brought is Brought.CONFIRMED:
        return one.word
    if one.holds:
        return f"{one.word}, suspected: not both detectors see a step"
    if one.verdict is Verdict.SAME:
        return "a step, suspected: within the tolerance"
    return "a step, suspected: beside all lines the comparison does not hold"


def _test(one: Change) -> str:
    """The test; at depth 0 without the depth."""
    return one.cell.workload.removesuffix(" @ d0")


def _is_alone(one: Change) -> bool:
    """Whether better or worse is not confirmed by the correction for all lines."""
    return one.word in one.metric.words and not one.holds


def _record(one: Change) -> dict[str, Any]:
    """One change for programs."""
    low, high = one.interval or (None, None)
    return {
        "cell": one.described,
        "metric": one.metric.name,
        "unit": one.unit,
        "package": one.after.package,
        "from": one.before.version,
        "to": one.after.version,
        "base": one.base,
        "new": one.new,
        "rounds": one.rounds,
        "ratio": one.ratio,
        "low": low,
        "high": high,
        "verdict": one.word,
        "holds": one.holds,
        "votes": list(one.votes),
        "brought": one.brought.value.lower(),
    }
