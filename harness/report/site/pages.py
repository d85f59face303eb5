"""Every file of a site: path -> what makes its content. Pure but for the templates it reads."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from harness.report.charts.themes import dark_config, light_config
from harness.report.columns import best_estimator, estimated_rate, time_over_estimate
from harness.report.grid import one_line
from harness.report.numbers import counted, percent, three_digits, two_decimals
from harness.report.rows import half_width_of, rate_of, shown_metric
from harness.report.site.charts import history_charts
from harness.report.site.frame import assets, draw_site_page, root_of
from harness.report.site.plan import CellPlan, Group, SitePlan
from harness.report.site.policy import loosened_words, printed_rules
from harness.report.site.sources import SiteRow, cell_words
from harness.report.site.tables import (
    cells_table,
    documents_table,
    estimates_table,
    groups_table,
    links_of,
    metrics_table,
    policy_table,
    refused_table,
    runs_table,
    settings_of,
)
from harness.results.metrics import rate_of_kind
from harness.results.schema import kind_of

INDEX, POLICY_PAGE, REFUSED_PAGE, DOCUMENTS_PAGE = (
    *("index.html", "policy.html"),
    *("refused.html", "documents.html"),
)
TOP = (
    (INDEX, "Results"),
    (DOCUMENTS_PAGE, "Documents"),
    (REFUSED_PAGE, "Refused"),
    (POLICY_PAGE, "Policy"),
)
PLAIN_SITE = ".nojekyll"  # GitHub Pages publishes the folder as it is
TITLE = "Benchmarks"
Make = Callable[[], bytes]


def site_files(
    plan: SitePlan, title: str = TITLE, copies: Mapping[str, Make] | None = None
) -> dict[str, Make]:
    """Every file of a site.

    Args:
        plan: of its pages.
        title: of the site.
        copies: path in the site -> what reads a document, or its signature.

    Raises:
        DeviceError: a package of the extra `report` is not installed.
    """
    shared = _Pages(plan, title)
    files: dict[str, Make] = {
        INDEX: partial(shared.index, INDEX),
        DOCUMENTS_PAGE: partial(shared.documents, DOCUMENTS_PAGE),
        REFUSED_PAGE: partial(shared.refused, REFUSED_PAGE),
        POLICY_PAGE: partial(shared.policy, POLICY_PAGE),
        PLAIN_SITE: lambda: b"",
    }
    for kind, hidden, groups in (
        ("machine", ("machine",), plan.machines),
        ("model", ("model",), plan.models),
        ("level", ("level",), plan.levels),
    ):
        files |= {one.path: partial(shared.group, one, kind, hidden) for one in groups}
    files |= {one.path: partial(shared.cell, one) for one in plan.cells}
    files |= {path: partial(bytes, text) for path, text in assets().items()}
    return files | dict(copies or {})


class _Pages:
    """What makes each kind of page."""

    def __init__(self, plan: SitePlan, title: str) -> None:
        self._plan, self._title = plan, title
        self._loosened = loosened_words(plan.policy)
        self._machines = {one.name: one.path for one in plan.machines}
        self._models = {one.name: one.path for one in plan.models}
        self._levels = {one.name: one.path for one in plan.levels}

    def _draw(self, template: str, path: str, title: str, **values: Any) -> bytes:
        """A page with what all have."""
        return draw_site_page(
            template,
            path,
            title=title,
            site=self._title,
            top=TOP,
            here=path,
            loosened=self._loosened,
            grade=str(self._plan.policy.least_grade),
            **values,
        )

    def index(self, path: str) -> bytes:
        """The first page."""
        plan = self._plan
        lists = (
            groups_table("machines", "Machines", "machine", plan.machines, ""),
            groups_table("models", "Models", "model", plan.models, ""),
            groups_table("levels", "Levels", "level", plan.levels, ""),
        )
        return self._draw(
            "index.html",
            path,
            self._title,
            sentence=_sentence(plan),
            cells=cells_table(plan.cells, links_of(plan, "")) if plan.cells else None,
            lists=lists if plan.cells else (),
            refused=len({one.file for one in plan.refused}),
        )

    def documents(self, path: str) -> bytes:
        """What is behind the rows."""
        table = documents_table(self._plan, links_of(self._plan, ""))
        return self._draw(
            "listed.html",
            path,
            "Documents",
            table=table if table.rows else None,
            lead="Results files with a row on this site"
            + (
                ", as they were written: bench verify holds them against their checksums."
                if self._plan.copies
                else "; they are not copied here."
            ),
            empty="No results file has a row that meets the policy.",
        )

    def refused(self, path: str) -> bytes:
        """What is not shown, and why."""
        refused = self._plan.refused
        return self._draw(
            "listed.html",
            path,
            "Refused",
            table=refused_table(refused) if refused else None,
            lead="Files, and rows of files, that do not meet the policy, with the rule that each"
            " breaks first.",
            empty="Every row of every file meets the policy.",
        )

    def policy(self, path: str) -> bytes:
        """The rules."""
        return self._draw(
            "listed.html",
            path,
            "Policy",
            table=policy_table(printed_rules(self._plan.policy)),
            lead="A row is shown where every rule holds that is applied; all others are listed"
            " with the reason.",
            empty="",
        )

    def group(self, group: Group, kind: str, hidden: tuple[str, ...]) -> bytes:
        """A machine, a model or a level."""
        newest = max(group.cells, key=lambda cell: cell.newest.source.created_utc).newest
        return self._draw(
            "group.html",
            group.path,
            group.name,
            kind=kind,
            counts=f"{counted(len(group.cells), 'cells')} of {counted(group.runs, 'runs')}",
            facts=newest.source.facts if kind == "machine" else (),
            cells=cells_table(group.cells, links_of(self._plan, root_of(group.path)), hidden),
        )

    def cell(self, cell: CellPlan) -> bytes:
        """One cell, with its history."""
        row, root = cell.newest, root_of(cell.path)
        charts = history_charts(cell)
        trust = row.record.trust
        return self._draw(
            "cell.html",
            cell.path,
            cell_words(row.cell, row.hardware),
            has_charts=bool(charts),
            charts=charts,
            configs={"light": light_config(None), "dark": dark_config(None)},
            lead=_newest_sentence(row),
            change=_change_sentence(cell),
            settings=settings_of(row),
            machine=(row.source.machine, root + self._machines[row.source.machine]),
            model=(row.cell.model, root + self._models[row.cell.model]),
            level=(row.cell.level_label or row.cell.level, root + self._levels[row.cell.level]),
            runs=runs_table(cell, links_of(self._plan, root)),
            estimates=estimates_table(row),
            bounds=_bounds(row),
            metrics=metrics_table(row),
            reasons=[(one.code, one.detail) for one in trust.reasons] if trust else [],
        )


def _sentence(plan: SitePlan) -> str:
    """What there is, in one line."""
    runs = len(plan.documents)
    if not runs:
        return "No results file has a row that meets the policy."
    parts = (
        counted(len(plan.cells), "cells"),
        counted(len(plan.machines), "machines"),
        counted(len(plan.models), "models"),
        counted(len(plan.levels), "levels"),
    )
    newest = plan.documents[0].created_utc[:10]
    return f"{', '.join(parts)}, of {counted(runs, 'runs')}; the newest is of {newest}."


def _newest_sentence(row: SiteRow) -> str:
    """The newest number, how sure it is, and what was estimated."""
    rate = rate_of_kind(kind_of(row.cell))
    value, metric = rate_of(row.record), shown_metric(row.record, rate.name)
    if value is None or metric is None:
        return "The newest run has no rate."
    said = f"{three_digits(value)} {rate.unit}"
    if metric.low is not None and metric.high is not None:
        said += f" (95 % interval {three_digits(metric.low)} to {three_digits(metric.high)}"
        half = half_width_of(row.record)
        said += f", ± {percent(half)})" if half is not None else ")"
    said += f" on {row.source.created_utc[:10]} with onnxruntime {row.source.onnxruntime}"
    estimate, times = estimated_rate(row.record), time_over_estimate(row.record)
    if estimate is not None and times is not None:
        said += (
            f"; estimated {three_digits(estimate)} {rate.unit} ({best_estimator(row.record)}),"
            f" time measured / estimated {two_decimals(times)}"
        )
    return one_line(f"{said}.")


def _change_sentence(cell: CellPlan) -> str:
    """The newest run beside the one before it; empty: there is none, or nothing to compare."""
    if len(cell.points) < 2:
        return ""
    rate = rate_of_kind(kind_of(cell.newest.cell)).name
    last, before = (shown_metric(row.record, rate) for row in (cell.points[-1], cell.points[-2]))
    if last is None or before is None or not last.value or not before.value:
        return ""
    said = f"{two_decimals(last.value / before.value)} times the run before it"
    ends = (last.low, last.high, before.low, before.high)
    if any(end is None for end in ends):
        return f"{said}."
    low, high, low_before, high_before = (end or 0.0 for end in ends)
    meet = low <= high_before and low_before <= high
    told = "overlap" if meet else "do not overlap"
    return f"{said}; their intervals {told} (bench compare tests the two documents)."


def _bounds(row: SiteRow) -> list[str]:
    """What bounds each estimated pass."""
    explanation = row.record.explanation
    if explanation is None:
        return []
    return [one_line(f"{one.pass_name}: bound by {one.bound}") for one in explanation.passes]
