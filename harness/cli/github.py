"""`--format github`: the job summary that GitHub names, and annotations on stdout."""

from collections.abc import Sequence
from pathlib import Path

from harness.cli.output import show
from harness.core.environment import SUMMARY, read_variable
from harness.core.errors import StorageError
from harness.report.github import Annotation, annotation_lines, cut_summary


def tell_github(markdown: str, annotations: Sequence[Annotation]) -> None:
    """Append to the job summary and print annotations; outside of GitHub print the summary.

    Raises:
        StorageError: the summary file cannot be written.
    """
    name = read_variable(SUMMARY)
    if name:
        _append(Path(name), markdown)
    else:
        show(markdown, nl=False)
    for line in annotation_lines(annotations):
        show(line)


def _append(path: Path, markdown: str) -> None:
    """Append what the summary has room for."""
    try:
        used = path.stat().st_size if path.exists() else 0
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(cut_summary(markdown, used))
    except OSError as error:
        raise StorageError(
            f"the job summary {path.name} cannot be written: {error.strerror}",
            fix=f"unset {SUMMARY.name}: the summary is then printed",
        ) from error
