"""The parts that specifications of Vega-Lite are put together from: channels, layers, series. Pure.

A series is hidden by a click on its entry in the legend: all are chosen at the start, and a click
takes one out or back in.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.charts.chart import NOMINAL_WIDTH, PLOT_HEIGHT, Spec, Value
from harness.report.charts.themes import PALETTE, SHAPES

CHOSEN = "chosen"  # the parameter that the legend sets
NUMBER = ",.4~r"  # format of d3: four digits, thousands apart, no exponent
TICK = 80  # px from one label of a horizontal axis to the next
LEAST_TICKS, MOST_TICKS = 3, 10  # of a logarithmic axis
MANTISSAS = (
    *(("1", "1.2", "1.4", "1.6", "1.8", "2", "2.5", "3", "3.5", "4", "5", "6", "7", "8", "9"),),
    *(("1", "1.5", "2", "3", "4", "5", "6", "7", "8", "9"), ("1", "1.5", "2", "3", "5", "7")),
    *(("1", "2", "5"), ("1", "3"), ("1",)),
)
STEP = 24  # px of a row in a chart with one row for each cell
AXIS = 60  # px that legends are moved to the right by, as plots are by their axis
PICTURE = NOMINAL_WIDTH + 2 * AXIS  # px of a whole picture, about
# Width of a page, or of a picture where there is none; not that of the plot, which is what
# a legend leaves of it.
ROOM = f"((isFinite(containerSize()[0]) ? containerSize()[0] : {PICTURE}) - {AXIS})"
NARROW = 440  # px of a plot; below it names would cover each other
LETTER, ENTRY = 5.7, 38.0  # px of a letter in a legend, and of what stands beside a name


@dataclass(frozen=True, slots=True)
class Series:
    """What colours and shapes stand for.

    Attributes:
        field: of the rows.
        title: of the legend.
        names: values of the field, in order; text of documents, and only data.
        shapes: of points, by name; None: of the usual ones.
        colors: likewise.
    """

    field: str
    title: str
    names: tuple[str, ...]
    shapes: tuple[str, ...] | None = None
    colors: tuple[str, ...] | None = None

    @property
    def color(self) -> Spec:
        """The channel of colours."""
        colors = self.colors or PALETTE
        return self._channel([colors[place % len(colors)] for place in range(len(self.names))])

    @property
    def shape(self) -> Spec:
        """The channel of shapes."""
        shapes = self.shapes or SHAPES
        return self._channel([shapes[place % len(shapes)] for place in range(len(self.names))])

    @property
    def chosen(self) -> list[Spec]:
        """The parameter that the legend sets: every series, at the start. For one layer alone."""
        return [
            {
                "name": CHOSEN,
                "select": {"type": "point", "fields": [self.field], "toggle": "true"},
                "bind": "legend",
                "value": [{self.field: name} for name in self.names],
            }
        ]

    def _channel(self, values: Sequence[str]) -> Spec:
        """A channel whose every name has its own value, drawn in as many columns as fit."""
        longest = max((len(name) for name in self.names), default=1)
        entry = round(ENTRY + LETTER * min(longest, 50))
        return {
            "field": self.field,
            "type": "nominal",
            "title": self.title or None,
            "scale": {"domain": list(self.names), "range": list(values)},
            "legend": {"columns": {"expr": f"max(1, floor({ROOM} / {entry}))"}},
        }


def chosen_only() -> Spec:
    """The transform that leaves the series which the legend shows."""
    return {"filter": {"param": CHOSEN}}


def known(field: str) -> Spec:
    """The transform that leaves rows which have a value."""
    return {"filter": {"field": field, "valid": True}}


def only(field: str, word: str) -> Spec:
    """The transform that leaves rows of one of our own words."""
    return {"filter": {"field": field, "equal": word}}


def number(field: str, title: str, **more: Any) -> Spec:
    """A quantitative channel; `title` has the unit."""
    scale = more.pop("scale", {})
    axis = {"format": NUMBER, "labelFlush": False, **more.pop("axis", {})}
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": scale,
        "axis": axis,
        **more,
    }


def logarithmic(field: str, title: str, low: float, high: float, **more: Any) -> Spec:
    """A quantitative channel on a logarithmic axis from `low` to `high`."""
    scale = {"type": "log", "domain": [low, high], "nice": False}
    axis = {"values": log_ticks(low, high)}
    return number(field, title, scale=scale, axis=axis, **more)


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers of a logarithmic axis: as many as have room, the same in every decade."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for mantissas in MANTISSAS:
        ticks = [
            tick
            for exponent in exponents
            for mantissa in mantissas
            if low <= (tick := float(f"{mantissa}e{exponent}")) <= high
        ]
        if len(ticks) <= MOST_TICKS:
            break
    return ticks if len(ticks) >= LEAST_TICKS else even_ticks(low, high)


def even_ticks(low: float, high: float) -> list[float]:
    """Round numbers at even distances, about five: of an axis too short for those of a decade."""
    rough = (high - low) / 5
    power = math.floor(math.log10(rough))
    step = next(step for times in (1, 2, 5, 10) if (step := float(f"{times}e{power}")) >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [float(f"{place * step:.12g}") for place in range(first, last + 1)]


def names(field: str, values: Sequence[str], title: str | None = None, **more: Any) -> Spec:
    """A nominal channel of a position, in the order of the values."""
    return {
        "field": field,
        "type": "nominal",
        "title": title,
        "scale": {"domain": list(values)},
        "sort": None,
        **more,
    }


def tooltip(*columns: tuple[str, str] | tuple[str, str, str]) -> list[Spec]:
    """What is shown of a mark on hover: (field, title with unit, and a format of numbers)."""
    return [
        {"field": field, "type": "quantitative", "title": title, "format": rest[0]}
        if rest
        else {"field": field, "type": "nominal", "title": title}
        for field, title, *rest in columns
    ]


def interval_tooltip(value: str, unit: str) -> list[Spec]:
    """Value, 95 % interval and number of processes of a measured quantity."""
    return tooltip(
        (value, unit, NUMBER),
        ("low", f"95 % from, {unit}", NUMBER),
        ("high", f"95 % to, {unit}", NUMBER),
        ("processes", "processes"),
    )


def name_text(field: str) -> Spec:
    """The channels of names beside marks, which a narrow page leaves to legend and hover."""
    return {
        "text": {"field": field, "type": "nominal"},
        "opacity": {"condition": {"test": f"width < {NARROW}", "value": 0}, "value": 1},
    }


def whisker(
    mark: Spec,
    encoding: Mapping[str, Any],
    values: Sequence[Mapping[str, Value]],
    *transforms: Spec,
    **more: Any,
) -> list[Spec]:
    """A layer of intervals; none where no row has one, whose axis would have no ends.

    Args:
        mark: what of it differs from a rule.
        encoding: with both ends of the interval, along `y` to `y2` or along `x` to `x2`.
        values: rows that it is drawn of.
        *transforms: before the rows without an interval are left out.
        **more: of the layer.
    """
    begins = encoding["y" if "y2" in encoding else "x"]["field"]
    if not any(row.get(begins) is not None for row in values):
        return []
    return [layer({"type": "rule", **mark}, encoding, *transforms, known(begins), **more)]


def layer(mark: Spec | str, encoding: Mapping[str, Any], *transforms: Spec, **more: Any) -> Spec:
    """One layer."""
    found: Spec = {"mark": mark, "encoding": dict(encoding), **more}
    across = found["encoding"].get("x", {})
    if across.get("type") == "quantitative" and across["scale"].get("type") != "log":
        axis = {**across["axis"], "tickCount": {"expr": f"max(2, ceil(width / {TICK}))"}}
        found["encoding"]["x"] = {**across, "axis": axis}
    return {**found, "transform": list(transforms)} if transforms else found


def layered(
    values: Sequence[Mapping[str, Value]],
    layers: Iterable[Spec],
    height: int | Spec = PLOT_HEIGHT,
    **more: Any,
) -> Spec:
    """A chart of several layers over the same rows, as wide as its container."""
    return {
        "width": "container",
        "height": height,
        "data": {"values": [dict(row) for row in values]},
        "layer": list(layers),
        **more,
    }


def rows_height(count: int) -> int:
    """Height of a chart with a line for each of some cells."""
    return max(2, count) * STEP
