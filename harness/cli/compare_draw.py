"""A comparison on stdout, in any of its formats."""

from collections.abc import Callable, Sequence

from harness.analysis.compare import Comparison
from harness.analysis.gate import Inconclusive, JudgedGate
from harness.cli.github import tell_github
from harness.cli.options import GITHUB
from harness.cli.output import show, tell
from harness.cli.plot import show_ratios
from harness.cli.show import echo_drawn
from harness.report.compare_table import (
    draw_comparison_benchstat,
    draw_csv,
    draw_json,
    draw_json_lines,
    draw_table,
)
from harness.report.gates import (
    ANNOTATED,
    TESTED,
    annotations,
    draw_comparison_junit,
    gate_lines,
    gate_values,
)
from harness.report.grid import prose
from harness.report.required import (
    Lines,
    required_annotations,
    required_cases,
    required_lines,
    required_values,
)
from harness.results.schema import Document

TABLES = ("table", "wide", "md")
PROGRAMS: dict[str, Callable[[Comparison], str]] = {
    "csv": draw_csv,
    "jsonl": draw_json_lines,
}


def draw_comparison(
    comparison: Comparison,
    judged: Sequence[JudgedGate],
    inconclusive: Inconclusive,
    documents: tuple[Sequence[Document], Sequence[Document]],
    style: str,
    closing: str = "",
    required: Lines = (),
    plot: bool = False,
) -> None:
    """Print a comparison, and on stderr what its gates say.

    Args:
        comparison: what was found.
        judged: its gates.
        inconclusive: what an undecided gate counts as.
        documents: both sides; the second is empty along an axis.
        style: of `options.COMPARE_FORMATS`.
        closing: the last line of what people read.
        required: what absolute limits say of the new side.
        plot: draw every line as a point with its interval as well.
    """
    verdicts = [*gate_lines(judged), *required_lines(required)]
    if style == GITHUB:
        table = draw_table(comparison, "md", verdicts, closing)
        told = annotations(comparison, judged, inconclusive)
        tell_github(table, [*told, *required_annotations(required, ANNOTATED[inconclusive])])
    elif style == "junit":
        cases = required_cases(required, TESTED[inconclusive])
        show(draw_comparison_junit(comparison, judged, inconclusive, cases), nl=False)
    elif style == "benchstat":
        echo_drawn(draw_comparison_benchstat(documents, comparison.axis))
    elif style == "json":
        values = gate_values(judged), required_values(required)
        show(draw_json(comparison, *values), nl=False)
    elif style in PROGRAMS:
        show(PROGRAMS[style](comparison), nl=False)
    else:
        show(draw_table(comparison, style), nl=False, in_colour=style in TABLES[:2])
    if plot:
        show_ratios(comparison, style)
    tell(*verdicts)
    if closing and style in TABLES:
        show(f"\n{prose(closing, style)}")
