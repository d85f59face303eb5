"""A comparison on stdout, in any of its formats."""

from collections.abc import Callable, Sequence

import click

from harness.analysis.compare import Comparison
from harness.analysis.gate import Broken, Gate
from harness.cli.github import tell_github
from harness.cli.options import GITHUB
from harness.report.compare_table import (
    annotations,
    draw_comparison_benchstat,
    draw_comparison_junit,
    draw_csv,
    draw_json,
    draw_json_lines,
    draw_table,
    gate_lines,
)
from harness.report.escape import one_line
from harness.results.schema import Document

PROGRAMS: dict[str, Callable[[Comparison], str]] = {
    "csv": draw_csv,
    "json": draw_json,
    "jsonl": draw_json_lines,
}


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
        click.echo(draw_comparison_junit(comparison, broken), nl=False)
    elif style == "benchstat":
        click.echo(draw_comparison_benchstat(documents), nl=False)
    elif style in PROGRAMS:
        click.echo(PROGRAMS[style](comparison), nl=False)
    else:
        click.echo(draw_table(comparison, style), nl=False)
    for line in verdicts:
        click.echo(one_line(line), err=True)
