"""What a plan would measure, for `--dry-run`. Pure."""

from collections import Counter
from collections.abc import Iterator

from harness.report.grid import draw_records, one_line
from harness.report.numbers import counted
from harness.runner.fitting.asked import looks_of
from harness.runner.plan import Plan
from harness.runner.settings import Settings


def draw_plan(plan: Plan, style: str = "table") -> str:
    """Draw one line per exported model and per cell, then the counts and what else is asked for.

    Args:
        plan: what would be measured.
        style: `json` and `jsonl` give one object per cell; in every other format it is lines.
    """
    if style in ("json", "jsonl"):
        return draw_records(list(_cells(plan)), style)
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
    summary += "".join(f", {words}" for words in _extras(plan.settings))
    return "\n".join(one_line(line) for line in (*_recognised(plan), *lines, summary))


def _cells(plan: Plan) -> Iterator[dict[str, object]]:
    """Yield every cell as values, under the names that results have."""
    for group in plan.groups:
        for workload in group.workloads:
            yield {
                "model": group.source.name,
                "level": group.level.name,
                "kv_cache": group.cache.name,
                "device": group.device.key,
                "runtime": group.runtime,
                "threads": group.threads,
                "batch": group.batch,
                "capacity": group.capacity,
                "workload": workload.name,
                "rounds": plan.settings.rounds,
            }


def _extras(settings: Settings) -> Iterator[str]:
    """Yield what is measured beside the rounds, and what may end them."""
    if settings.budget is not None:
        yield f"no round begun after {settings.budget:g} s"
    if settings.start_below is not None:
        yield f"each process begun below {settings.start_below:g} °C where a sensor tells"
    if settings.sustain is not None:
        yield f"each test {settings.sustain:g} s without a rest as well"
    if settings.quality:
        yield "quality beside the reference"
    if settings.profile:
        yield "a profile of each"
    if settings.require:
        yield f"held to {', '.join(settings.require)}"


def fit_line(settings: Settings) -> str:
    """What a fit makes of the rounds of its plan, in one line."""
    looks = ", ".join(map(str, looks_of(settings)))
    return (
        "whom its estimate rules out is not built; whoever is undecided has more rounds, looked at"
        f" after {looks}; the choice is confirmed in fresh ones"
    )


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
