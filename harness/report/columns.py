"""The one list of columns of the summary; every format only draws their cells."""

from collections.abc import Callable, Sequence

from harness.core.units import MIB
from harness.report.grid import KNOWN, VARIES, Column
from harness.report.numbers import (
    four_decimals,
    half_width,
    percent,
    three_digits,
    two_decimals,
)
from harness.report.rows import Row, half_width_of, rate_of, shown, tests_of
from harness.report.sweep import pareto_fronts
from harness.results.enums import SINGLE_PASS, Prepack
from harness.results.metric_row import Source
from harness.results.metrics import metric_row, of_source, rate_of_kind
from harness.results.schema import DECODE, ENCODE, IMAGE, PREFILL, REQUEST, TURN, Record, kind_of

SummaryColumn = Column[Row]
# Below this share of all parameters a mixture or looked-up tables leave most of a model unread: an
# untied model of a billion reads four fifths.
SPARSE = 0.7
PARAMS = "params"  # the estimator that every record has


# How a metric's values are written, by their unit; all others with three digits.
DRAWN = {
    "bit": two_decimals,
    "share": percent,
    **dict.fromkeys(("nats", "cosine", "tau"), four_decimals),
}


def metric_column(name: str, value: Callable[[Row, str], float | None]) -> SummaryColumn:
    """The column of a metric; sizes in MiB.

    Args:
        name: of a metric that has a column.
        value: of a row, by that name.
    """
    metric = metric_row(name)

    def of_row(row: Row) -> float | None:
        found = value(row, name)
        if metric.unit == "bit" and not found:  # of a graph without weights
            return None
        return in_mib(found) if metric.unit == "bytes" else found

    return Column(metric.column, of_row, DRAWN.get(metric.unit, three_digits), KNOWN)


def _of_judged(row: Row, name: str) -> float | None:
    """A metric of the record that the row is judged by."""
    return None if row.judged is None else shown(row.judged, name)


def _of_first(row: Row, name: str) -> float | None:
    """The same, or of the first record where nothing was measured."""
    return shown(row.judged or row.records[0], name)


def _read(row: Row) -> float | None:
    """Parameters that one token reads."""
    return row.first_shown("read_parameters")


def _of_sparse(row: Row, count: float | None) -> float | None:
    """A count of parameters where a token reads far fewer than there are; None: of other models."""
    read = _read(row)
    return count if read is not None and read < SPARSE * row.cell.parameters else None


KV_CACHE: SummaryColumn = Column("kv cache", lambda row: row.cell.kv_cache, shown=VARIES)
IDENTITY: tuple[SummaryColumn, ...] = (
    Column("machine", lambda row: row.machine, shown=VARIES),
    Column("model", lambda row: row.cell.model, shown=VARIES),
    Column("parameters", lambda row: row.cell.parameters, "{:,}".format, shown=VARIES),
    Column(
        "active", lambda row: _of_sparse(row, row.cell.active_parameters), "{:,.0f}".format, KNOWN
    ),
    Column("read", lambda row: _of_sparse(row, _read(row)), "{:,.0f}".format, KNOWN),
    Column("level", lambda row: row.cell.level_label or row.cell.level, shown=VARIES),
    KV_CACHE,
    Column("weights", lambda row: row.cell.weights, shown=VARIES),
    Column("device", lambda row: row.device, shown=VARIES),
    Column("placement", lambda row: row.verdict, shown=VARIES),
    Column("runtime", lambda row: row.cell.runtime, shown=VARIES),
    Column("prepack", lambda row: row.cell.prepack, shown=VARIES),
    Column("threads", lambda row: row.cell.threads, shown=VARIES),
    Column("batch", lambda row: row.cell.batch, shown=VARIES),
    Column("capacity", lambda row: capacity_words(row.cell.capacity), shown=VARIES),
    Column("depth", lambda row: row.cell.depth, shown=VARIES),
)
MODEL: tuple[SummaryColumn, ...] = (
    metric_column("bits_per_weight", Row.first_shown),
    metric_column("weights_bytes", Row.first_shown),
    metric_column("prepacked_bytes", Row.first_shown),
    metric_column("compile_ms", Row.first_shown),
    metric_column("load_ms", Row.first_shown),
)
# Memory that no file stands behind, and memory that maps files.
SPLIT: tuple[SummaryColumn, ...] = (
    metric_column("peak_delta_anonymous_bytes", Row.largest_shown),
    metric_column("steady_delta_file_bytes", Row.largest_shown),
)
JUDGED: tuple[SummaryColumn, ...] = (
    Column("±", lambda row: half_width_of(row.judged) if row.judged else None, half_width, KNOWN),
    metric_column("j_per_token", _of_judged),
    metric_column("j_per_sequence", _of_judged),
    Column(
        "est. tok/s",
        lambda row: estimated_of(row, (DECODE, REQUEST, TURN, PREFILL)),
        three_digits,
        KNOWN,
    ),
    Column("est. seq/s", lambda row: estimated_of(row, (ENCODE,)), three_digits, KNOWN),
    Column("est. images/s", lambda row: estimated_of(row, (IMAGE,)), three_digits, KNOWN),
    Column("meas/est", lambda row: time_over_estimate(row.judged), two_decimals, KNOWN),
    Column("meas/params", lambda row: time_over_params(row.judged), two_decimals, KNOWN),
    Column("est. MiB", lambda row: in_mib(estimated_bytes(row)), three_digits, KNOWN),
    metric_column("peak_rss_bytes", Row.largest_shown),
    *SPLIT,
    metric_column("device_bytes_peak", Row.largest_shown),
)
TRUST: SummaryColumn = Column("trust", lambda row: row.grade)


