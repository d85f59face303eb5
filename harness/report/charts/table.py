"""The one table of charts: every function gives those that a page's documents have something for.

A chart that has nothing to draw is left out.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from harness.report.charts.cells import Machine, machines
from harness.report.charts.chart import Chart, NamedDocument, with_names_apart
from harness.report.charts.depth import depth_charts
from harness.report.charts.estimates import estimate_charts
from harness.report.charts.levels import rate_charts
from harness.report.charts.memory import memory_charts
from harness.report.charts.placement import placement_charts
from harness.report.charts.processes import process_charts
from harness.report.charts.quality import sweep_charts
from harness.report.charts.roofline import roofline_charts
from harness.report.charts.side_by_side import side_by_side_charts
from harness.report.charts.sustained import sustained_charts
from harness.report.charts.time_terms import operator_charts, term_charts

MOST_MACHINES = 6  # with charts of their own on one page
Make = Callable[[Sequence[Machine]], Iterable[Chart]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table.

    Attributes:
        make: the charts of some documents.
        of_each: each document has its own; else one chart holds them all.
    """

    make: Make
    of_each: bool = True


# In the order of a page: what is asked first stands first.
CHARTS: tuple[Kind, ...] = (
    Kind(rate_charts),
    Kind(side_by_side_charts, of_each=False),
    Kind(sweep_charts),
    Kind(estimate_charts, of_each=False),
    Kind(memory_charts),
    Kind(roofline_charts),
    Kind(depth_charts),
    Kind(term_charts),
    Kind(operator_charts),
    Kind(placement_charts),
    Kind(sustained_charts),
    Kind(process_charts),
)


def charts_of(documents: Sequence[NamedDocument]) -> tuple[Chart, ...]:
    """Every chart of some runs, in the order of a page; names are distinct.

    Args:
        documents: one or more, of one machine or of several. Charts of each document are drawn of
            the first MOST_MACHINES alone, and say so.
    """
    known = machines(documents)
    first = known[:MOST_MACHINES]
    note = f"of {len(known)} results the first {len(first)} have such charts"
    found = []
    for kind in CHARTS:
        made = list(kind.make(first if kind.of_each else known))
        if kind.of_each and len(known) > len(first):
            made = [replace(chart, notes=(*chart.notes, note)) for chart in made]
        found += made
    return with_names_apart(found)
