"""What a plan would measure, for `--dry-run`. Pure."""

from collections import Counter

from harness.report.grid import one_line
from harness.report.numbers import counted
from harness.runner.plan import Plan


def draw_plan(plan: Plan) -> str:
    """Draw one line per exported model and per cell, then the counts."""
    called = _called(plan)
    lines = [
        f"{called[group.source.argument]}{group.key.removeprefix(group.source.argument)}"
        f"  {workload.name}"
        for group in plan.groups
        for workload in group.workloads
    ]
    groups, rounds = len(plan.groups), plan.settings.rounds
    summary = (
        f"{counted(plan.cell_count, 'cells')} in {counted(groups, 'session groups')}, "
        f"{counted(rounds, 'rounds')}{' each' * (groups > 1)}"
    )
    if plan.settings.precision is not None:
        most = max(rounds, plan.settings.max_rounds)
        summary += f", up to {most} until every interval is within {plan.settings.precision:.1%}"
    return "\n".join(one_line(line) for line in (*_recognised(plan), *lines, summary))


def _called(plan: Plan) -> dict[str, str]:
    """What each model is called: by its name, as in the results, or as typed where two share it."""
    names = {group.source.argument: group.source.name for group in plan.groups}
    shared = [name for name, count in Counter(names.values()).items() if count > 1]
    return {word: word if name in shared else name for word, name in names.items()}


def _recognised(plan: Plan) -> list[str]:
    """Say what every exported model turned out to be: kind, parameters, level, files."""
    models = {group.source.argument: group.model for group in plan.groups}
    lines = [model.summary() for model in models.values()]
    return [line for line in lines if line is not None]
