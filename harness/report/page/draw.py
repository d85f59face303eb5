"""The page of one run or of several: everything above the template. Pure."""

from collections.abc import Sequence

from harness.report.charts.chart import Chart, NamedDocument
from harness.report.charts.table import charts_of
from harness.report.charts.themes import dark_config, light_config
from harness.report.grid import one_line, short
from harness.report.headline import headline
from harness.report.notes import notes
from harness.report.numbers import counted
from harness.report.page.frame import draw_page
from harness.report.page.machines import machines_table
from harness.report.page.repeat import repeat_of
from harness.report.page.results import results_table
from harness.report.page.runs import Refused, Run, Source, runs_of
from harness.report.page.summary import answers_of, sentence_of
from harness.report.page.table import Table, plain_table
from harness.report.page.trust import (
    doubts_table,
    fit_of,
    grade_sentence,
    grades_table,
    lacks_table,
    unasked,
)

TEMPLATE = "runs.html"
MOST_ROWS = 500  # of the data of a chart; all of it stands in the results file
SECTIONS = (
    ("results", "Results"),
    ("charts", "Charts"),
    ("trust", "Trust"),
    ("missing", "Not measured"),
    ("machines", "Machines"),
    ("repeat", "Repeat it"),
)


def draw_runs(
    sources: Sequence[Source],
    refused: Sequence[Refused] = (),
    charts: Sequence[Chart] | None = None,
) -> str:
    """Draw one page of all runs; ends with a line feed.

    Args:
        sources: one or more results files, in the order of the page.
        refused: files that could not be read, which the page names.
        charts: to draw; None: all that these runs have something for.

    Raises:
        DeviceError: a package of the extra `report` is not installed.
    """
    runs = runs_of(sources)
    drawn = _charts(runs) if charts is None else charts
    answers = [answers_of(run) for run in runs]
    return draw_page(
        TEMPLATE,
        title=page_title(runs),
        charts=drawn,
        data=[_data(number, chart) for number, chart in enumerate(drawn)],
        configs={"light": light_config(None), "dark": dark_config(None)},
        sections=[pair for pair in SECTIONS if drawn or pair[0] != "charts"],
        runs=runs,
        heads=[one_line(headline(run.document, run.rows)) for run in runs],
        answers=answers,
        leads=[sentence_of(one) for one in answers],
        results=results_table(runs),
        grades=grade_sentence(runs),
        doubts=doubts_table(runs),
        graded=grades_table(runs),
        lacks=lacks_table(runs, refused),
        fits=[fit_of(run, number) for number, run in enumerate(runs)],
        unasked=[unasked(run) for run in runs],
        notes=[notes(run.document, run.rows) for run in runs],
        machines=machines_table(runs),
        repeats=[repeat_of(run) for run in runs],
    )


def page_title(runs: Sequence[Run]) -> str:
    """What the page is of: models, or how many, and the machine, or how many."""
    models = list(dict.fromkeys(row.cell.model for run in runs for row in run.rows))
    machines = list(dict.fromkeys(run.machine for run in runs))
    what = short(models[0]) if len(models) == 1 else counted(len(models), "models")
    where = short(machines[0]) if len(machines) == 1 else counted(len(machines), "machines")
    return f"{what} on {where}"


def _charts(runs: Sequence[Run]) -> tuple[Chart, ...]:
    """Every chart of these runs."""
    return charts_of([NamedDocument(run.source.name, run.document) for run in runs])


def _data(number: int, chart: Chart) -> Table | None:
    """The rows of a chart as a table; the first ones of very many."""
    if not chart.rows:
        return None
    header = list(chart.rows[0])
    shown = chart.rows[:MOST_ROWS]
    more = f", the first {MOST_ROWS} of {len(chart.rows)} rows" * (len(chart.rows) > MOST_ROWS)
    return plain_table(
        f"data-{number}",
        f"Data of the chart: {chart.title}{more}",
        header,
        [[row.get(name) for name in header] for row in shown],
    )
