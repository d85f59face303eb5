"""What an index holds: models, machines, cells or runs, a row each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.history.database import reading
from harness.history.tables import STORED

_JOINED = f"""
    {STORED}.records JOIN {STORED}.documents USING (document_id)
        JOIN {STORED}.cells USING (cell_id)
"""
_SPAN = """
    count(DISTINCT run_id) AS runs,
    strftime(min(created_utc), '%Y-%m-%d') AS first_day,
    strftime(max(created_utc), '%Y-%m-%d') AS last_day
"""
MODELS, MACHINES, CELLS, RUNS = "models", "machines", "cells", "runs"
LISTS: Mapping[str, str] = {
    MODELS: f"""
        SELECT model, string_agg(DISTINCT level, ', ' ORDER BY level) AS levels,
            string_agg(DISTINCT device, ', ' ORDER BY device) AS devices,
            count(DISTINCT cell_id) AS cells, count(DISTINCT machine) AS machines, {_SPAN}
        FROM {_JOINED} GROUP BY model ORDER BY model
    """,
    MACHINES: f"""
        SELECT machine, name, count(DISTINCT onnxruntime) AS onnxruntimes, {_SPAN}
        FROM {STORED}.documents JOIN {STORED}.machines USING (machine)
        GROUP BY machine, name ORDER BY last_day DESC, machine
    """,
    CELLS: f"""
        SELECT cell, count(*) FILTER (left_out IS NULL) AS points,
            count(*) FILTER (left_out IS NOT NULL) AS left_out, count(DISTINCT machine) AS machines,
            {_SPAN}
        FROM {_JOINED} GROUP BY cell ORDER BY cell
    """,
    RUNS: """
        SELECT run_id, strftime(created_utc, '%Y-%m-%d %H:%M') AS began, machine, commit,
            onnxruntime, records, counted, ended, document
        FROM runs ORDER BY created_utc DESC, run_id
    """,
}


@dataclass(frozen=True, slots=True)
class Listed:
    """What an index holds.

    Attributes:
        columns: names of a row's values.
        rows: as many values each.
        totals: how many runs, records, cells and machines there are, and the first and last day.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    totals: Mapping[str, Any]


def list_index(index: Path, what: str) -> Listed:
    """Read one of LISTS.

    Raises:
        HarnessError: as harness.history.database.reading.
    """
    with reading(index) as connection:
        found = connection.execute(LISTS[what])
        columns = tuple(column[0] for column in found.description or ())
        rows = tuple(found.fetchall())
        total = connection.execute(
            f"SELECT count(*) AS runs, (SELECT count(*) FROM {STORED}.records) AS records,"
            f" (SELECT count(*) FROM {STORED}.cells) AS cells, count(DISTINCT machine) AS machines,"
            f" strftime(min(created_utc), '%Y-%m-%d') AS first_day,"
            f" strftime(max(created_utc), '%Y-%m-%d') AS last_day FROM {STORED}.documents"
        )
        names = [column[0] for column in total.description or ()]
        values = total.fetchone() or ()
        return Listed(columns, rows, dict(zip(names, values, strict=True)))
