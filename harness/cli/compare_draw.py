"""A comparison on stdout, in any of its formats."""

from collections.abc import Callable, Sequence

import click

from harness.analysis.compare import CompareRow, Comparison
from harness.analysis.gate import Broken, Gate, surely_within
from harness.cli.github import tell_github
from harness.cli.options import GITHUB
from harness.report.benchstat import draw_sides
from harness.report.compare_table import (
    draw_csv,
    draw_json,
    draw_json_lines,
    draw_table,
    line_name,
    row_values,
    sentence,
)
from harness.report.escape import one_line
from harness.report.github import Annotation
from harness.report.junit import Case, draw_cases
from harness.results.enums import Verdict
from harness.results.schema import Document

PROGRAMS: dict[str, Callable[[Comparison], str]] = {
    "csv": draw_csv,
    "json": draw_json,
    "jsonl": draw_json_lines,
}
NUMBERS = (
    *("unit", "base", "new", "ratio", "low", "high", "p_family"),
    *("verdict", "holds_together", "sure_to_show"),
)


def draw_comparison(
    comparison: Comparison,
    gates: Sequence[Gate],
    broken: Sequence[Broken],
    documents: tuple[Sequence[Document], Sequence[Document]],
    style: str,
) -> None:
    """Print a comparison, and on stderr what its gates say.

    Args:
        comparison: what was found.
        gates: what was asked to fail on.
        broken: what does.
        documents: both sides; the second is empty along an axis.
        style: of `options.COMPARE_FORMATS`.
    """
    verdicts = gate_lines(comparison, gates, broken)
    if style == GITHUB:
        tell_github(draw_table(comparison, "md", verdicts), annotations(comparison, broken))
    elif style == "junit":
        click.echo(draw_cases("bench compare", cases(comparison, broken)), nl=False)
    elif style == "benchstat":
        click.echo(draw_benchstat(documents), nl=False)
    elif style in PROGRAMS:
        click.echo(PROGRAMS[style](comparison), nl=False)
    else:
        click.echo(draw_table(comparison, style), nl=False)
    for line in verdicts:
        click.echo(one_line(line), err=True)


def gate_lines(
    comparison: Comparison, gates: Sequence[Gate], broken: Sequence[Broken]
) -> list[str]:
    """One line per line that breaks a gate, and one per gate that none does."""
    lines = [f"gate {one.gate.text} broken: {sentence(one.row)}" for one in broken]
    for gate in gates:
        if not any(one.gate is gate for one in broken):
            within, total = surely_within(comparison, gate)
            lines.append(f"gate {gate.text} not broken: {within} of {total} lines surely within")
    return lines


def annotations(comparison: Comparison, broken: Sequence[Broken]) -> list[Annotation]:
    """A broken gate is an error, any other line that is worse beside all others a warning."""
    failed = {id(one.row) for one in broken}
    worse = [
        row
        for row in comparison.rows
        if row.verdict == Verdict.WORSE and row.holds_together and id(row) not in failed
    ]
    return [
        *(Annotation("error", f"bench: {one.gate.text}", sentence(one.row)) for one in broken),
        *(Annotation("warning", f"bench: {row.word}", sentence(row)) for row in worse),
    ]


def cases(comparison: Comparison, broken: Sequence[Broken]) -> list[Case]:
    """One test case per line; only a broken gate fails one."""
    failed = {id(one.row): one for one in broken}
    return [_case(row, failed.get(id(row))) for row in comparison.rows]


def draw_benchstat(documents: tuple[Sequence[Document], Sequence[Document]]) -> str:
    """The values of every process; both sides told apart by the key `side`."""
    first, second = documents
    return draw_sides({"base": first, "new": second} if second else {"": first})


def _case(row: CompareRow, broken: Broken | None) -> Case:
    """One line."""
    values = row_values(row)
    properties = {name: str(values[name]) for name in NUMBERS if values[name] is not None}
    name, group = line_name(row), f"{row.cell.model}.{row.cell.level}.{row.cell.device}"
    if broken is None:
        return Case(group, name, properties=properties)
    message = f"gate {broken.gate.text}: {sentence(row)}"
    return Case(group, name, "failure", row.word, message, properties)