def columns_of(rows: Sequence[Row]) -> list[SummaryColumn]:
    """The columns worth printing: identities that vary, and results that any row has.

    Trust is always printed, so that a table in which nothing was measured still has a column. A
    cache that every level has by itself says no more than the level. What is mapped and what is
    not is told apart where copies of weights may be either.
    """
    every = [*IDENTITY, *MODEL, *test_columns(rows), *JUDGED, *quality_columns(rows), TRUST]
    silent: list[SummaryColumn] = []
    if all(row.cell.has_own_cache for row in rows):
        silent.append(KV_CACHE)
    if all(row.cell.prepack == Prepack.OFF for row in rows):
        silent += SPLIT
    return [column for column in every if column.tells(rows) and column not in silent]


def test_columns(rows: Sequence[Row]) -> list[SummaryColumn]:
    """One column per test: TTFT of requests and turns, rates of prefill, decode and single passes.

    A request's own decode rate gets a column only where no decode test was run.
    """
    requests, decodes, turns = (tests_of(rows, kind) for kind in (REQUEST, DECODE, TURN))
    several = len(requests) + len(turns) > 1
    columns = [
        *(_metric_of_test(test, "ttft_ms", several) for test in (*requests, *turns)),
        *(_metric_of_test(test, "reread_ttft_ms", len(turns) > 1) for test in turns),
    ]
    for test in (*tests_of(rows, PREFILL), *(decodes or requests), *turns):
        columns.append(_test_column(test, rate_of_kind(DECODE).column, rate_of))
    for kind in SINGLE_PASS:
        columns += [
            _test_column(test, rate_of_kind(kind).column, rate_of) for test in tests_of(rows, kind)
        ]
    return columns


def _metric_of_test(test: str, name: str, named: bool) -> SummaryColumn:
    """The column of one metric of one test."""
    return _test_column(test, metric_row(name).column, lambda record: shown(record, name), named)


def quality_columns(rows: Sequence[Row]) -> list[SummaryColumn]:
    """What a level loses on the path of its judged test, and where no other level beats it."""
    marks = pareto_fronts(rows)
    places = {id(row): place for place, row in enumerate(rows)}

    quality = [row.name for row in of_source(Source.QUALITY) if row.column]
    return [
        *(metric_column(name, _of_first) for name in quality),
        Column("Pareto front", lambda row: marks.get(places[id(row)]), shown=KNOWN),
    ]


def _test_column(
    test: str, header: str, value: Callable[[Record], float | None], named: bool = True
) -> SummaryColumn:
    """A column of one test; its header carries the test's name where `named`."""

    def of_row(row: Row) -> float | None:
        record = row.of_test(test)
        return None if record is None else value(record)

    return Column(f"{test} {header}" if named else header, of_row, three_digits, KNOWN)


def best_estimator(record: Record) -> str:
    """The estimator whose sum the record explains; of a record without one the params rule."""
    return PARAMS if record.explanation is None else record.explanation.estimator


def estimated(record: Record | None, metric: str, estimator: str) -> float | None:
    """One estimate of a metric; None where there is none."""
    return None if record is None else record.estimates.get(metric, {}).get(estimator)


def estimated_of(row: Row, kinds: Sequence[str]) -> float | None:
    """The best estimate of a row's rate, if it is the rate of one of these kinds of test."""
    judged = row.judged
    if judged is None or kind_of(judged.cell) not in kinds:
        return None
    return estimated_rate(judged)


def estimated_rate(record: Record | None) -> float | None:
    """The best estimate of the rate that a record is judged by: tok/s, or sequences/s."""
    if record is None:
        return None
    return estimated(record, rate_of_kind(kind_of(record.cell)).name, best_estimator(record))


def time_over_estimate(record: Record | None) -> float | None:
    """Time measured over time estimated: above 1, slower than estimated."""
    return _over(record, estimated_rate(record))


def time_over_params(record: Record | None) -> float | None:
    """The same against the params rule, where another estimate stands beside it."""
    if record is None or best_estimator(record) == PARAMS:
        return None
    return _over(record, estimated(record, rate_of_kind(kind_of(record.cell)).name, PARAMS))


def _over(record: Record | None, estimate: float | None) -> float | None:
    """Estimated rate over measured rate, which is time measured over time estimated."""
    measured = rate_of(record) if record is not None else None
    return None if estimate is None or not measured else estimate / measured


def estimated_bytes(row: Row) -> float | None:
    """The largest best estimate of memory over the tests of the row, bytes."""
    found = [estimated(record, "peak_rss_bytes", best_estimator(record)) for record in row.records]
    return max((value for value in found if value is not None), default=None)


def capacity_words(tokens: int) -> str:
    """Positions of a cache; 0 is as many as the tests need."""
    return f"{tokens:,}" if tokens else "tests"


def in_mib(size_bytes: float | None) -> float | None:
    """Bytes as MiB; None for no bytes, which is no size of anything."""
    return size_bytes / MIB if size_bytes else None
