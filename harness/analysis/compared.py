"""Which metrics two sides are compared by, and one process's value of each. Pure."""

from harness.core.errors import ResultFormatError, UsageError
from harness.core.names import suggestion
from harness.results.metric_row import MetricRow
from harness.results.metrics import METRICS
from harness.results.process_values import process_values
from harness.results.schema import Record


def compared() -> dict[str, MetricRow]:
    """Every metric that two sides can be compared by, by name."""
    return {row.name: row for row in METRICS if row.scale is not None}


def find_compared(names: tuple[str, ...], watched: tuple[str, ...] = ()) -> tuple[MetricRow, ...]:
    """Look metrics up by name, and those that are watched; without names the headlines.

    Raises:
        UsageError: no comparison is by such a name.
    """
    known = compared()
    for name in (*names, *watched):
        if name not in known:
            raise UsageError(f"no comparison by {name!r}", fix=suggestion(name, known))
    return tuple(
        row
        for row in known.values()
        if row.name in (*names, *watched) or (row.headline and not names)
    )


def scaled_values(metric: MetricRow, record: Record, run_id: str) -> dict[int, float]:
    """Every process's value of a timed metric on the scale of the statistics, by round.

    Raises:
        ResultFormatError: damaged samples; says of which run.
    """
    try:
        values = process_values(record, metric.name)
    except ResultFormatError as error:
        raise ResultFormatError(f"{run_id}: {error.problem}", error.fix) from error
    return {place: metric.on_scale(value) for place, value in values.items()}
