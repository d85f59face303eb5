"""What a plan would measure, for `--dry-run`. Pure."""

from harness.report.grid import one_line
from harness.runner.plan import Plan


def draw_plan(plan: Plan) -> str:
    """Draw one line per exported model and per cell, then the counts."""
    lines = [
        f"{group.key}  {workload.name}" for group in plan.groups for workload in group.workloads
    ]
    groups, rounds = len(plan.groups), plan.settings.rounds
    summary = f"{plan.cell_count} cells in {groups} session groups, {rounds} rounds each"
    if plan.settings.precision is not None:
        most = max(rounds, plan.settings.max_rounds)
        summary += f", up to {most} until every interval is within {plan.settings.precision:.1%}"
    return "\n".join(one_line(line) for line in (*_recognised(plan), *lines, summary))


def _recognised(plan: Plan) -> list[str]:
    """Say what every exported model turned out to be: kind, parameters, level, files."""
    models = {group.source.argument: group.model for group in plan.groups}
    lines = [model.summary() for model in models.values()]
    return [line for line in lines if line is not None]
