"""The page of trends: what stepped, every series with its chart, every point as a table. Pure."""

from collections.abc import Sequence

from harness.history.series import Order
from harness.history.standing import JudgedStep, Trend
from harness.history.trends import Found
from harness.report.charts.chart import Chart, with_names_apart
from harness.report.charts.history import steps_of, trend_chart
from harness.report.charts.themes import dark_config, light_config
from harness.report.grid import Column
from harness.report.history_trend import line_of, step_words, trend_lines, value_words
from harness.report.numbers import counted
from harness.report.page.frame import draw_page
from harness.report.page.table import Table, page_table, plain_table

TEMPLATE = "history.html"
MOST_CHARTS = 24  # of one page; every series stands in its table
MOST_ROWS = 500  # of the data of a chart

SECTIONS = (("steps", "Steps"), ("series", "Series"), ("charts", "Charts"))


def draw_history(trends: Sequence[Trend], found: Found, by: Order) -> str:
    """Draw one page of some trends; ends with a line feed.

    Args:
        trends: of every series, those that fail first.
        found: names of their machines, and what was left out.
        by: what points follow each other by.

    Raises:
        DeviceError: a package of the extra `report` is not installed.
    """
    ordered = sorted(trends, key=lambda one: not one.fails)
    charts = with_names_apart(
        [trend_chart(one, found.machines[one.series.machine], by) for one in ordered[:MOST_CHARTS]]
    )
    steps = steps_of(ordered)
    return draw_page(
        TEMPLATE,
        title=page_title(ordered, found),
        charts=charts,
        data=[_data(number, one) for number, one in enumerate(charts)],
        configs={"light": light_config(None), "dark": dark_config(None)},
        sections=[pair for pair in SECTIONS if steps or pair[0] != "steps"],
        sentence=sentence(ordered),
        steps=page_table("steps-table", "Steps", _step_columns(found), steps) if steps else None,
        series=page_table("series-table", "Series", _series_columns(found), ordered),
        told=[[*trend_lines(one)] for one in ordered[:MOST_CHARTS]],
        hidden=max(0, len(ordered) - MOST_CHARTS),
        left_out=found.left_out,
        machines=[f"{name}: {machine}" for machine, name in found.machines.items()],
    )


def page_title(trends: Sequence[Trend], found: Found) -> str:
    """What the page is of: the cell, or how many, and the machine, or how many."""
    what = trends[0].series.cell if len(trends) == 1 else f"{len(trends)} trends"
    machines = list(found.machines.values())
    where = machines[0] if len(machines) == 1 else counted(len(machines), "machines")
    return f"{what} on {where}"


def sentence(trends: Sequence[Trend]) -> str:
    """What a reader has to know first."""
    failing = [one for one in trends if one.fails]
    if not failing:
        return "No newest point stands behind a step for the worse that nobody accepted."
    names = "; ".join(f"{one.series.cell} ({_last(one)})" for one in failing[:3])
    more = f" and {len(failing) - 3} more" if len(failing) > 3 else ""
    return f"Behind a step for the worse that nobody accepted: {names}{more}."


def _last(trend: Trend) -> str:
    return step_words(trend.standing) if trend.standing else ""


def _step_columns(found: Found) -> tuple[Column[tuple[Trend, JudgedStep]], ...]:
    return (
        Column("cell", lambda pair: pair[0].series.cell),
        Column("metric", lambda pair: pair[0].series.metric),
        Column("machine", lambda pair: found.machines[pair[0].series.machine], shown="varies"),
        Column("began", lambda pair: pair[1].step.first.when[:10]),
        Column("step", lambda pair: step_words(pair[1])),
        Column("first run behind it", lambda pair: pair[1].step.first.run_id),
        Column("changed with it", lambda pair: ", ".join(pair[1].changed) or None),
        Column("accepted", lambda pair: pair[1].blessing.reason if pair[1].blessing else None),
    )


def _series_columns(found: Found) -> tuple[Column[Trend], ...]:
    return (
        Column("cell", lambda one: one.series.cell),
        Column("metric", lambda one: one.series.metric),
        Column("machine", lambda one: found.machines[one.series.machine], shown="varies"),
        Column("points", lambda one: len(one.series.points)),
        Column("newest", lambda one: value_words(one.series.points[-1].value, one.series.unit)),
        Column("trend", lambda one: line_of([point.value for point in one.series.points])),
        Column("last step", lambda one: _last(one) or None),
    )


def _data(number: int, chart: Chart) -> Table:
    """The newest rows of a chart as a table."""
    header = list(chart.rows[0])
    shown = chart.rows[-MOST_ROWS:]
    more = f", the newest {MOST_ROWS} of {len(chart.rows)} rows" * (len(chart.rows) > MOST_ROWS)
    return plain_table(
        f"data-{number}",
        f"Data of the chart: {chart.title}{more}",
        header,
        [[row.get(name) for name in header] for row in reversed(shown)],
    )
