"""The runs of a folder, as a table. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.core.errors import ResultFormatError
from harness.report.ab import pairs_of
from harness.report.grid import PEOPLE, VARIES, Column, draw_columns, draw_records, prose
from harness.report.numbers import counted
from harness.results.entries import AbEntry, Entry, TuneEntry
from harness.results.enums import Ending, Status
from harness.results.progress import ending_of
from harness.results.schema import Document, Record
from harness.runner.tuning.standings import read_tuned

RUN, FIT, PAIRS, SEARCH = "run", "fit", "A/B", "tune"
MOST_NAMED = 3  # in a cell; more are counted


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One results file.

    Attributes:
        file: its name.
        kind: `run`, `fit`, `A/B` or `tune`.
        created_utc: when it began, ISO 8601.
        models: names.
        levels: of them.
        rows: records, pairs of an A/B test, or heats of a search.
        tests: their names, depth 0 unsaid.
        failed: how many of them are no results.
        ended: how it ended, in one word.
    """

    file: str
    kind: str
    created_utc: str
    models: tuple[str, ...]
    levels: tuple[str, ...]
    tests: tuple[str, ...]
    rows: int
    failed: int
    ended: str


def stored_run(file: str, document: Document) -> StoredRun:
    """What a document says of itself."""
    records = document.records
    return StoredRun(
        file=file,
        kind=FIT if document.plan.fit else RUN,
        created_utc=document.created_utc,
        models=_each(record.cell.model for record in records),
        levels=_each(record.cell.level for record in records),
        tests=_each(record.cell.workload.removesuffix(" @ d0") for record in records),
        rows=len(records),
        failed=sum(_is_lost(record) for record in records),
        ended=ending_of(document),
    )


def stored_pairs(file: str, entries: Sequence[Entry]) -> StoredRun:
    """What a file of an A/B test says of itself: its rows are pairs.

    Raises:
        ResultFormatError: it does not say what was tested.
    """
    header = next((one for one in entries if isinstance(one, AbEntry)), None)
    if header is None:
        raise ResultFormatError(
            "it does not say which sides were tested", fix="test again: bench ab"
        )
    sides = (header.a, header.b)
    return StoredRun(
        file=file,
        kind=PAIRS,
        created_utc=header.created_utc,
        models=_each(side.model for side in sides),
        levels=_each(side.level for side in sides),
        tests=_each(test.removesuffix(" @ d0") for test in header.a.tests),
        rows=len(pairs_of(entries)),
        failed=0,
        ended="pairs",
    )


def stored_search(file: str, entries: Sequence[Entry]) -> StoredRun:
    """What a file of `bench tune` says of itself: its rows are heats.

    Raises:
        ResultFormatError: it does not say what was tuned.
    """
    if not any(isinstance(one, TuneEntry) for one in entries):
        raise ResultFormatError("it does not say what was tuned", fix="tune again: bench tune")
    tuned = read_tuned(entries)
    header = tuned.header
    return StoredRun(
        file=file,
        kind=SEARCH,
        created_utc=header.created_utc,
        models=(header.cell.model,),
        levels=_each((header.default.level, *header.levels)),
        tests=(header.cell.workload.removesuffix(" @ d0"),),
        rows=len(tuned.heats),
        failed=0,
        ended="search" if tuned.end is not None else Ending.INTERRUPTED,
    )


def _is_lost(record: Record) -> bool:
    return record.status != Status.OK


def _each(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _few(words: Sequence[str]) -> str | None:
    """The first names, and how many more there are."""
    more = len(words) - MOST_NAMED
    told = ", ".join(words[:MOST_NAMED])
    return (f"{told} and {more} more" if more > 0 else told) or None


COLUMNS: tuple[Column[StoredRun], ...] = (
    Column("began UTC", lambda run: run.created_utc[:16].replace("T", " ")),
    Column("file", lambda run: run.file),
    Column("kind", lambda run: run.kind, shown=VARIES),
    Column("models", lambda run: _few(run.models), leaves=1),
    Column("levels", lambda run: _few(run.levels)),
    Column("tests", lambda run: _few(run.tests), leaves=2),
    Column("rows", lambda run: run.rows),
    Column("failed", lambda run: run.failed),
    Column("ended", lambda run: run.ended),
)


def draw_results(
    runs: Sequence[StoredRun], damaged: Sequence[tuple[str, str]], place: str, style: str
) -> str:
    """Draw the runs of a folder, in the order given; no line feed at the end.

    Args:
        runs: one a row.
        damaged: files that cannot be read, with what is wrong.
        place: the folder.
        style: of `options.FORMATS`.
    """
    if style not in PEOPLE:
        table = [_values(run) for run in runs]
        table += [
            _values(StoredRun(file, RUN, "", (), (), (), 0, 0, "damaged"), problem)
            for file, problem in damaged
        ]
        return draw_records(table, style) if table or style != "csv" else ""
    mark = "- " if style == "md" else ""
    notes = [f"{counted(len(runs), 'runs')} in {place}"]
    notes += [f"{file}: {problem}" for file, problem in damaged]
    if any(run.ended == Ending.INTERRUPTED for run in runs):
        notes.append("interrupted: bench report FILE draws what there is and says how it goes on")
    lines = [f"{prose(note, style, mark)}" for note in notes]
    return "\n".join(([draw_columns(COLUMNS, runs, style), ""] if runs else []) + lines)


def _values(run: StoredRun, problem: str | None = None) -> dict[str, object]:
    """One run for programs; lists as text with commas, as no field of a table is a list."""
    return {
        "file": run.file,
        "kind": run.kind,
        "created_utc": run.created_utc or None,
        "models": ",".join(run.models),
        "levels": ",".join(run.levels),
        "tests": ",".join(run.tests),
        "rows": run.rows,
        "failed": run.failed,
        "ended": run.ended,
        "problem": problem,
    }
