"""The plan of a site: which pages there are, what stands on each, and what was refused. Pure.

Everything follows from the files and the policy: neither the time nor the place of building, nor
the order in which files were found, changes a page.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.report.site.policy import (
    READABLE,
    FileSubject,
    Policy,
    Refusal,
    judge_file,
    judge_rows,
)
from harness.report.site.slugs import slugs
from harness.report.site.sources import SiteRow, Source, cell_words, rows_of, source_of
from harness.results.schema import METHOD_VERSION, Document
from harness.results.signature import Signature

MACHINES, MODELS, LEVELS, CELLS, DOCUMENTS = (
    *("machines", "models", "levels"),
    *("cells", "documents"),
)
PAGE = ".html"
# What may differ although two cells read alike: told apart, and by number.
IDENTITY = (
    *("model", "parameters", "level", "kv_cache", "device", "provider", "runtime", "prepack"),
    *("threads", "batch", "capacity", "chunk", "depth", "prompt", "gen", "workload", "sequences"),
    "weights",
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A results file that was read, and judged as a whole.

    Attributes:
        source: what is kept of it.
        rows: that are shown; empty where the file is refused.
        refused: why it, or some of its rows, are not.
    """

    source: Source
    rows: tuple[SiteRow, ...] = ()
    refused: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class CellPlan:
    """One cell on one machine: a page with its history.

    Attributes:
        path: of its page, from the folder of the site.
        title: model, level, test and what is unusual, in words; unlike that of any other page.
        points: its rows by time; the last one is the newest.
    """

    path: str
    title: str
    points: tuple[SiteRow, ...]

    @property
    def newest(self) -> SiteRow:
        """The row that stands for the cell."""
        return self.points[-1]


@dataclass(frozen=True, slots=True)
class Group:
    """A machine, a model or a level: a page with its cells.

    Attributes:
        path: of its page.
        name: of it, as documents have it.
        cells: in the order of the index.
    """

    path: str
    name: str
    cells: tuple[CellPlan, ...]

    @property
    def runs(self) -> int:
        """How many files are behind it."""
        return len({point.source.file for cell in self.cells for point in cell.points})


@dataclass(frozen=True, slots=True)
class SitePlan:
    """All of a site.

    Attributes:
        policy: that was applied.
        cells: in the order of the index.
        machines: in the order of their names; likewise the others.
        models: that were measured.
        levels: of quantization.
        documents: files with a row that is shown, the newest first.
        copies: file -> where its copy lies in the site.
        refused: files and rows that are not shown, in the order of the files.
    """

    policy: Policy
    cells: tuple[CellPlan, ...]
    machines: tuple[Group, ...]
    models: tuple[Group, ...]
    levels: tuple[Group, ...]
    documents: tuple[Source, ...]
    copies: dict[str, str]
    refused: tuple[Refusal, ...]


def load(
    document: Document,
    file: str,
    policy: Policy,
    *,
    checksum: str = "",
    signature: Signature | None = None,
    twin: str = "",
) -> Loaded:
    """Judge a document, and keep of it what the site shows.

    Args:
        document: as it was read; its samples are let go.
        file: see Source.
        policy: to judge it by.
        checksum: of what it says.
        signature: beside it; None: nobody looked.
        twin: another file with the same run; empty: none.
    """
    source = source_of(document, file, checksum, signature)
    refusal = judge_file(FileSubject(document, source, twin), policy)
    if refusal is not None:
        return Loaded(source, refused=(refusal,))
    shown, refused = judge_rows(rows_of(document, source), policy)
    return Loaded(source, shown, refused)


def unreadable(file: str, problem: str) -> Refusal:
    """The refusal of a file that could not be read."""
    return Refusal(file, READABLE, " ".join(problem.split()))


def make_plan(
    loaded: Iterable[Loaded], unread: Iterable[Refusal], policy: Policy, copies: bool = True
) -> SitePlan:
    """Plan a site.

    Args:
        loaded: files that were read, in any order.
        unread: refusals of those that were not.
        policy: that judged them.
        copies: documents are copied into the site.
    """
    files = sorted(loaded, key=lambda one: one.source.file)
    refused = [*unread, *(refusal for one in files for refusal in one.refused)]
    cells = _cells([row for one in files for row in one.rows])
    documents = [one.source for one in files if one.rows]
    stems = dict.fromkeys(source.file.removesuffix(".json") for source in documents)
    named = slugs(stems) if copies else {}
    return SitePlan(
        policy=policy,
        cells=cells,
        machines=_groups(MACHINES, cells, lambda row: row.source.machine),
        models=_groups(MODELS, cells, lambda row: row.cell.model),
        levels=_groups(LEVELS, cells, lambda row: row.cell.level),
        documents=tuple(sorted(documents, key=_when, reverse=True)),
        copies={
            source.file: f"{DOCUMENTS}/{named[source.file.removesuffix('.json')]}.json"
            for source in documents
            if copies
        },
        refused=tuple(sorted(refused, key=lambda one: (one.file, one.rule, one.reason))),
    )


def _cells(rows: Sequence[SiteRow]) -> tuple[CellPlan, ...]:
    """Rows of the same cell on the same machine together, in the order of the index."""
    known: dict[tuple[object, ...], list[SiteRow]] = {}
    for row in rows:
        known.setdefault(_identity(row), []).append(row)
    groups = [
        sorted(group, key=lambda row: _when(row.source))
        for _, group in sorted(known.items(), key=lambda pair: _order(pair[1][-1], pair[0]))
    ]
    titles = _distinct([_title(group[-1]) for group in groups])
    named = slugs(titles)
    return tuple(
        CellPlan(f"{CELLS}/{named[title]}{PAGE}", title, tuple(group))
        for title, group in zip(titles, groups, strict=True)
    )


def _groups(
    folder: str, cells: Sequence[CellPlan], name: Callable[[SiteRow], str]
) -> tuple[Group, ...]:
    """Cells by a name that their rows have."""
    known: dict[str, list[CellPlan]] = {}
    for cell in cells:
        known.setdefault(name(cell.newest), []).append(cell)
    named = slugs(known)
    return tuple(
        Group(f"{folder}/{named[text]}{PAGE}", text, tuple(known[text])) for text in sorted(known)
    )


def _identity(row: SiteRow) -> tuple[object, ...]:
    """What rows of one history agree in."""
    fields = tuple(getattr(row.cell, name) for name in IDENTITY)
    return (row.source.machine, row.hardware, row.source.method, *fields)


def _order(row: SiteRow, identity: tuple[object, ...]) -> tuple[object, ...]:
    """Models by name, in each the most bits first, then tests and machines."""
    bits = row.record.metrics.get("bits_per_weight")
    cell = row.cell
    return (
        cell.model,
        -(bits.value or 0.0) if bits else 0.0,
        cell.level,
        cell.depth,
        cell.prompt,
        cell.gen,
        cell.workload,
        tuple(map(str, identity)),
    )


def _title(row: SiteRow) -> str:
    """What a page of a cell is called; of an older method with its number."""
    method = row.source.method
    older = "" if method == METHOD_VERSION else f", method {method}"
    return f"{cell_words(row.cell, row.hardware)}{older} on {row.source.machine}"


def _distinct(titles: Sequence[str]) -> list[str]:
    """The titles; one that stood there before gets a number."""
    seen: set[str] = set()
    found = []
    for title in titles:
        number, free = 1, title
        while free in seen:
            number += 1
            free = f"{title} ({number})"
        seen.add(free)
        found.append(free)
    return found


def _when(source: Source) -> tuple[str, str, str]:
    """What files are in order by."""
    return (source.created_utc, source.run_id, source.file)
