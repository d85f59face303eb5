"""Results files put into the index: each once, by its content, thousands in a minute.

Rows wait until they are some thousand records. They are then written as lines of JSON, which DuckDB
loads itself, in one transaction: what is killed leaves whole runs.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from harness.core.errors import HarnessError, ResultFormatError, StorageError
from harness.history.database import Commit, writing
from harness.history.reading import (
    decode_outline,
    digest_of,
    is_results,
    read_content,
    whole_records,
)
from harness.history.rows import (
    DOCUMENT,
    IDENTITY,
    JOURNAL,
    KINDS,
    CellKey,
    cell_key,
    cell_row,
    document_row,
    machine_row,
    record_row,
    value_rows,
)
from harness.history.sources import Source
from harness.history.tables import STORED, TABLES, columns_of
from harness.history.votes import keep_steps
from harness.results.merged import is_measured, runs_of
from harness.results.schema import Document, Record
from harness.results.validity import why_left_out

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

BATCH_RECORDS = 10_000  # that wait at once, about 100 MB
ReadJournal = Callable[[Path], Document]
Tell = Callable[[int, int], None]
_Rank = tuple[bool, int, str]


@dataclass(frozen=True, slots=True)
class Added:
    """What became of files.

    Attributes:
        runs: that were added.
        records: of these.
        known: files that the index had.
        superseded: files of runs of which another file says more.
        others: files that are no runs, each with what it is.
        damaged: files that cannot be read, each with what is wrong.
        cut: files that end too early, whose whole records were taken; each with what is missing.
    """

    runs: int
    records: int
    known: int
    superseded: int
    others: tuple[tuple[str, str], ...]
    damaged: tuple[tuple[str, str], ...]
    cut: tuple[tuple[str, str], ...] = ()


def add_files(
    index: Path,
    sources: Iterable[Source],
    read_journal: ReadJournal,
    commit: Commit | None = None,
    kept: Mapping[str, Commit] = MappingProxyType({}),
    tell: Tell | None = None,
) -> Added:
    """Put files into an index; one that is there already, or cannot be read, changes nothing.

    Of two files of one run the one that says more stays: a document before a journal, then the one
    with more records that count.

    Args:
        index: its file; made where there is none.
        sources: files.
        read_journal: draws up the document of a run that was killed.
        commit: of every run that is new.
        kept: commits of runs that an older index had, by the digest of their files.
        tell: is called with how many files and records have been read, after each load.

    Raises:
        HarnessError: as harness.history.database.writing.
    """
    with writing(index) as connection:
        adding = _Adding(connection, index.parent, read_journal, (commit or Commit(), kept))
        for count, source in enumerate(sources, start=1):
            adding.add(source)
            if adding.waiting_records >= BATCH_RECORDS:
                adding.load()
                if tell is not None:
                    tell(count, adding.records)
        adding.load()
        if adding.records:
            keep_steps(connection)
        return adding.result()


class _Adding:
    """Rows that wait to be loaded, and what is in the index already."""

    def __init__(
        self,
        connection: "DuckDBPyConnection",
        folder: Path,
        read_journal: ReadJournal,
        commits: tuple[Commit, Mapping[str, Commit]],
    ) -> None:
        self._connection, self._folder = connection, folder
        self._read_journal = read_journal
        self._commit, self._kept = commits
        self._rows: dict[str, list[msgspec.Struct]] = {name: [] for name in TABLES}
        self._others: list[tuple[str, str]] = []
        self._damaged: list[tuple[str, str]] = []
        self._cut: list[tuple[str, str]] = []
        self.runs = self.records = self.known = self.superseded = 0
        self._read_index()

    @property
    def waiting_records(self) -> int:
        """How many records are not loaded yet."""
        return len(self._rows["records"])

    def result(self) -> Added:
        """What became of all files."""
        return Added(
            self.runs,
            self.records,
            self.known,
            self.superseded,
            tuple(self._others),
            tuple(self._damaged),
            tuple(self._cut),
        )

    def add(self, source: Source) -> None:
        """Read one file and let its rows wait; say what is wrong with one that cannot be read."""
        try:
            self._add(source)
        except HarnessError as error:
            said = error.problem.removeprefix(f"results file {source.path}: ")
            self._damaged.append((str(source.path), " ".join(said.split())))

    def load(self) -> None:
        """Put what waits into the index, all of it or nothing."""
        waiting = {name: rows for name, rows in self._rows.items() if rows}
        if not waiting:
            return
        self._connection.execute("BEGIN")
        with TemporaryDirectory(prefix="bench-history-") as folder:
            for name, rows in waiting.items():
                self._load_table(name, rows, Path(folder) / f"{name}.jsonl")
        self._connection.execute("COMMIT")
        for rows in waiting.values():
            rows.clear()
        self._loaded_below = self._next_document

    def _load_table(self, name: str, rows: list[msgspec.Struct], file: Path) -> None:
        try:
            file.write_bytes(msgspec.json.Encoder().encode_lines(rows))
        except OSError as error:
            raise StorageError(
                f"{file.parent} cannot be written: {error.strerror}",
                fix="free the disk of temporary files, or set TMPDIR",
            ) from error
        columns = columns_of(TABLES[name])
        types = ", ".join(f"'{column}': '{kind}'" for column, kind in columns.items())
        self._connection.execute(
            f"INSERT INTO {STORED}.{name} SELECT {', '.join(columns)} FROM read_json(?,"
            f" format='newline_delimited', columns={{{types}}})",
            [str(file)],
        )

    def _read_index(self) -> None:
        """Take in what the index has, so that a row is put there once."""
        ask = self._connection.execute
        found = ask(
            f"SELECT path, size_bytes, modified_ns, content, run_id, document_id, kind, whole"
            f" FROM {STORED}.documents"
        ).fetchall()
        self._seen = {path: (size, modified) for path, size, modified, *_ in found}
        self._contents = {content for _, _, _, content, *_ in found}
        self._runs: dict[str, tuple[int, _Rank]] = {
            run: (document, _rank(kind, whole, content))
            for _, _, _, content, run, document, kind, whole in found
        }
        self._next_document = 1 + max((one[5] for one in found), default=0)
        cells = ask(f"SELECT cell_id, cell, {', '.join(IDENTITY)} FROM {STORED}.cells").fetchall()
        self._cells: dict[CellKey, int] = {tuple(row[2:]): row[0] for row in cells}
        self._names = {name for _, name, *_ in cells}
        machines = ask(f"SELECT machine FROM {STORED}.machines").fetchall()
        self._machines = {machine for (machine,) in machines}
        latest = ask(f"SELECT coalesce(max(record_id), 0) FROM {STORED}.records").fetchone()
        self._next_record = 1 + (latest[0] if latest else 0)
        self._loaded_below = self._next_document

    def _add(self, source: Source) -> None:
        path = _relative(source.path, self._folder)
        state = _state(source.path)
        if self._seen.get(path) == state:
            self.known += 1
            return
        if source.kind not in KINDS:
            self._others.append((str(source.path), "pairs or a search, no run"))
            return
        content = read_content(source.path)
        digest = digest_of(content)
        if digest in self._contents:
            self.known += 1
            return
        if source.kind == DOCUMENT and not is_results(content):
            if source.is_named:
                decode_outline(content)  # says what it is instead
            self._others.append((str(source.path), "no results file"))
            return
        self._put_runs(*self._read(source, content), (path, *state, digest))

    def _put_runs(self, document: Document, kind: str, file: tuple[str, int, int, str]) -> None:
        """Let the rows of a document wait; of a merged one those of each run that is not here."""
        if not document.sources:
            self._put(document, kind, file)
            return
        for run in filter(is_measured, runs_of(document)):
            if not self._says_as_much(run.run_id, kind, run):
                self._put(run, kind, file)

    def _says_as_much(self, run_id: str, kind: str, run: Document) -> bool:
        """Whether the index has a run already, of whose file a merged document is a copy."""
        before = self._runs.get(run_id)
        whole = sum(why_left_out(record) is None for record in run.records)
        return before is not None and before[1][:2] >= _rank(kind, whole, "")[:2]

    def _read(self, source: Source, content: bytes) -> tuple[Document, str]:
        """The run of a file, and its kind: what was cut is a part of a run, as a journal is."""
        if source.kind == JOURNAL:
            return self._read_journal(source.path), JOURNAL
        try:
            return decode_outline(content), DOCUMENT
        except ResultFormatError:
            cut = whole_records(content)
            if cut is None:
                raise
            self._cut.append((str(source.path), cut.told))
            return cut.document, JOURNAL

    def _put(self, document: Document, kind: str, file: tuple[str, int, int, str]) -> None:
        """Let the rows of a document wait, in the place of one that says less."""
        number = self._next_document
        commit = self._kept.get(file[3], self._commit)
        row = document_row(document, number, file, kind, (commit.name, commit.made_utc))
        rank = _rank(kind, row.whole, row.content)
        before = self._runs.get(row.run_id)
        if before is not None:
            self.superseded += 1
            if before[1] >= rank:
                return
            self._remove(before[0])
        self._next_document += 1
        self._runs[row.run_id] = (number, rank)
        self._seen[row.path] = file[1:3]
        self._contents.add(row.content)
        self._rows["documents"].append(row)
        machine = machine_row(document)
        if machine.machine not in self._machines:
            self._machines.add(machine.machine)
            self._rows["machines"].append(machine)
        for record in document.records:
            self._put_record(record, number)
        self.runs += before is None
        self.records += len(document.records)

    def _put_record(self, record: Record, document_id: int) -> None:
        key = cell_key(record)
        cell_id = self._cells.get(key)
        if cell_id is None:
            cell_id = self._cells[key] = len(self._cells) + 1
            row = cell_row(record.cell, key, cell_id, self._names)
            self._names.add(row.cell)
            self._rows["cells"].append(row)
        kept = record_row(record, self._next_record, document_id, cell_id)
        self._rows["records"].append(kept)
        if kept.left_out is None:
            self._rows["metric_values"] += value_rows(record, kept.record_id)
        self._next_record += 1

    def _remove(self, document_id: int) -> None:
        """Take a document of which another file says more out of the index."""
        if document_id >= self._loaded_below:
            self.load()
        ask = self._connection.execute
        ask("BEGIN")
        ask(
            f"DELETE FROM {STORED}.metric_values WHERE record_id IN"
            f" (SELECT record_id FROM {STORED}.records WHERE document_id = ?)",
            [document_id],
        )
        ask(f"DELETE FROM {STORED}.records WHERE document_id = ?", [document_id])
        ask(f"DELETE FROM {STORED}.documents WHERE document_id = ?", [document_id])
        ask("COMMIT")


def _rank(kind: str, whole: int, content: str) -> _Rank:
    """How much a file says of its run; the last part only tells two of them apart for good."""
    return kind == DOCUMENT, whole, content


def _relative(path: Path, folder: Path) -> str:
    """A file from the folder of the index, with which both move."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on another drive
        return path.resolve().as_posix()


def _state(path: Path) -> tuple[int, int]:
    """Size and time of a file, by which it is known without being read."""
    try:
        found = path.stat()
    except OSError as error:
        raise StorageError(f"it cannot be read: {error.strerror}", fix="check the path") from error
    return found.st_size, found.st_mtime_ns
