"""Several runs as one document, and one document as its runs again. Pure.

Each record knows which run, and so which machine, it is of. What the runs share stands where a
document of one run has it: facts that are not the same on all machines are null there.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, structs

from harness.results.environment import Environment
from harness.results.plan import PlanCells, RunPlan
from harness.results.schema import Document, Source
from harness.results.unknown import OTHERS

# Lists of a plan whose values come together; the other keys have to be the same.
LISTS = (*PlanCells.__struct_fields__, "require")


def runs_of(document: Document) -> tuple[Document, ...]:
    """The runs of a document, each as the document that it was; of one run that document."""
    if not document.sources:
        return (document,)
    return tuple(
        Document(
            method_version=document.method_version,
            run_id=source.run_id,
            created_utc=source.created_utc,
            environment=source.environment,
            plan=source.plan,
            records=tuple(
                structs.replace(record, source=None)
                for record in document.records
                if record.source == number
            ),
        )
        for number, source in enumerate(document.sources)
    )


def each_run_once(documents: Iterable[Document]) -> tuple[Document, ...]:
    """The runs of some documents, each once: a merged document may lie beside what it is of.

    Runs of one name that say different things are all there.
    """
    found: dict[str, list[Document]] = {}
    for run in (run for document in documents for run in runs_of(document)):
        same = found.setdefault(run.run_id, [])
        if run not in same:
            same.append(run)
    return tuple(run for same in found.values() for run in same)


def joined(runs: Sequence[Document], run_id: str) -> Document:
    """One document of several runs, in their order.

    Args:
        runs: one or more documents of one run each, of one method.
        run_id: of the new one.
    """
    measured = [run for run in runs if is_measured(run)] or list(runs)
    return Document(
        method_version=runs[0].method_version,
        run_id=run_id,
        created_utc=max(run.created_utc for run in runs),
        environment=_shared_environment([run.environment for run in measured]),
        plan=_shared_plan([run.plan for run in runs]),
        sources=tuple(
            Source(
                run_id=run.run_id,
                created_utc=run.created_utc,
                environment=run.environment,
                plan=run.plan,
            )
            for run in runs
        ),
        records=tuple(
            structs.replace(record, source=number)
            for number, run in enumerate(runs)
            for record in run.records
        ),
    )


def is_measured(run: Document) -> bool:
    """Whether a run was on any machine: a cell that was not measured says nothing of one."""
    cell = run.plan.cell
    return not cell or (bool(cell.machine) and run.environment != Environment())


def _shared_environment(machines: Sequence[Environment]) -> Environment:
    """The facts that are the same on all machines; of packages those of one version."""
    tables = [structs.asdict(machine) for machine in machines]
    found = _same(tables)
    for name in ("packages", "unknown", OTHERS):
        known = [table[name] or {} for table in tables]
        if any(known) and name not in found:
            found[name] = _same(known)
    return Environment(**found)


def _shared_plan(plans: Sequence[RunPlan]) -> RunPlan:
    """What was asked for in all runs, and the values of all lists."""
    tables = [structs.asdict(plan) for plan in plans]
    lists = {name: _union(table[name] for table in tables) for name in LISTS}
    found = _same(tables) | {name: value for name, value in lists.items() if value is not UNSET}
    for name in ("cell", "progress", "effort", "spent_s", "rounds_done", "fit", "part"):
        found.pop(name, None)  # of a single run
    return RunPlan(**found)


def _same(tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The keys whose values are equal in all tables."""
    first, *others = tables
    return {
        key: value
        for key, value in first.items()
        if value is not UNSET and all(key in one and one[key] == value for one in others)
    }


def _union(lists: Iterable[Any]) -> Any:
    """Values of some lists, each once, in an order that theirs does not decide."""
    found = {
        msgspec.json.encode(value): value
        for values in lists
        if isinstance(values, tuple)
        for value in values
    }
    return tuple(found[key] for key in sorted(found)) if found else UNSET
