"""The rate of every row: measured, with its interval, beside what was predicted. Pure."""

from collections.abc import Iterator, Sequence

from harness.report.charts.cells import Machine, by_bits, cell_words, is_drawn, measured
from harness.report.charts.chart import Chart, Spec, Value, chart
from harness.report.charts.parts import (
    Series,
    chosen_only,
    interval_tooltip,
    layer,
    layered,
    names,
    number,
    only,
    rows_height,
    tooltip,
    whisker,
)
from harness.report.charts.themes import GREY, PALETTE
from harness.report.columns import PARAMS, best_estimator, estimated
from harness.report.numbers import counted
from harness.report.rows import Row, make_rows, shown_metric, test_of
from harness.results.metrics import rate_of_kind
from harness.results.schema import DECODE, PREFILL, REQUEST, TURN, Record, kind_of

MOST_ROWS = 40
MEASURED = "measured, 95 % interval"
ESTIMATED = "estimated: graph, hardware peaks"
RULE = "rule: parameters × bits / 8"
UPRIGHT = "M-0.16,-1L0.16,-1L0.16,1L-0.16,1Z"  # a path of SVG
# what is drawn -> its shape and colour
LOOKS = {
    MEASURED: ("square", PALETTE[0]),
    ESTIMATED: ("diamond", PALETTE[1]),
    RULE: (UPRIGHT, GREY),
}
DECODING = "Decoding"
VERBS = {PREFILL: "Reading a prompt", **dict.fromkeys((DECODE, REQUEST, TURN), DECODING)}


def rate_charts(all_machines: Sequence[Machine]) -> Iterator[Chart]:
    """A chart for each document and test that rows are judged by."""
    for machine in all_machines:
        groups: dict[str, list[Row]] = {}
        left_out = 0
        for row in make_rows(machine.document.records):
            if row.judged is None or not is_drawn(row.judged):
                left_out += 1
            else:
                groups.setdefault(test_of(row.judged.cell), []).append(row)
        for test, rows in groups.items():
            yield _rate_chart(machine, test, by_bits(rows), left_out)


def _rate_chart(machine: Machine, test: str, rows: Sequence[Row], left_out: int) -> Chart:
    """The rows of one test."""
    drawn = rows[:MOST_ROWS]
    labels = cell_words([row.cell for row in drawn], never=("workload",))
    records = [row.judged for row in drawn if row.judged is not None]
    kind = kind_of(records[0].cell)
    unit = rate_of_kind(kind).unit
    verb = VERBS.get(kind, "Speed")
    values = [
        value
        for label, record in zip(labels, records, strict=True)
        for value in _values(label, record)
    ]
    present = [what for what in LOOKS if any(value["what"] == what for value in values)]
    has_interval = any(value["low"] is not None for value in values)
    caption = (
        "Bars are measured, median over fresh processes"
        + ", whiskers the 95 % interval" * has_interval
        + "; marks beside them are predicted, without timing any model" * (len(present) > 1)
        + ". More is faster."
    )
    notes = [f"{MOST_ROWS} of {len(rows)} rows are drawn"] * (len(rows) > MOST_ROWS)
    notes += [
        f"Not drawn: {counted(left_out, 'rows')} (failed, INVALID, emulated or run elsewhere)"
    ] * bool(left_out)
    return chart(
        "rates",
        f"{verb} by level, {unit} ({test}){machine.suffix}",
        caption,
        _spec(values, labels, unit, present),
        [_line(value, unit) for value in values],
        notes=tuple(notes),
        **machine.words,
    )


def _line(value: dict[str, Value], unit: str) -> dict[str, Value]:
    """A line of the table."""
    return {
        "row": value["row"],
        "what": value["what"],
        unit: value["value"],
        f"low {unit}": value["low"],
        f"high {unit}": value["high"],
        "processes": value["processes"],
    }


def _values(label: str, record: Record) -> Iterator[dict[str, Value]]:
    """Yield the measured rate of a record and its estimates."""
    name = rate_of_kind(kind_of(record.cell)).name
    head: dict[str, Value] = {"row": label}
    yield {**head, "what": MEASURED, **measured(shown_metric(record, name))}
    best = best_estimator(record)
    for what, estimator in ((ESTIMATED, best), (RULE, PARAMS)):
        value = estimated(record, name, estimator)
        if value is not None and (what == RULE or best != PARAMS):
            yield {**head, "what": what, **measured(None), "value": value}


def _spec(
    values: Sequence[dict[str, Value]], labels: Sequence[str], unit: str, present: Sequence[str]
) -> Spec:
    """Bars with whiskers, and a mark for each estimate."""
    shapes, colors = zip(*(LOOKS[what] for what in present), strict=True)
    kinds = Series("what", "", tuple(present), shapes, colors)
    row = names("row", labels)
    place = {"x": number("value", unit, scale={"zero": True}), "y": row}
    series = {"color": kinds.color, "shape": kinds.shape}
    height = rows_height(len(labels))
    bars = layer(
        {"type": "bar", "height": {"band": 0.55}, "opacity": 0.85},
        {
            **place,
            "color": kinds.color,
            "tooltip": [*tooltip(("row", "row")), *interval_tooltip("value", unit)],
        },
        chosen_only(),
        only("what", MEASURED),
        params=kinds.chosen,
    )
    whiskers = whisker(
        {"strokeWidth": 1.5, "style": "strong"},
        {"x": number("low", unit), "x2": {"field": "high"}, "y": row},
        values,
        chosen_only(),
    )
    marks = [
        layer(
            {"type": "point", "filled": True, "opacity": 1, "size": size},
            {
                **place,
                **series,
                "tooltip": tooltip(("row", "row"), ("what", "what"), ("value", unit, ",.4~r")),
            },
            chosen_only(),
            only("what", what),
        )
        for what, size in ((RULE, 230), (ESTIMATED, 80))
        if what in present
    ]
    return layered(values, [bars, *whiskers, *marks], height)
