"""`--format github`: the job summary that GitHub names, and annotations on stdout."""

import os
from collections.abc import Sequence
from pathlib import Path

import click

from harness.core.errors import StorageError
from harness.report.github import Annotation, annotation_lines, cut_summary

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"


def tell_github(markdown: str, annotations: Sequence[Annotation]) -> None:
    """Append to the job summary and print annotations; outside of GitHub print the summary.

    Raises:
        StorageError: the summary file cannot be written.
    """
    name = os.environ.get(SUMMARY_VARIABLE)
    if name:
        _append(Path(name), markdown)
    else:
        click.echo(markdown, nl=False)
    for line in annotation_lines(annotations):
        click.echo(line)


def _append(path: Path, markdown: str) -> None:
    """Append what the summary has room for."""
    try:
        used = path.stat().st_size if path.exists() else 0
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(cut_summary(markdown, used))
    except OSError as error:
        raise StorageError(
            f"the job summary {path.name} cannot be written: {error.strerror}",
            fix=f"unset {SUMMARY_VARIABLE}: the summary is then printed",
        ) from error
