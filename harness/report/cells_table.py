"""The cells of a plan as a table, for programs, and for a matrix of jobs."""

import json
from collections.abc import Sequence

from harness.core.errors import UsageError
from harness.fleet.cells import CellFile
from harness.report.grid import Column, draw_columns, draw_records
from harness.report.numbers import counted

MOST_JOBS = 256  # of a matrix on GitHub
COLUMNS: tuple[Column[CellFile], ...] = (
    Column("cell", lambda cell: cell.hash),
    Column("model", lambda cell: cell.rows[0].model),
    Column("level", lambda cell: cell.rows[0].level),
    Column("cache", lambda cell: cell.rows[0].kv_cache, shown="varies", leaves=3),
    Column("device", lambda cell: cell.device),
    Column("runtime", lambda cell: cell.rows[0].runtime, shown="varies"),
    Column("prepack", lambda cell: cell.rows[0].prepack, shown="varies", leaves=2),
    Column("threads", lambda cell: cell.settings.threads[0]),
    Column("batch", lambda cell: cell.rows[0].batch, shown="varies", leaves=1),
    Column("capacity", lambda cell: cell.settings.capacity[0], shown="varies", leaves=4),
    Column("rounds", lambda cell: cell.settings.rounds, leaves=5),
    Column(
        "tests",
        lambda cell: " ".join(row.workload.removesuffix(" @ d0") for row in cell.rows),
        leaves=6,
        brief=lambda cell: counted(len(cell.rows), "tests"),
    ),
)


def draw_cells(cells: Sequence[CellFile], style: str) -> str:
    """Draw the cells of a plan.

    Args:
        cells: in the order of the plan.
        style: of `options.FORMATS`, or `github`: one line for $GITHUB_OUTPUT.

    Raises:
        UsageError: more cells than a matrix of GitHub may have jobs.
    """
    if style == "github":
        return f"cells={json.dumps(matrix_of(cells), separators=(',', ':'))}"
    if style in ("json", "jsonl"):
        return draw_records([_values(cell) for cell in cells], style)
    drawn = draw_columns(COLUMNS, cells, style)
    if style == "csv":
        return drawn
    rows = sum(len(cell.rows) for cell in cells)
    return f"{drawn}\n\n{counted(len(cells), 'cells')}, {counted(rows, 'rows')}"


def matrix_of(cells: Sequence[CellFile]) -> list[dict[str, str]]:
    """One job per cell, for `matrix: include:`.

    Raises:
        UsageError: more than a matrix may have.
    """
    if len(cells) > MOST_JOBS:
        raise UsageError(
            f"{len(cells)} cells are more than the {MOST_JOBS} jobs of a matrix",
            fix="a smaller plan, or several of them",
        )
    return [{"cell": cell.file_name, "device": cell.device} for cell in cells]


def _values(cell: CellFile) -> dict[str, object]:
    """A cell as values, under the names that results have."""
    first = cell.rows[0]
    return {
        "file": cell.file_name,
        "hash": cell.hash,
        "model": first.model,
        "model_source": cell.model.source,
        "level": first.level,
        "kv_cache": first.kv_cache,
        "device": cell.device,
        "runtime": first.runtime,
        "prepack": first.prepack,
        "threads": cell.settings.threads[0],
        "batch": first.batch,
        "capacity": cell.settings.capacity[0],
        "rounds": cell.settings.rounds,
        "tests": [row.workload for row in cell.rows],
    }
