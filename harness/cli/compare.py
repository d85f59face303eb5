"""`bench compare`: two sides, or one run along an axis, with a verdict per line and gates."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from harness.analysis.axis_words import MACHINE_AXIS
from harness.analysis.compare import Comparison, Question, compare_axis, compare_documents
from harness.analysis.gate import (
    Inconclusive,
    is_failure,
    judge_gates,
    parse_gate,
    refuse_few,
    requirements_fail,
    watched_metrics,
)
from harness.cli.completion import (
    RESULTS,
    axis_names,
    gate_names,
    metric_names,
    requirement_names,
    words,
)
from harness.cli.options import (
    AB_FORMATS,
    COMPARE_FORMATS,
    WIDE_TABLE,
    correction_option,
    format_option,
    inconclusive_option,
)
from harness.cli.plot import plot_option, wants_plot
from harness.core.errors import EXIT_GATE, EXIT_OK, UsageError
from harness.core.ranges import parse_share
from harness.results.judged import judge_records, judge_runs
from harness.results.metric_names import full_name
from harness.results.requirement import Requirement, parse_requirements
from harness.results.schema import Document

if TYPE_CHECKING:
    from harness.report.required import Lines

EXAMPLE = (
    "Example:  bench compare results/base.json results/new.json --fail-on slower:3% "
    "--fail-on memory:2%"
)


@click.command("compare", epilog=EXAMPLE)
@click.argument("sides", metavar="BASE [NEW]", nargs=-1, required=True, shell_complete=RESULTS)
@click.option(
    "--axis",
    shell_complete=words(axis_names),
    help="Inside one run: quant, device, threads, any field of a cell. machine: of all that is"
    " given, every other machine beside one.",
)
@click.option("--base", help="The value of --axis that others are compared with.  [the first]")
@click.option(
    "--metric",
    shell_complete=words(metric_names, is_list=True),
    help="Metrics, comma-separated.  [speeds, load, sizes, memory, quality]",
)
@click.option("--tolerance", default="3%", show_default=True, help="Within this it is the SAME.")
@click.option(
    "--fail-on",
    multiple=True,
    shell_complete=words(gate_names),
    help="End with 1 where NEW is significantly worse: slower:3%, memory:2%, kld:0.01, first:10%.",
)
@click.option(
    "--require",
    multiple=True,
    shell_complete=words(requirement_names, is_list=True),
    help="End with 1 where NEW does not keep to a limit: decode>=20, peak<=2GiB.",
)
@inconclusive_option()
@correction_option()
@click.option("--force", is_flag=True, help="Compare other machines and methods nevertheless.")
@format_option(COMPARE_FORMATS)
@plot_option("every line as a ratio with its interval around 1")
def command(
    sides: tuple[str, ...],
    axis: str | None,
    base: str | None,
    metric: str | None,
    tolerance: str,
    fail_on: tuple[str, ...],
    require: tuple[str, ...],
    inconclusive: str,
    no_correction: bool,
    force: bool,
    style: str,
    plot: bool,
) -> int:
    """Say whether every cell of NEW is faster, slower or the same as in BASE, or inconclusive.

    BASE and NEW are results files, folders or quoted patterns ("base/*.json"); several runs of a
    side count as one value each. With --axis the cells of one run are compared, paired by round.
    A file of pairs, results/ab-*.jsonl, holds both sides.

    A gate says PASS, FAIL or INCONCLUSIVE; the last where a side was measured beside other
    programs, where the data could not have shown the limit, or where the limit lies inside the
    interval. It is a warning, unless --inconclusive says otherwise.

    A requirement is an absolute limit on NEW (of an --axis, on every cell; of pairs, on both
    sides), MET or NOT_MET by its whole interval, or INCONCLUSIVE likewise.
    """
    from harness.cli.compare_draw import draw_comparison
    from harness.report.ab import closing

    plot = wants_plot(plot, None, style)
    gates = [parse_gate(text) for text in fail_on]
    requirements = parse_requirements(require) if require else ()
    if requirements and axis == MACHINE_AXIS:
        raise UsageError(
            "--require is a limit on one machine, and --axis machine compares several",
            fix="bench report says of each row whether the limits of its plan are met",
        )
    names = tuple(full_name(name) for name in (metric or "").replace(" ", "").split(",") if name)
    share = parse_share(tolerance, "--tolerance")
    question = Question(share, names, watched_metrics(gates), no_correction)
    documents: tuple[list[Document], list[Document]] = [], []
    required: Lines
    pairs = _pairs_file(sides, axis)
    if pairs is not None:
        comparison, required = _compare_pairs(pairs, question, style, requirements)
    else:
        documents, comparison = _compare(sides, axis, base, question, force)
        required = _required(documents[1] or documents[0], requirements)
    judged, policy = judge_gates(comparison, gates), Inconclusive(inconclusive)
    refuse_few(judged)
    last = closing(comparison) if pairs else ""
    draw_comparison(comparison, judged, policy, documents, style, last, required, plot)
    fails = requirements_fail([one for _, one in required], policy)
    return EXIT_GATE if fails or is_failure(judged, policy) else EXIT_OK


def _required(documents: list[Document], requirements: Sequence[Requirement]) -> "Lines":
    """What requirements say of one side; of several runs each gives one value.

    Raises:
        UsageError: one that no record can answer: it could never fail.
    """
    runs = [document.records for document in documents]
    if len(runs) == 1:
        found = judge_records(runs[0], requirements, documents[0].plan.looks)
    else:
        found = judge_runs(runs, requirements)
    for one in requirements:
        if not any(judged.requirement == one for _, judged in found):
            raise UsageError(
                f"--require {one.text} can never fail: no cell of NEW has {one.metric_name}",
                fix="measure it (--quality for kld and top1), or leave it out",
            )
    return found


def _pairs_file(sides: tuple[str, ...], axis: str | None) -> Path | None:
    """The file of pairs that is asked about; None: both sides are runs."""
    from harness.cli.results_files import results_path
    from harness.cli.show import is_pairs

    if len(sides) != 1 or axis is not None:
        return None
    path = results_path(sides[0])
    return path if is_pairs(path) else None


def _compare_pairs(
    path: Path, question: Question, style: str, requirements: Sequence[Requirement]
) -> "tuple[Comparison, Lines]":
    """What a file of pairs says; its own tolerance, where none is asked for."""
    from harness.analysis.paired_required import stand_ins
    from harness.cli.show import read_pairs
    from harness.report.ab import compare_pairs, judged_pairs, tolerance_of

    if question.metrics or style not in (*AB_FORMATS, WIDE_TABLE):
        raise UsageError(
            f"{path} is a file of pairs: its metrics are its own, and no run is in it",
            fix=f"leave --metric out, --format with one of {', '.join(AB_FORMATS)}",
        )
    source = click.get_current_context().get_parameter_source("tolerance")
    entries = read_pairs(path, "compare")
    if source is ParameterSource.DEFAULT:
        question = replace(question, tolerance=tolerance_of(entries))
    found = compare_pairs(entries, question)
    found = replace(found, notes=(*found.notes, *stand_ins(requirements)))
    return found, judged_pairs(entries, requirements)


def _compare(
    sides: tuple[str, ...], axis: str | None, base: str | None, question: Question, force: bool
) -> tuple[tuple[list[Document], list[Document]], Comparison]:
    """Read what the arguments mean and compare it."""
    from harness.cli.results_files import read_one, read_side

    if axis == MACHINE_AXIS:
        from harness.analysis.compare_machines import compare_machines

        documents = [document for side in sides for document in read_side(side)]
        return (documents, []), compare_machines(documents, base, question)
    if axis is not None:
        if len(sides) != 1:
            raise UsageError(
                f"--axis compares inside one run, and {len(sides)} are given",
                fix="bench compare FILE --axis quant",
            )
        document = read_one(sides[0], "an axis is compared inside one")
        return ([document], []), compare_axis(document, axis, base, question)
    if base is not None:
        raise UsageError("--base says nothing without --axis", fix="--axis quant --base fp32")
    if len(sides) != 2:
        raise UsageError(
            f"{len(sides)} side{'s are' if len(sides) != 1 else ' is'} given, not BASE and NEW",
            fix='bench compare BASE NEW, patterns in quotes: "base/*.json"; or one file and --axis',
        )
    first, second = read_side(sides[0]), read_side(sides[1])
    return (first, second), compare_documents(first, second, question, force)
