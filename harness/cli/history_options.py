"""Options that the commands of `bench history` share."""

from collections.abc import Iterable
from pathlib import Path

import click

from harness.cli.completion import words
from harness.cli.options import Decorator

INDEX = Path("results/history.duckdb")


def index_option() -> Decorator:
    """`--db`: the file of the index."""
    return click.option(
        "--db",
        "index",
        type=click.Path(path_type=Path, dir_okay=False),
        default=INDEX,
        show_default=True,
        help="The file of the index.",
    )


def blessings_option() -> Decorator:
    """`--blessings`: the file of accepted steps."""
    return click.option(
        "--blessings",
        "accepted",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The file of accepted steps, to keep in git.  [default: blessings.jsonl beside --db]",
    )


def blessings_file(index: Path, given: Path | None) -> Path:
    """The file of accepted steps."""
    from harness.history.blessings import FILE

    return given or index.parent / FILE


def metric_option() -> Decorator:
    """`--metric`: what of a cell."""
    return click.option(
        "--metric",
        shell_complete=words(_metric_names),
        help="Its name, or a short one: decode, ttft, peak.  [default: the rate of each test]",
    )


def machine_option() -> Decorator:
    """`--machine`: on which one."""
    return click.option(
        "--machine", default="", help="The beginning of its identity, or a part of its name."
    )


def _metric_names() -> Iterable[str]:
    from harness.results.metric_names import SHORT
    from harness.results.metrics import of_records

    return (*SHORT, *(row.name for row in of_records()))
