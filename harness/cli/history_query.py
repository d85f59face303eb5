"""`bench history query` and `export`: the index for people who know SQL, and for other tools."""

from pathlib import Path

import click

from harness.cli.history_options import blessings_file, blessings_option, index_option
from harness.cli.options import FORMATS, format_option
from harness.cli.output import show, tell
from harness.core.ranges import parse_seconds

ROWS = 10_000


@click.command(
    "query",
    epilog='Example:  bench history query "select machine, count(*) from runs group by machine"',
)
@click.argument("statement", metavar="[SQL]", required=False)
@index_option()
@blessings_option()
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    default=ROWS,
    show_default=True,
    help="Most rows that are given; 0: all.",
)
@click.option(
    "--timeout", metavar="TIME", default="60s", show_default=True, help="Longest time: 30s, 5m."
)
@format_option(FORMATS)
def query(
    statement: str | None,
    index: Path,
    accepted: Path | None,
    rows: int,
    timeout: str,
    style: str,
) -> None:
    """Run one SELECT over the index, or list its tables and columns where no SQL is given.

    It reads: a statement that writes, changes settings or reaches for files or the network is
    refused. The dialect is that of DuckDB.
    """
    from harness.report.history_table import draw_answer, draw_described

    if statement is None:
        from harness.history.asking import described

        show(draw_described(described(), style))
        return
    from harness.history.asking import ask
    from harness.history.blessings import read_blessings

    known = read_blessings(blessings_file(index, accepted))
    answer = ask(index, known, statement, rows, parse_seconds(timeout, "--timeout"))
    show(draw_answer(answer.columns, answer.rows, style))
    if answer.is_cut:
        tell(f"there are more than {rows:,} rows: --rows 0 gives all")


@click.command("export", epilog="Example:  bench history export --parquet history")
@index_option()
@blessings_option()
@click.option(
    "--parquet",
    "folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of one file per table.",
)
def export(index: Path, accepted: Path | None, folder: Path) -> None:
    """Write every table of the index as a Parquet file into a folder.

    Files of these names are replaced, others in the folder stay. pandas, polars, DuckDB, Spark and
    lakes read them; `bench history query` without SQL says what each column is.
    """
    from harness.history.blessings import read_blessings
    from harness.history.exporting import export_parquet

    known = read_blessings(blessings_file(index, accepted))
    for path in export_parquet(index, known, folder):
        show(str(path))
