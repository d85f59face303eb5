"""Machines beside one another: the cells that they share, each machine measured by itself. Pure.

A cell of a plan is the same one on every machine, also where the machine decided its threads or its
row of a class of devices; other records are matched by identity. Nothing is paired: no two machines
share a round.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.analysis.axis_words import MACHINE_AXIS
from harness.analysis.compare import Comparison, Question, compare_matches, partial_runs
from harness.analysis.compare_differences import told_differences
from harness.analysis.compare_match import Key, Match, left_out, only_in
from harness.analysis.compare_sides import Measured
from harness.core.errors import UsageError, suggestion
from harness.results.machine_views import Machine, machine_views
from harness.results.schema import Cell, Document
from harness.results.validity import why_left_out

Sides = dict[Key, list[Measured]]


def compare_machines(
    documents: Sequence[Document], base: str | None, question: Question
) -> Comparison:
    """Compare every other machine with one of them, cell by cell.

    Args:
        documents: of one run or merged.
        base: name of the machine that others are compared with, or the first digits of its hash;
            None: the first one.
        question: what is asked.

    Raises:
        UsageError: fewer than two machines, no such one, two methods, or no cell in common.
        ResultFormatError: damaged samples.
    """
    machines = [one for one in machine_views(documents) if one.id]
    if len(machines) < 2:
        names = ", ".join(one.name for one in machines) or "none that measured anything"
        raise UsageError(
            f"one machine is compared with another, and there is {names}",
            fix="results of several, such as bench merge writes; or another --axis",
        )
    first = machines[0] if base is None else _named(base, machines)
    others = [one for one in machines if one is not first]
    _check_methods(machines)
    matches, notes = [], []
    for other in others:
        found, alone = _matches(first, other)
        matches += found
        notes += [*_differences(first, other), *alone]
    notes += [line for one in machines for line in left_out(one.name, one.runs)]
    runs = [tuple(run.run_id for one in side for run in one.runs) for side in ([first], others)]
    found_lines = compare_matches(matches, question, MACHINE_AXIS, runs, tuple(notes))
    short = partial_runs([run for one in machines for run in one.runs])
    return replace(
        found_lines,
        partial=short,
        notes=(*short, *found_lines.notes),
        axis_values=((first.name,), tuple(one.name for one in others)),
    )


def _named(word: str, machines: Sequence[Machine]) -> Machine:
    """The machine of that name, or whose hash begins so.

    Raises:
        UsageError: none, or several.
    """
    found = [one for one in machines if one.name == word]
    found = found or [one for one in machines if one.id.startswith(word.lower())]
    if len(found) != 1:
        names = [one.name for one in machines]
        told = "no machine is" if not found else f"{len(found)} machines are"
        raise UsageError(f"--base: {told} called {word!r}", fix=suggestion(word, names))
    return found[0]


def _check_methods(machines: Sequence[Machine]) -> None:
    """Refuse numbers that mean different things.

    Raises:
        UsageError: runs of two methods.
    """
    methods = sorted({run.method_version for one in machines for run in one.runs})
    if len(methods) > 1:
        raise UsageError(
            f"not comparable: measured by methods {', '.join(map(str, methods))}",
            fix="measure all machines with one version",
        )


def _matches(base: Machine, new: Machine) -> tuple[list[Match], list[str]]:
    """The cells that two machines share, and lines about those of one of them."""
    first, second = _by_key(base), _by_key(new)
    both = [
        Match(tuple(found), tuple(second[key]), sides=(base.name, new.name))
        for key, found in first.items()
        if key in second
    ]
    alone = [
        line
        for machine, mine, theirs in ((base, first, second), (new, second, first))
        for line in only_in(machine.name, [f for k, f in mine.items() if k not in theirs])
    ]
    return [match for match in both if match.is_one_build], alone


def _by_key(machine: Machine) -> Sides:
    """Records whose measurements count, by what they are on any machine, one per run."""
    found: Sides = {}
    for run in machine.runs:
        mark = run.plan.cell.hash if run.plan.cell else ""
        for record in run.records:
            if why_left_out(record) is None:
                one = Measured(run.run_id, record, run.plan.looks)
                found.setdefault(_key(record.cell, mark), []).append(one)
    return found


def _key(cell: Cell, mark: str) -> Key:
    """The cell file and the test in it; without a file all that the record says of itself."""
    if mark:
        return (mark, cell.level, cell.workload)
    return tuple(getattr(cell, name) for name in Cell.__struct_fields__ if name != "level_label")


def _differences(base: Machine, new: Machine) -> Iterator[str]:
    """Yield what two machines differ in: that is what is compared."""
    told = list(dict.fromkeys(told_differences(base.runs[-1], new.runs[-1])))
    if told:
        yield f"{new.name} beside {base.name}: {'; '.join(told)}"
