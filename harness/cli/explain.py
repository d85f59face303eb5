"""`bench explain`: the words of every table, and the sum behind every estimate."""

from pathlib import Path

import click

from harness.cli.completion import terms_or_results, words
from harness.cli.options import format_option
from harness.results.glossary import explain, terms

STYLES = ("table", "md", "json")  # as harness.report.explained draws them


@click.command(
    "explain", epilog='Example:  bench explain ttft_ms, or results/run.json --row "tg32"'
)
@click.argument("term", required=False, shell_complete=words(terms_or_results, has_files=True))
@click.option("--row", help="Of a results file: a record's number, or words of its name.")
@format_option(STYLES)
def command(term: str | None, row: str | None, style: str) -> None:
    """Print what TERM means, in which unit, and what is left out; without TERM, list all terms.

    Where TERM is a results file: print the sum behind the estimates of its records term by term,
    beside what was measured, and what each is bound by; of devices also which provider had which
    nodes, and with --profile where the time went.
    """
    if term is None:
        click.echo("\n".join(terms()))
    elif row is not None or is_results_file(term):
        from harness.report.explained import explain_document
        from harness.results.document import read_document

        click.echo(explain_document(read_document(Path(term)), row, style))
    else:
        click.echo(explain(term))


def is_results_file(term: str) -> bool:
    """Whether a word is a file and no term."""
    return term.endswith(".json") or Path(term).is_file()
