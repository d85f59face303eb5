"""The speed of tests that ran for minutes without a rest, window by window. Pure."""

from collections.abc import Iterator, Sequence

from harness.report.charts.cells import Machine, cell_words, is_drawn, measured
from harness.report.charts.chart import Chart, Spec, Value, chart
from harness.report.charts.parts import (
    NUMBER,
    Series,
    chosen_only,
    layer,
    layered,
    number,
    only,
    tooltip,
    whisker,
)
from harness.report.charts.thinning import MOST_POINTS, thinned
from harness.report.rows import shown_metric
from harness.results.replies import Sustained
from harness.results.schema import Record
from harness.results.sustained import PREFIX

MOST_SERIES = 16


def sustained_charts(all_machines: Sequence[Machine]) -> Iterator[Chart]:
    """A chart for each document and unit with windows."""
    for machine in all_machines:
        groups: dict[str, list[Record]] = {}
        for record in machine.document.records:
            found = record.sustain
            if found is not None and found.windows and found.unit and is_drawn(record):
                groups.setdefault(found.unit, []).append(record)
        for unit, records in groups.items():
            yield _sustained_chart(machine, unit, records)


def _sustained_chart(machine: Machine, unit: str, records: Sequence[Record]) -> Chart:
    """The tests of one unit."""
    drawn = records[:MOST_SERIES]
    labels = cell_words([record.cell for record in drawn], always=("level", "workload"))
    pairs = [
        (label, record.sustain)
        for label, record in zip(labels, drawn, strict=True)
        if record.sustain is not None
    ]
    each = max(2, MOST_POINTS // len(pairs))
    values = [row for label, found in pairs for row in _windows(label, found, each)]
    ends = [_end(label, record, found) for (label, found), record in zip(pairs, drawn, strict=True)]
    windows = sum(len(found.windows) for _, found in pairs)
    notes = [f"{MOST_SERIES} of {len(records)} tests are drawn"] * (len(records) > MOST_SERIES)
    notes += [f"{len(values):,} of {windows:,} windows are drawn"] * (len(values) < windows)
    return chart(
        "sustained",
        f"Speed over time without a rest, {unit}{machine.suffix}",
        "One process for each test, which does not rest: a line that falls shows heat, power limits"
        " or a quota. Crosses: the processor slowed down, or a quota stopped the process. The bar"
        " at its end is the 95 % interval of what the speed has come to.",
        _spec(values, ends, labels, unit),
        [
            {
                "test": label,
                f"peak {unit}": found.peak,
                f"sustained {unit}": found.sustained,
                f"low {unit}": end["low"],
                f"high {unit}": end["high"],
                "share of the peak": found.share,
                "throttled after s": found.throttled_after_s,
            }
            for (label, found), end in zip(pairs, ends, strict=True)
        ],
        notes=tuple(notes),
        **machine.words,
    )


def _windows(label: str, found: Sustained, most: int) -> Iterator[dict[str, Value]]:
    """Yield what is drawn of one test: a window at its middle."""
    for window in thinned(found.windows, most, key=lambda window: window.rate):
        events = (window.thermal_events or 0) + (window.throttled_periods or 0)
        yield {
            "test": label,
            "seconds": window.start_s + (found.window_s or 0.0) / 2,
            "rate": window.rate,
            "events": events,
            "slowed": "yes" if events else "no",
            "background": window.background_cpu_share,
        }


def _end(label: str, record: Record, found: Sustained) -> dict[str, Value]:
    """What the speed has come to, with its interval, at the last window."""
    metric = shown_metric(record, f"{PREFIX}{found.metric}")
    last_s = found.windows[-1].start_s + (found.window_s or 0.0) / 2
    return {"test": label, "seconds": last_s, **measured(metric)}


def _spec(
    values: Sequence[dict[str, Value]],
    ends: Sequence[dict[str, Value]],
    labels: Sequence[str],
    unit: str,
) -> Spec:
    """Lines with their windows, and crosses where something slowed the processor down."""
    series = Series("test", "test", tuple(labels))
    place: Spec = {
        "x": number("seconds", "s since the first window", scale={"zero": True}),
        "y": number("rate", unit, scale={"zero": True}),
        "color": series.color,
    }
    return layered(
        values,
        [
            *whisker(
                {"strokeWidth": 2.5, "strokeOpacity": 0.6},
                {**place, "y": {**place["y"], "field": "low"}, "y2": {"field": "high"}},
                ends,
                chosen_only(),
                data={"values": list(ends)},
            ),
            layer({"type": "line", "strokeWidth": 1.5}, place, chosen_only()),
            layer(
                {"type": "point", "filled": True, "size": 28, "opacity": 0.9},
                {
                    **place,
                    "shape": series.shape,
                    "tooltip": tooltip(
                        ("test", "test"),
                        ("seconds", "s", NUMBER),
                        ("rate", unit, NUMBER),
                        ("background", "other programs, share of the processors", ".1%"),
                        ("events", "slow-downs"),
                    ),
                },
                chosen_only(),
                params=series.chosen,
            ),
            layer(
                {
                    "type": "point",
                    "shape": "cross",
                    "filled": True,
                    "size": 110,
                    "angle": 45,
                    "style": "quiet",
                },
                {"x": place["x"], "y": place["y"]},
                chosen_only(),
                only("slowed", "yes"),
            ),
        ],
    )
