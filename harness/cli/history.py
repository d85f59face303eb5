"""`bench history`: many results files as one history that can be asked."""

import click

from harness.cli import (
    history_add,
    history_backfill,
    history_bless,
    history_list,
    history_query,
    history_trend,
)

# Each is one line of the help; a module may hold several.
COMMANDS = (
    history_add.add,
    history_list.ls,
    history_trend.trend,
    history_bless.bless,
    history_query.query,
    history_query.export,
    history_backfill.backfill,
)


@click.group("history", epilog="Example:  bench history add results")
def command() -> None:
    """Index results files, and ask the history: trends, steps, SQL.

    The index is one DuckDB file beside the results, results/history.duckdb. It holds what documents
    say but for their samples, and can be built anew from them at any time. Needs
    `pip install 'ondevice-bench[history]'`.
    """


for one in COMMANDS:
    command.add_command(one)
