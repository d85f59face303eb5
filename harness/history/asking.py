"""Statements that people type: one that reads, over the documented tables, and nothing else.

The file is opened to be read only, and before the statement runs DuckDB is told to reach no other
file, no network and no extension, and to let none of it be changed again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

from harness.core.errors import UsageError
from harness.history.blessings import Blessing, put_blessings
from harness.history.database import MEMORY, duckdb_module, first_line, reading
from harness.history.tables import VIEWS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLES = "bench history query, without a statement, lists tables and columns"
READS = "SELECT"
CANDIDATES = ("Candidate bindings", "Did you mean")
LOCKS = (
    "SET temp_directory = ''",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gives.

    Attributes:
        columns: their names, each once.
        rows: as many values each.
        is_cut: there are more rows than were asked for.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    is_cut: bool


def ask(
    index: Path, blessings: Iterable[Blessing], statement: str, most_rows: int, timeout_s: float
) -> Answer:
    """Run one statement that reads.

    Args:
        index: its file.
        blessings: as the table `blessings`.
        statement: SQL of DuckDB.
        most_rows: that are given; 0: all.
        timeout_s: after which it is ended.

    Raises:
        UsageError: it is no statement, several, one that writes or changes settings, or it needs
            more time or memory than it gets.
        HarnessError: as harness.history.database.reading.
    """
    duckdb = duckdb_module()
    with reading(index) as connection:
        put_blessings(connection, blessings)
        for lock in LOCKS:
            connection.execute(lock)
        timer = Timer(timeout_s, connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            return _answer(connection, statement, most_rows)
        except duckdb.InterruptException as error:
            raise UsageError(
                f"the query took longer than {timeout_s:g} s", fix="a narrower one, or --timeout"
            ) from error
        except duckdb.OutOfMemoryException as error:
            raise UsageError(
                f"the query needs more than {MEMORY} of memory", fix="fewer rows or columns"
            ) from error
        except duckdb.Error as error:
            raise UsageError(f"the query cannot run: {_told(str(error))}", _way(error)) from error
        finally:
            timer.cancel()


def _answer(connection: "DuckDBPyConnection", statement: str, most_rows: int) -> Answer:
    statements = connection.extract_statements(statement)
    if len(statements) != 1:
        raise UsageError(
            f"the query is {len(statements)} statements, and one is run"
            if statements
            else "the query is empty",
            fix='bench history query "select * from runs"',
        )
    kind = statements[0].type.name
    if kind != READS:
        raise UsageError(
            f"the query is {kind.replace('_', ' ')}, and only SELECT is run: a history is asked,"
            " never changed",
            fix="bench history add, or export --parquet for a copy that is yours",
        )
    connection.execute(statements[0])
    names = [column[0] for column in connection.description or ()]
    rows = connection.fetchmany(most_rows + 1) if most_rows else connection.fetchall()
    is_cut = bool(most_rows) and len(rows) > most_rows
    return Answer(_each_once(names), tuple(rows[:most_rows] if is_cut else rows), is_cut)


def _each_once(names: Iterable[str]) -> tuple[str, ...]:
    """Names of columns; one that is there already gets a number, as DuckDB's own tables do it."""
    found: list[str] = []
    for name in names:
        again = [name, *(f"{name}_{number}" for number in range(1, len(found) + 2))]
        found.append(next(one for one in again if one not in found))
    return tuple(found)


def _told(said: str) -> str:
    """The first line of an error, without the word that says which part of DuckDB has it."""
    return first_line(said).partition("Error: ")[2] or first_line(said)


def _way(error: Exception) -> str:
    """What DuckDB proposes, else where the tables stand."""
    lines = [line.strip() for line in str(error).splitlines()]
    named = [line for line in lines if line.startswith(CANDIDATES)]
    return named[0] if named else TABLES


def described() -> tuple[tuple[str, str, str], ...]:
    """Every documented table and column with its meaning: (table, column, meaning)."""
    rows: list[tuple[str, str, str]] = []
    for view in VIEWS:
        rows.append((view.name, "", view.meaning))
        rows += [(view.name, column, meaning) for column, meaning in view.columns.items()]
    return tuple(rows)
