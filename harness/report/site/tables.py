"""The tables of a site: columns over cells, runs, groups, documents and refusals. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from harness.core.units import MIB
from harness.report.columns import (
    best_estimator,
    estimated,
    estimated_rate,
    in_mib,
    time_over_estimate,
)
from harness.report.grid import ALWAYS, KNOWN, VARIES, Column
from harness.report.numbers import (
    four_decimals,
    half_width,
    three_digits,
    two_decimals,
)
from harness.report.page.table import Cell, Table, page_table
from harness.report.rows import half_width_of, rate_of, shown, shown_metric
from harness.report.site.plan import CellPlan, Group, SitePlan
from harness.report.site.policy import Refusal
from harness.report.site.sources import USUAL, SiteRow, Source
from harness.results.enums import Grade
from harness.results.metrics import METRICS, find_metric, rate_of_kind
from harness.results.schema import Metric, Record, kind_of

MARKS = {
    Grade.A: "mark mark-good",
    Grade.B: "mark mark-fair",
    Grade.C: "mark mark-poor",
    Grade.INVALID: "mark mark-bad",
}
LONGEST_CHECKSUM = len("sha256:") + 12
DEFINITIONS = {
    "test": "pp: reading a prompt; tg: decoding; pg: a whole request; enc: an encoder's pass. The"
    " numbers are tokens. A click leads to the history of the cell.",
    "settings": "What differs from the usual: device, runtime, threads, batch, cache.",
    "speed": "The rate that the kind of test is judged by, of the newest run; more is faster.",
    "unit": "Of the speed and of its estimate.",
    "est.": "The best estimate of the speed, made without timing a model.",
    "runs": "Files behind the row; a click leads to their history.",
    "newest": "When the newest run began, UTC.",
    "signer": "Allowed signer of the newest document.",
    "began UTC": "When the run began.",
    "low": "Lower end of the 95 % interval over processes.",
    "high": "Upper end of the 95 % interval over processes.",
    "onnxruntime": "Version of the package that ran the model.",
    "document": "The results file, as it lies in this site.",
    "file": "The results file, in the folder that the site was built from.",
    "rule": "The rule of the policy that it breaks.",
    "rows": "How many of its rows are left out.",
}


@dataclass(frozen=True, slots=True)
class Links:
    """Where things of a site lie.

    Attributes:
        root: leads from the page to the folder of the site.
        pages: (kind, name) -> path of the page of a machine, a model or a level.
        copies: file -> path of its copy.
    """

    root: str
    pages: dict[tuple[str, str], str]
    copies: dict[str, str]

    def to(self, kind: str, name: str) -> str:
        """The link to the page of a machine, a model or a level."""
        path = self.pages.get((kind, name))
        return "" if path is None else self.root + path


def links_of(plan: SitePlan, root: str) -> Links:
    """Links of a page of the site."""
    kinds = {"machine": plan.machines, "model": plan.models, "level": plan.levels}
    pages = {(kind, one.name): one.path for kind, groups in kinds.items() for one in groups}
    return Links(root, pages, plan.copies)


def cells_table(cells: Sequence[CellPlan], links: Links, hidden: Sequence[str] = ()) -> Table:
    """A row per cell, by its newest run.

    Args:
        cells: in the order of the table.
        links: of the page.
        hidden: columns that the page itself says.
    """
    columns = [column for column in CELL_COLUMNS if column.header not in hidden]
    return page_table(
        "cells",
        "Cells, by their newest run",
        columns,
        cells,
        choices=("model", "level", "machine", "test", "settings", "trust", "onnxruntime"),
        row_head="test" if "model" in hidden else "model",
        cells=_cell_links(links),
        definitions=DEFINITIONS,
    )


def groups_table(name: str, caption: str, head: str, groups: Sequence[Group], root: str) -> Table:
    """A row per machine, model or level."""
    columns: tuple[Column[Group], ...] = (
        Column(head, lambda one: one.name),
        Column("cells", lambda one: len(one.cells)),
        Column("runs", lambda one: one.runs),
        Column("newest", lambda one: max(_day(cell.newest) for cell in one.cells)),
    )
    return page_table(
        name,
        caption,
        columns,
        groups,
        cells={head: lambda one, cell: replace(cell, link=root + one.path)},
        definitions={head: "", "cells": "How many cells it has.", **DEFINITIONS},
    )


def runs_table(cell: CellPlan, links: Links) -> Table:
    """A row per run of a cell, the newest first."""
    return page_table(
        "runs",
        "Every run, the newest first",
        RUN_COLUMNS,
        cell.points[::-1],
        row_head="began UTC",
        cells={
            "trust": _with_grade,
            "document": lambda row, shown: _link(shown, _copy(row.source, links)),
        },
        definitions=DEFINITIONS,
    )


def estimates_table(row: SiteRow) -> Table | None:
    """What each estimator said of each metric, beside what was measured; None: nothing was."""
    record = row.record
    names = [one.name for one in METRICS if record.estimates.get(one.name)]
    estimators = list(dict.fromkeys(key for name in names for key in record.estimates[name]))
    if not names:
        return None
    columns: list[Column[str]] = [
        Column("metric", str),
        Column("unit", _unit),
        Column("measured", lambda name: _scaled(name, shown(record, name)), _draw),
        *(Column(key, partial(_estimate, record, key), _draw, KNOWN) for key in estimators),
        Column("best estimate / measured", partial(_quotient, record), two_decimals, KNOWN),
    ]
    return page_table(
        "estimates-table",
        f"Estimates beside what was measured; the best one here: {best_estimator(record)}",
        columns,
        names,
        cells={"metric": lambda name, cell: replace(cell, note=_definition(name))},
        definitions=dict.fromkeys([one.header for one in columns], ""),
    )


def metrics_table(row: SiteRow) -> Table:
    """Every metric of a run, with its interval."""
    names = [one.name for one in METRICS if shown_metric(row.record, one.name)]

    def of(name: str, end: Callable[[Metric], float | None]) -> float | None:
        metric = shown_metric(row.record, name)
        return None if metric is None else _scaled(name, end(metric))

    columns: tuple[Column[str], ...] = (
        Column("metric", str),
        Column("value", lambda name: of(name, lambda one: one.value), _draw),
        Column("low", lambda name: of(name, lambda one: one.low), _draw, KNOWN),
        Column("high", lambda name: of(name, lambda one: one.high), _draw, KNOWN),
        Column("unit", _unit),
        Column("processes", partial(_processes, row)),
    )
    return page_table(
        "metrics-table",
        "Every metric of the newest run",
        columns,
        names,
        cells={"metric": lambda name, cell: replace(cell, note=_definition(name))},
        definitions={"metric": "", "value": "", "unit": "", "processes": "", **DEFINITIONS},
    )


def documents_table(plan: SitePlan, links: Links) -> Table:
    """A row per file that stands behind a row of the site, the newest first."""
    counts: dict[str, int] = {}
    for cell in plan.cells:
        for point in cell.points:
            counts[point.source.file] = counts.get(point.source.file, 0) + 1
    columns: tuple[Column[Source], ...] = (
        Column("began UTC", lambda one: _minute(one.created_utc)),
        Column("document", lambda one: one.file),
        Column("run", lambda one: None if one.run_id in one.file else one.run_id, shown=KNOWN),
        Column("machine", lambda one: one.machine),
        Column("rows shown", lambda one: counts[one.file]),
        Column("onnxruntime", lambda one: one.onnxruntime),
        Column("bench", lambda one: one.bench, shown=VARIES),
        Column("rounds", lambda one: one.rounds),
        Column("signer", lambda one: one.signer, shown=KNOWN),
        Column("checksum", lambda one: one.checksum[:LONGEST_CHECKSUM]),
    )
    return page_table(
        "documents",
        "Documents, the newest first",
        columns,
        plan.documents,
        choices=("machine", "onnxruntime", "signer"),
        row_head="began UTC",
        cells={
            "document": lambda one, cell: _link(cell, _copy(one, links)),
            "machine": lambda one, cell: _link(cell, links.to("machine", one.machine)),
            "checksum": lambda one, cell: replace(cell, note=one.checksum),
        },
        definitions={
            "run": "",
            "machine": "",
            "rows shown": "Rows of it that meet the policy.",
            "bench": "Version of the package that measured.",
            "rounds": "Fresh processes per row that were asked for.",
            "checksum": "Digest of what the document says; bench verify holds a file against it.",
            **DEFINITIONS,
        },
    )


def refused_table(refused: Sequence[Refusal]) -> Table:
    """A row per file, or rule that rows of a file break."""
    columns: tuple[Column[Refusal], ...] = (
        Column("file", lambda one: one.file),
        Column("rows", lambda one: "all" if one.rows is None else one.rows),
        Column("rule", lambda one: one.rule),
        Column("reason", lambda one: one.reason),
        Column("which", _which, shown=KNOWN),
    )
    return page_table(
        "refused",
        "Files and rows that are not shown",
        columns,
        refused,
        choices=("rule",),
        cells={
            "reason": lambda _, cell: replace(cell, mark="words"),
            "which": lambda _, cell: replace(cell, mark="words"),
        },
        definitions={"reason": "", "which": "The first of these rows.", **DEFINITIONS},
    )


def policy_table(rules: Sequence[tuple[str, str, str]]) -> Table:
    """The rules as they were applied."""
    columns: tuple[Column[tuple[str, str, str]], ...] = (
        Column("rule", lambda one: one[0]),
        Column("what has to hold", lambda one: one[1]),
        Column("state", lambda one: one[2]),
    )
    return page_table(
        "policy",
        "The policy of this site",
        columns,
        rules,
        cells={
            "what has to hold": lambda _, cell: replace(cell, mark="words"),
            "state": lambda one, cell: replace(
                cell, mark="mark mark-good" if one[2] == "applied" else "mark mark-poor"
            ),
        },
        definitions=dict.fromkeys(("rule", "what has to hold", "state"), ""),
    )


def settings_of(row: SiteRow) -> str:
    """What of a cell is unusual, in words; empty: nothing."""
    words = [word for _, say in USUAL if (word := say(row.cell))]
    return ", ".join(filter(None, (*words, row.hardware)))


def _which(refusal: Refusal) -> str | None:
    """The first rows that are left out, and how many more there are."""
    more = (refusal.rows or 0) - len(refusal.names)
    told = "; ".join(refusal.names)
    return (f"{told} and {more} more" if more > 0 else told) or None


def _day(row: SiteRow) -> str:
    return row.source.created_utc[:10]


def _minute(created_utc: str) -> str:
    return created_utc[:16].replace("T", " ")


def _unit_of_rate(record: Record) -> str:
    return rate_of_kind(kind_of(record.cell)).unit


def _mib(row: SiteRow) -> float | None:
    return in_mib(shown(row.record, "peak_rss_bytes"))


def _grade(row: SiteRow) -> str | None:
    return str(row.record.trust.grade) if row.record.trust else None


CELL_COLUMNS: tuple[Column[CellPlan], ...] = (
    Column("model", lambda one: one.newest.cell.model),
    Column("level", lambda one: one.newest.cell.level),
    Column("test", lambda one: one.newest.cell.workload.removesuffix(" @ d0")),
    Column("settings", lambda one: settings_of(one.newest) or None, shown=VARIES),
    Column("speed", lambda one: rate_of(one.newest.record), three_digits),
    Column("unit", lambda one: _unit_of_rate(one.newest.record)),
    Column("±", lambda one: half_width_of(one.newest.record), half_width, KNOWN),
    Column("meas/est", lambda one: time_over_estimate(one.newest.record), two_decimals, KNOWN),
    Column("TTFT ms", lambda one: shown(one.newest.record, "ttft_ms"), three_digits, KNOWN),
    Column("peak MiB", lambda one: _mib(one.newest), three_digits, KNOWN),
    Column("KLD nats", lambda one: shown(one.newest.record, "kld_nats"), four_decimals, KNOWN),
    Column("trust", lambda one: _grade(one.newest)),
    Column("machine", lambda one: one.newest.source.machine),
    Column("runs", lambda one: len(one.points)),
    Column("newest", lambda one: _day(one.newest)),
    Column("onnxruntime", lambda one: one.newest.source.onnxruntime, shown=VARIES),
    Column("signer", lambda one: one.newest.source.signer, shown=KNOWN),
)
RUN_COLUMNS: tuple[Column[SiteRow], ...] = (
    Column("began UTC", lambda row: _minute(row.source.created_utc)),
    Column("speed", lambda row: rate_of(row.record), three_digits),
    Column("unit", lambda row: _unit_of_rate(row.record)),
    Column("low", lambda row: _end(row, lambda one: one.low), three_digits, KNOWN),
    Column("high", lambda row: _end(row, lambda one: one.high), three_digits, KNOWN),
    Column("est.", lambda row: estimated_rate(row.record), three_digits, KNOWN),
    Column("meas/est", lambda row: time_over_estimate(row.record), two_decimals, KNOWN),
    Column("TTFT ms", lambda row: shown(row.record, "ttft_ms"), three_digits, KNOWN),
    Column("peak MiB", _mib, three_digits, KNOWN),
    Column("KLD nats", lambda row: shown(row.record, "kld_nats"), four_decimals, KNOWN),
    Column("trust", _grade),
    Column("onnxruntime", lambda row: row.source.onnxruntime),
    Column("bench", lambda row: row.source.bench, shown=VARIES),
    Column("document", lambda row: row.source.file, shown=ALWAYS),
    Column("signer", lambda row: row.source.signer, shown=KNOWN),
)


def _end(row: SiteRow, end: Callable[[Metric], float | None]) -> float | None:
    """An end of the interval of a row's rate."""
    metric = shown_metric(row.record, rate_of_kind(kind_of(row.cell)).name)
    return None if metric is None else end(metric)


