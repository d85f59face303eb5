"""`bench explain`: the words of every table, and the sum behind every estimate."""

import shlex
from pathlib import Path

import click

from harness.builder.quantize.levels import level_called
from harness.cli.completion import results_names, terms_or_results, words
from harness.cli.options import format_option
from harness.cli.output import show
from harness.cli.results_files import LATEST, PREVIOUS, read_one, results_path
from harness.cli.show import is_pairs, read_pairs
from harness.core.errors import UsageError
from harness.results.glossary import explain, terms

TRUST = "trust"
STYLES = ("table", "md", "json")  # as harness.report.explained draws them


@click.command(
    "explain", epilog='Example:  bench explain ttft_ms, or results/run.json --row "tg32"'
)
@click.argument("term", required=False, shell_complete=words(terms_or_results, has_files=True))
@click.argument("results", required=False, shell_complete=words(results_names, has_files=True))
@click.option("--row", help="Of a results file: a record's number, or words of its name.")
@format_option(STYLES)
def command(term: str | None, results: str | None, row: str | None, style: str) -> None:
    """Print what TERM means, in which unit, and what is left out; without TERM, list all terms.

    Where TERM is a level: print what it stores and what it rounds.

    Where TERM is a results file: print the sum behind the estimates of its records term by term,
    beside what was measured, and what each is bound by; of devices also which provider had which
    nodes, and with --profile where the time went. `trust RESULTS` prints the rules of the grades,
    and the worst value of every record. Of a file of pairs: what each of them gave.
    """
    from harness.report.grid import paragraphs

    if term is None:
        show("\n".join(terms()))
    elif results is not None:
        from harness.report.trust_table import explain_trust

        if term != TRUST:
            raise UsageError(
                f"{term!r} is not looked up in a results file",
                fix=f"bench explain {TRUST} {shlex.quote(results)}",
            )
        drawn = explain_trust(read_one(results), row, style)
        show(drawn if style == "json" else f"{paragraphs(explain(term), style)}\n\n{drawn}")
    elif is_pairs(results_path(term)):
        from harness.report.ab_pairs import explain_pairs

        show(explain_pairs(read_pairs(results_path(term), "explain"), row, style))
    elif row is not None or is_results_file(term):
        from harness.report.explained import explain_document

        show(explain_document(read_one(term), row, style))
    elif (level := level_called(term)) is not None:
        from harness.report.levels_table import explain_level

        show(paragraphs(explain_level(level), style))
    else:
        show(paragraphs(explain(term), style))


def is_results_file(term: str) -> bool:
    """Whether a word is a file, or a folder of runs, and no term."""
    if term.endswith(".json") or term in (LATEST, PREVIOUS):
        return True
    path = Path(term)
    return path.is_file() or (path.is_dir() and any(path.glob("run-*")))
