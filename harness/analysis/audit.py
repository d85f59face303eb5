"""What the raw answers of an audit mean: one finding per question. Pure."""

import math
from collections.abc import Iterator, Sequence

from harness.core.findings import ERROR, OK, WARNING, Finding
from harness.core.units import NS_PER_MS
from harness.results.replies import Audited
from harness.stats.intervals import t_interval

# The same input may be so much faster than a new one before something is said to remember it;
# the limit of MLPerf's test of repeated samples.
CACHING_SHARE = 0.10
CLOCK_SHARE = 0.02  # what the parts may be longer than the whole by another clock
LEAST_CPU_SHARE = 0.5  # of the timed part, on a device that computes on this process's threads


def judge_audit(reply: Audited, parent_ns: int, on_host: bool) -> Iterator[Finding]:
    """One finding per question, in a fixed order.

    Args:
        reply: what the worker found.
        parent_ns: what the parent's clock says the whole command took.
        on_host: whether the work is done by the threads of the measured process.
    """
    yield _finding("output", *_output(reply))
    yield _finding("caching", *_caching(reply.same_ns, reply.new_ns))
    yield _finding("tokens", *_tokens(reply))
    yield _finding("clocks", *_clocks(reply, parent_ns))
    if on_host:
        yield _finding("work", *_work(reply))


def judge_configuration(differences: Sequence[str]) -> Finding:
    """Whether an export does what the configuration beside it says, as far as both say it.

    A difference moves what the model gives and seldom what it takes, so it is no error of a time.

    Args:
        differences: in sentences.
    """
    if not differences:
        detail = "its graphs have the positions and windows that its configuration has, if any"
        return Finding("configuration", OK, detail)
    fix = "export it again with an exporter of the transformers release that config.json names"
    return Finding("configuration", WARNING, "; ".join(differences), fix)


Judged = tuple[str, str | None]  # what was found; what to try, None where all is well


def _finding(check: str, detail: str, fix: str | None) -> Finding:
    return Finding(check, OK if fix is None else ERROR, detail, fix)


def _output(reply: Audited) -> Judged:
    """Timed passes choose what a plain run chooses."""
    if reply.timed_digest == reply.plain_digest:
        return "timed passes choose the tokens of a plain run", None
    return (
        f"timed passes choose other tokens ({reply.timed_digest}) than a plain run "
        f"({reply.plain_digest})",
        "another version of the provider; the numbers of this test time something else",
    )


def _caching(same_ns: Sequence[int], new_ns: Sequence[int]) -> Judged:
    """The same input is not faster than new ones, turn by turn; Student's 95 % interval."""
    ratios = [math.log(same / new) for same, new in zip(same_ns, new_ns, strict=True)]
    interval = t_interval(ratios)
    low, high = math.expm1(interval.low), math.expm1(interval.high)
    detail = f"the same input takes {low:+.1%} to {high:+.1%} time beside new ones"
    if interval.high >= math.log1p(-CACHING_SHARE):
        return detail, None
    return detail, "switch off what remembers results; compare with inputs that change"


def _tokens(reply: Audited) -> Judged:
    """As many tokens and steps as the rates are computed from."""
    pairs = [(reply.tokens, reply.expected_tokens), (reply.steps, reply.expected_steps)]
    detail = "{} of {} tokens, {} of {} steps a pass".format(*pairs[0], *pairs[1])
    right = all(found == expected for found, expected in pairs)
    return detail, None if right else "report this: rates of this test are wrong"


def _clocks(reply: Audited, parent_ns: int) -> Judged:
    """Parts fit into the whole by another clock, and that into the parent's."""
    timed_ns, wall_ns = reply.timed_ns, reply.wall_ns
    detail = (
        f"timed parts {timed_ns / NS_PER_MS:.1f} ms, another clock {wall_ns / NS_PER_MS:.1f} ms, "
        f"the parent {parent_ns / NS_PER_MS:.1f} ms"
    )
    fits = timed_ns <= wall_ns * (1 + CLOCK_SHARE) and wall_ns <= parent_ns * (1 + CLOCK_SHARE)
    return detail, None if fits else "restart the machine's time service, or the machine"


def _work(reply: Audited) -> Judged:
    """The process has computed while it was timed: nothing returned before it was done."""
    share = reply.cpu_ns / reply.timed_ns
    detail = f"{share:.0%} of the timed part is processor time of the process"
    if share >= LEAST_CPU_SHARE:
        return detail, None
    return detail, "close other programs; else the work is done elsewhere, or not at all"
