"""A sweep or a ladder as bars: levels, depths, threads, capacities, prompts or models. Pure.

Bars run along the field of the cells that has the most values, in the order of the plan, numbers
from small to large; what else varies makes groups, which share one scale.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.core.errors import UsageError, suggestion
from harness.core.units import MIB
from harness.report.bars import Bar, Group, Signs, draw_bars, wrapped
from harness.report.columns import DRAWN, best_estimator, capacity_words, estimated
from harness.report.headline import thread_words
from harness.report.numbers import half_width, three_digits
from harness.report.rows import JUDGED_FIRST, Row, make_rows, shown_metric, test_of
from harness.results.identity import field_word
from harness.results.metric_names import SHORT, full_name, limit_name
from harness.results.metric_row import MetricRow, Source
from harness.results.metrics import METRICS, find_metric, rate_of_kind
from harness.results.schema import Cell, Document, Record, kind_of
from harness.results.summarize import metric_half_width_share
from harness.results.validity import why_left_out

NOT_MEASURED = "not measured"
FENCE = re.compile("`+")


@dataclass(frozen=True, slots=True)
class Axis:
    """A field that may tell one bar from another.

    Attributes:
        word: of a cell, as a bar is called.
        order: of a cell, where small ones come first; None: as the plan has them.
    """

    word: Callable[[Cell], str]
    order: Callable[[Cell], tuple[int, ...]] | None = None


# Of two with as many values bars run along the first one.
AXES: tuple[Axis, ...] = (
    Axis(lambda cell: f"depth {cell.depth}", lambda cell: (cell.depth,)),
    Axis(lambda cell: f"capacity {capacity_words(cell.capacity)}", lambda cell: (cell.capacity,)),
    Axis(
        lambda cell: test_of(cell), lambda cell: (cell.prompt, cell.gen, cell.sequences, cell.chunk)
    ),
    Axis(lambda cell: f"batch {cell.batch}", lambda cell: (cell.batch,)),
    Axis(lambda cell: thread_words(cell.threads), lambda cell: (cell.threads,)),
    Axis(lambda cell: cell.level),
    Axis(lambda cell: f"cache {cell.kv_cache}"),
    Axis(lambda cell: f"prepack {field_word(cell, 'prepack')}"),
    Axis(lambda cell: cell.runtime),
    Axis(lambda cell: cell.device),
    Axis(lambda cell: f"{cell.weights} weights"),
    Axis(lambda cell: cell.model),
)


def draw_plot(
    document: Document, metric: str | None, signs: Signs, width: int, style: str = "table"
) -> str:
    """Draw a metric of every row as a bar with its interval; ends with a line feed.

    Args:
        document: one run.
        metric: its name, or a short one such as `peak`; None: the rate that rows are judged by.
        signs: what is drawn with.
        width: of a line, in characters.
        style: `table`, or `md`: the same as a block that Markdown leaves alone.

    Raises:
        UsageError: no metric has this name, or no record has the metric.
    """
    rows = make_rows(document.records)
    chosen = _rates(rows) if metric is None else [(plotted_metric(metric), rows)]
    parts = [_one_metric(row, some, signs, width) for row, some in chosen]
    if not all(parts):
        (row, _), *_rest = chosen
        raise UsageError(
            f"--metric {metric}: no record of this run has {row.name}",
            fix=f"one of {', '.join(_had(document.records))}",
        )
    text = "\n\n".join(parts)
    return as_block(text, style)


def as_block(text: str, style: str) -> str:
    """A drawing that ends with a line feed; in Markdown as a block that names cannot end."""
    if not text or style != "md":
        return f"{text}\n" if text else ""
    longest = max(map(len, FENCE.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}\n"


def plotted_metric(name: str) -> MetricRow:
    """The metric that a word means.

    Raises:
        UsageError: there is none.
    """
    found = find_metric(full_name(name))
    if found is None:
        names = (*SHORT, *(row.name for row in METRICS))
        raise UsageError(f"no metric is called {name!r}", fix=suggestion(name, names))
    return found


def value_words(metric: MetricRow, value: float) -> str:
    """A value with its unit: `132 tok/s`, `205 MiB`, `94.5%`."""
    if metric.unit == "bytes":
        return f"{three_digits(value / MIB)} MiB"
    drawn = DRAWN.get(metric.unit, three_digits)(value)
    return drawn if metric.unit == "share" else f"{drawn} {metric.unit}"


def _rates(rows: Sequence[Row]) -> list[tuple[MetricRow, list[Row]]]:
    """The rows by the rate that each is judged by: a run of decoders and encoders has two."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        first = row.judged or min(row.records, key=lambda one: _place(kind_of(one.cell)))
        found.setdefault(rate_of_kind(kind_of(first.cell)).name, []).append(row)
    return [(plotted_metric(name), some) for name, some in found.items()]