def _cell_links(links: Links) -> dict[str, Callable[[CellPlan, Cell], Cell]]:
    """What leads where, and how a grade is marked."""
    return {
        "model": lambda one, cell: _link(cell, links.to("model", one.newest.cell.model)),
        "level": lambda one, cell: _with_level(one.newest, cell, links),
        "machine": lambda one, cell: _link(cell, links.to("machine", one.newest.source.machine)),
        "test": lambda one, cell: _link(cell, links.root + one.path),
        "runs": lambda one, cell: _link(cell, links.root + one.path),
        "trust": lambda one, cell: _with_grade(one.newest, cell),
    }


def _link(cell: Cell, link: str) -> Cell:
    return replace(cell, link=link)


def _with_level(row: SiteRow, cell: Cell, links: Links) -> Cell:
    """A level that leads to its page, and what it stores where its name says less."""
    label = row.cell.level_label
    note = label if label != row.cell.level else ""
    return replace(cell, link=links.to("level", row.cell.level), note=note)


def _copy(source: Source, links: Links) -> str:
    """The link to a document; empty: it is not copied."""
    path = links.copies.get(source.file)
    return "" if path is None else links.root + path


def _with_grade(row: SiteRow, cell: Cell) -> Cell:
    """A grade with its colour, and what keeps it from A."""
    trust = row.record.trust
    if trust is None:
        return cell
    note = "; ".join(f"{one.code}: {one.detail}" for one in trust.reasons)
    return replace(cell, mark=MARKS[trust.grade], note=note)


def _unit(name: str) -> str:
    """The unit that a table draws a metric in."""
    metric = find_metric(name)
    if metric is None:
        return ""
    return "MiB" if _is_size(name) else metric.unit


def _is_size(name: str) -> bool:
    """Whether a metric is a size that is read in MiB; what one token takes is not."""
    metric = find_metric(name)
    return metric is not None and metric.unit == "bytes" and not name.endswith("_per_token")


def _scaled(name: str, value: float | None) -> float | None:
    return value / MIB if value is not None and _is_size(name) else value


def _processes(row: SiteRow, name: str) -> int | None:
    metric = shown_metric(row.record, name)
    return None if metric is None else metric.processes


def _draw(value: float) -> str:
    return three_digits(value) if abs(value) >= 1 else four_decimals(value)


def _estimate(record: Record, estimator: str, name: str) -> float | None:
    return _scaled(name, estimated(record, name, estimator))


def _quotient(record: Record, name: str) -> float | None:
    """The best estimate over what was measured, as values."""
    best, found = estimated(record, name, best_estimator(record)), shown(record, name)
    return best / found if best is not None and found else None


def _definition(name: str) -> str:
    metric = find_metric(name)
    return "" if metric is None else metric.definition
