"""A results document on stdout, in any of its formats."""

import click

from harness.cli.options import GITHUB
from harness.results.schema import Document


def show_document(document: Document, style: str) -> None:
    """Print a document; `github` also writes the job summary.

    Args:
        document: one run.
        style: of `options.DOCUMENT_FORMATS`.
    """
    from harness.report.render import render

    if style != GITHUB:
        click.echo(render(document, style), nl=False)
        return
    from harness.cli.github import tell_github
    from harness.report.github import document_annotations

    tell_github(render(document, "md"), document_annotations(document))