def _had(records: Iterable[Record]) -> list[str]:
    """Names of the metrics that a run has values of, the short ones where there are any."""
    names = dict.fromkeys(name for record in records for name in record.metrics)
    return [limit_name(name) for name in names if find_metric(name)]


def _one_metric(metric: MetricRow, rows: Sequence[Row], signs: Signs, width: int) -> str:
    """The heading, the bars and what they are made of; empty where no row has the metric."""
    records = [record for row in rows for record in _of_row(row, metric)]
    if not any(shown_metric(record, metric.name) for record in records):
        return ""
    groups = _grouped(records, metric)
    lines = draw_bars(groups, signs, width)
    best = "more" if metric.more_is_better else "less"
    head = f"{metric.name}: {best} is better"
    return "\n".join([head, *lines, *wrapped(_legend(groups, signs), width)])


def _of_row(row: Row, metric: MetricRow) -> list[Record]:
    """The records of a row that stand for it: what its tests share once, memory at its largest."""
    fitting = [record for record in row.records if kind_of(record.cell) in metric.kinds]
    found = [record for record in fitting if shown_metric(record, metric.name)]
    if not found:
        return fitting[:1]
    if metric.of_session or metric.source in (Source.FILES, Source.COMPILING):
        return found[:1]
    if metric.source is Source.MEMORY:
        return [max(found, key=lambda record: _value(record, metric) or 0.0)]
    first = min((kind_of(record.cell) for record in found), key=_place)
    return [record for record in fitting if kind_of(record.cell) == first]


def _place(kind: str) -> int:
    return JUDGED_FIRST.index(kind) if kind in JUDGED_FIRST else len(JUDGED_FIRST)


def _grouped(records: Sequence[Record], metric: MetricRow) -> list[Group]:
    """Bars along the axis with the most values, the others as headings."""
    cells = [record.cell for record in records]
    shared = metric.of_session or metric.source in (Source.FILES, Source.MEMORY, Source.COMPILING)
    silent = {TESTS} if shared else set()
    if all(cell.has_own_cache for cell in cells):  # it says no more than the level
        silent.add(CACHES)
    counts = {
        place: len({axis.word(cell) for cell in cells})
        for place, axis in enumerate(AXES)
        if place not in silent
    }
    varied = [place for place, count in counts.items() if count > 1]
    along = max(varied, key=lambda place: counts[place], default=None)
    others = [AXES[place] for place in reversed(varied) if place != along]
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in _sorted(records, others):
        groups.setdefault(tuple(axis.word(record.cell) for axis in others), []).append(record)
    inner = [] if along is None else [AXES[along]]
    return [
        Group(
            " · ".join(words),
            tuple(_bar(record, metric, inner) for record in _sorted(some, inner)),
        )
        for words, some in groups.items()
    ]


TESTS, CACHES = 2, 6  # places of axes that do not always count


def _sorted(records: Sequence[Record], axes: Sequence[Axis]) -> list[Record]:
    """Records in the order of axes, the first one above all; those of names stay as they are."""
    found = list(records)
    for axis in reversed(axes):
        order = axis.order
        if order is not None:
            found.sort(key=lambda record: order(record.cell))
        else:
            words = list(dict.fromkeys(axis.word(record.cell) for record in records))
            found.sort(key=lambda record: words.index(axis.word(record.cell)))
    return found


def _bar(record: Record, metric: MetricRow, axes: Sequence[Axis]) -> Bar:
    """The bar of one record."""
    cell = record.cell
    label = " ".join(axis.word(cell) for axis in axes) or f"{cell.level} {test_of(cell)}"
    found = shown_metric(record, metric.name)
    if found is None or found.value is None:
        left_out = why_left_out(record)
        return Bar(label, left_out.split(" ")[0] if left_out else NOT_MEASURED)
    half = metric_half_width_share(found)
    return Bar(
        label,
        value_words(metric, found.value),
        "" if half is None else f"± {half_width(half)}",
        found.value,
        found.low,
        found.high,
        estimated(record, metric.name, best_estimator(record)),
    )


def _value(record: Record, metric: MetricRow) -> float | None:
    found = shown_metric(record, metric.name)
    return None if found is None else found.value


def _legend(groups: Sequence[Group], signs: Signs) -> str:
    """What the parts of the bars mean; only those that there are."""
    bars = [bar for group in groups for bar in group.bars if bar.value is not None]
    words = []
    if any(bar.low is not None for bar in bars):
        to_low, to_high = f"{signs.full} to its lower end", f"{signs.whisker} to its upper end"
        words.append(f"95 % interval: {to_low}, {signs.shade} to the value, {to_high}")
    if any(bar.estimated is not None for bar in bars):
        words.append(f"{signs.mark} estimated")
    return "; ".join(words)
