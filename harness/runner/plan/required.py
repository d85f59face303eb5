"""Requirements that a plan cannot answer, refused before anything is built."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from harness.core.errors import UsageError
from harness.machine.meters.counters import VALUE
from harness.machine.meters.energy import read_energy
from harness.machine.watch.energy_proof import proofs_here
from harness.results.judged import OF_TASKS
from harness.results.metric_row import Source
from harness.results.requirement import Requirement, parse_requirements
from harness.runner.settings import Settings

if TYPE_CHECKING:
    from harness.runner.plan.layout import SessionGroup

FLAG = "--require"
RANDOM = "seeded"


def required(settings: Settings) -> tuple[Requirement, ...]:
    """The requirements of a plan; empty: it has none."""
    return parse_requirements(settings.require, FLAG) if settings.require else ()


def needs_quality(settings: Settings) -> bool:
    """Whether a requirement is about what levels lose."""
    return any(one.metric.source is Source.QUALITY for one in required(settings))


def check_required(settings: Settings, groups: "Sequence[SessionGroup]") -> None:
    """Refuse a requirement that no row of a plan could ever answer.

    Raises:
        UsageError: says which, and what would do.
    """
    for one in required(settings):
        refuse_unmeasured(one, groups)
        if one.is_sustained and settings.sustain is None:
            raise UsageError(
                f"{FLAG} {one.text}: no test runs for minutes without a rest",
                fix="--sustain 5m with it",
            )
        if one.metric.source is Source.QUALITY:
            _check_quality(one, groups)
            _check_tasks(one, settings)
        if one.metric.source is Source.COUNTERS:
            _check_energy(one, groups)


def refuse_unmeasured(one: Requirement, groups: "Sequence[SessionGroup]") -> None:
    """Refuse a metric that no test of some groups has.

    Raises:
        UsageError: names their tests.
    """
    tests = [test for group in groups for test in group.workloads]
    if not any(one.fits(test.kind) for test in tests):
        models = ", ".join(dict.fromkeys(group.source.name for group in groups))
        names = ", ".join(dict.fromkeys(test.test for test in tests))
        raise UsageError(
            f"{FLAG} {one.text}: no test of {models} measures {one.metric_name} ({names}), and"
            " nothing estimates it",
            fix="leave it out, or name a test of it",
        )


def _check_quality(one: Requirement, groups: "Sequence[SessionGroup]") -> None:
    """Refuse what a level loses where no weights were trained: it says nothing about text."""
    if groups and all(group.source.weights_kind == RANDOM for group in groups):
        raise UsageError(
            f"{FLAG} {one.text}: the weights of {groups[0].source.name} are random, so what its"
            " levels lose is not known",
            fix="a model with trained weights: bytelm, or a folder with its checkpoint",
        )


def _check_tasks(one: Requirement, settings: Settings) -> None:
    """Refuse what questions tell where none are asked."""
    if one.metric.name in OF_TASKS and settings.tasks is None:
        raise UsageError(
            f"{FLAG} {one.text}: no questions with choices are asked",
            fix="--tasks builtin with it, or --tasks with a file of your own",
        )


def _check_energy(one: Requirement, groups: "Iterable[SessionGroup]") -> None:
    """Refuse energy where nothing counts it; a card may have a counter of its own."""
    if any(not group.device.row.is_host for group in groups):
        return
    answers = read_energy().answers
    reasons = {name: found.reason for name, found in answers.items() if found.state != VALUE}
    if len(reasons) < len(answers):
        reasons |= {name: one.problem for name, one in proofs_here().items() if one.problem}
    if len(reasons) == len(answers):
        told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise UsageError(
            f"{FLAG} {one.text}: nothing counts energy here, and nothing estimates it ({told})",
            fix="leave it out; docs/method.md, Energy, says what counts it",
        )
