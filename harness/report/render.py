"""A results document in any format: the table of formats, and the two that people read."""

from collections.abc import Callable

from harness.core.errors import UsageError, suggestion
from harness.report.columns import columns_of
from harness.report.exporters import EXPORTERS
from harness.report.fitted import draw_fit
from harness.report.flat import draw_document_json, draw_json_lines, draw_metric_csv
from harness.report.grid import WIDE, draw_markdown, draw_terminal, markdown, one_line
from harness.report.headline import headline
from harness.report.machines_table import draw_machines, machines_of_table
from harness.report.notes import notes
from harness.report.rows import Row, make_rows
from harness.report.sensitivity import draw_sensitivities
from harness.report.tasks_table import draw_tasks
from harness.results.machine_views import named_apart
from harness.results.schema import Document


def render(document: Document, style: str) -> str:
    """Draw a document; ends with a line feed.

    Args:
        document: one run.
        style: a key of FORMATS: `table`, `md`, `csv`, `json`, `jsonl`, or one of EXPORTERS.

    Raises:
        UsageError: there is no such format.
    """
    if style not in FORMATS:
        raise UsageError(f"no format is called {style!r}", fix=suggestion(style, FORMATS))
    return FORMATS[style](named_apart(document) if style in EXPORTERS else document)


def draw_table(document: Document) -> str:
    """Headline, table and notes for a terminal."""
    document, machines = machines_of_table(document)
    rows = make_rows(document.records, machines)
    header, cells = summary(rows)
    parts = [one_line(headline(document, rows)), draw_terminal(header, cells)]
    parts += [*draw_machines(document, WIDE), *draw_tasks(document, WIDE)]
    parts += [*draw_sensitivities(document, WIDE), *_fitted(document, WIDE)]
    below = [one_line(note) for note in notes(document, rows)]
    return "\n\n".join([*parts, *(["\n".join(below)] if below else [])]) + "\n"


def draw_markdown_report(document: Document) -> str:
    """The same as Markdown: a paragraph, a table, a list."""
    document, machines = machines_of_table(document)
    rows = make_rows(document.records, machines)
    header, cells = summary(rows)
    parts = [markdown(headline(document, rows)), draw_markdown(header, cells)]
    parts += [*draw_machines(document, "md"), *draw_tasks(document, "md")]
    parts += [*draw_sensitivities(document, "md"), *_fitted(document, "md")]
    below = [f"- {markdown(note)}" for note in notes(document, rows)]
    return "\n\n".join([*parts, *(["\n".join(below)] if below else [])]) + "\n"


def _fitted(document: Document, style: str) -> list[str]:
    """What a fit found; nothing of any other run."""
    drawn = draw_fit(document, style)
    return [drawn] if drawn else []


def summary(rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and cells of the summary: one row per session group and depth, as text."""
    columns = columns_of(rows)
    return [column.header for column in columns], [
        [column.cell(row) for column in columns] for row in rows
    ]


FORMATS: dict[str, Callable[[Document], str]] = {
    "table": draw_table,
    "md": draw_markdown_report,
    "csv": draw_metric_csv,
    "json": draw_document_json,
    "jsonl": draw_json_lines,
    **EXPORTERS,
}
