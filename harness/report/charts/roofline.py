"""The roofline of a machine, as it was measured, with every cell's passes on it. Pure.

Source: Williams et al. 2009, doi:10.1145/1498765.1498785. The slope is the read bandwidth at the
largest working set, each flat roof the fastest measured rate of a kernel.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.core.units import GB
from harness.report.charts.cells import Machine, bits_of, cell_words, cut, is_drawn
from harness.report.charts.chart import PLOT_HEIGHT, Chart, Spec, Value, chart
from harness.report.charts.labels import LINE_PX
from harness.report.charts.parts import (
    NUMBER,
    Series,
    chosen_only,
    interval_tooltip,
    layer,
    layered,
    logarithmic,
    name_text,
    tooltip,
    whisker,
)
from harness.report.charts.peaks import Roof, kernels_of, roof_of
from harness.report.charts.themes import PALETTE
from harness.report.headline import thread_words
from harness.report.rows import shown_metric
from harness.results.explanation import EstimatedPass
from harness.results.metrics import metric_of_pass
from harness.results.schema import Metric, Record

FEW = 2  # roofs: both may be named
PASS_SHAPES = {"decode step": "circle", "prefill": "triangle-up", "encode": "square"}
OTHER_SHAPE = "diamond"
# flop/s, bytes/s and flop a byte that some machine could have; others would leave the axes no room
LEAST_DRAWN, MOST_DRAWN = 1e-6, 1e24
# least bits of a weight, scales included -> what such levels are called
BITS = ((24.0, "32"), (12.0, "16"), (6.5, "8"), (3.5, "4"), (0.01, "2"), (0.0, "not counted"))


@dataclass(frozen=True, slots=True)
class _Spot:
    """One pass of one cell."""

    record: Record
    pass_name: str
    flop: float
    read_bytes: float
    time: Metric

    @property
    def intensity(self) -> float:
        """Flop for every byte that is read."""
        return self.flop / self.read_bytes

    def gflops(self, time_ms: float | None) -> float | None:
        """Flop per second in thousand millions, where the pass takes a time."""
        return self.flop / (time_ms / 1e3) / GB if time_ms and time_ms > 0 else None


def roofline_charts(all_machines: Sequence[Machine]) -> Iterator[Chart]:
    """A chart for each document, device and number of threads with cells and peaks."""
    found = [
        (machine, device, threads, roof, spots)
        for machine in all_machines
        for (device, threads), spots in _groups(machine).items()
        if (roof := roof_of(machine.document.environment, device, threads, kernels_of(machine)))
        is not None
        and all(_is_drawn(rate) for rate in (roof.bytes_per_s, *roof.flop_per_s.values()))
    ]
    if not found:
        return
    ends = [_ends(roof, spots) for *_, roof, spots in found]
    # one pair of axes for all, so that machines side by side can be compared
    x = (min(end[0][0] for end in ends), max(end[0][1] for end in ends))
    y = (min(end[1][0] for end in ends), max(end[1][1] for end in ends))
    for machine, device, threads, roof, spots in found:
        yield _roofline_chart(machine, (device, threads), roof, spots, (x, y))


def _groups(machine: Machine) -> dict[tuple[str, int], list[_Spot]]:
    """Passes with a measured time, by device and threads."""
    groups: dict[tuple[str, int], list[_Spot]] = {}
    for record in machine.document.records:
        if is_drawn(record) and record.explanation is not None:
            for one in record.explanation.passes:
                spot = _spot(record, one)
                if spot is not None:
                    key = (record.cell.device, record.cell.threads)
                    groups.setdefault(key, []).append(spot)
    return groups


def _spot(record: Record, one: EstimatedPass) -> _Spot | None:
    """Where a pass stands; None: it was not measured, or nothing of it is counted."""
    try:
        time = shown_metric(record, metric_of_pass(one.pass_name).name)
    except KeyError:  # a pass of a later version
        return None
    flop = sum(term.flop for term in one.terms)
    read_bytes = sum(term.read_bytes for term in one.terms)
    if time is None or not time.value or flop <= 0 or read_bytes <= 0:
        return None
    spot = _Spot(record, one.pass_name, flop, read_bytes, time)
    drawn = _is_drawn(spot.intensity) and _is_drawn(flop / time.value)
    return spot if drawn else None


def _is_drawn(number: float) -> bool:
    """Whether a rate, or a quotient of work and bytes, has a place on the axes."""
    return LEAST_DRAWN < number < MOST_DRAWN


def _ends(roof: Roof, spots: Sequence[_Spot]) -> tuple[tuple[float, float], tuple[float, float]]:
    """The intensities and rates that are drawn."""
    across = [spot.intensity for spot in spots]
    peaks = list(roof.flop_per_s.values())
    ridge = [peak / roof.bytes_per_s for peak in peaks]
    x = (min(across) / 2, max([*across, *ridge]) * 4)
    rates = [rate for spot in spots if (rate := spot.gflops(spot.time.value)) is not None]
    tops = [peak / GB for peak in peaks] or [x[1] * roof.bytes_per_s / GB]
    return x, (min(rates) / 2, max([*rates, *tops]) * 1.6)


def _roofs(roof: Roof, x: tuple[float, float], y: tuple[float, float]) -> list[dict[str, Value]]:
    """Both ends of the slope, and of every flat roof from the slope on."""
    slope = roof.bytes_per_s / GB
    top = max((peak / GB for peak in roof.flop_per_s.values()), default=y[1])
    low = max(x[0], y[0] / slope)
    memory = f"memory {slope:.3g} GB/s"
    lines: list[dict[str, Value]] = [
        {"roof": memory, "intensity": at, "gflops": at * slope, "what": "memory"}
        for at in (low, min(top / slope, x[1]))
    ]
    for kernel, peak in sorted(roof.flop_per_s.items(), key=lambda item: -item[1]):
        rate = peak / GB
        words = f"{cut(kernel)} {rate:,.3g}"
        lines += [
            {"roof": words, "intensity": at, "gflops": rate, "what": "compute"}
            for at in (rate / slope, x[1])
        ]
    return lines


def _roofline_chart(
    machine: Machine,
    where: tuple[str, int],
    roof: Roof,
    spots: Sequence[_Spot],
    axes: tuple[tuple[float, float], tuple[float, float]],
) -> Chart:
    """One device with one number of threads."""
    device, threads = where
    labels = cell_words([spot.record.cell for spot in spots], never=("threads", "device"))
    values = [_value(label, spot) for label, spot in zip(labels, spots, strict=True)]
    lines = _roofs(roof, *axes)
    caption = (
        "Each mark is one pass of a cell: what it computes for every byte that it reads, and how"
        " fast. On the slope reading memory is the limit (what fits into caches may stand above),"
        f" at a flat roof its kernel. Work and bytes are counted, times measured; {roof.source}."
    )
    place = device if not threads else f"{device}, {thread_words(threads)}"
    return chart(
        f"roofline-{device}-{threads}",
        f"Roofline ({place}){machine.suffix}",
        caption,
        _spec(values, lines, axes),
        [
            {
                "cell": row["cell"],
                "pass": row["pass"],
                "flop per byte": row["intensity"],
                "Gflop/s": row["gflops"],
                "low Gflop/s": row["low"],
                "high Gflop/s": row["high"],
                "GB/s": row["gbytes"],
            }
            for row in values
        ],
        **machine.words,
    )


def _value(label: str, spot: _Spot) -> dict[str, Value]:
    """What is drawn of a pass."""
    rate = spot.gflops(spot.time.value)
    return {
        "cell": label,
        "level": cut(spot.record.cell.level),
        "bits": _bits(bits_of(spot.record)),
        "pass": spot.pass_name if spot.pass_name in PASS_SHAPES else "other",
        "intensity": spot.intensity,
        "gflops": rate,
        "low": spot.gflops(spot.time.high),
        "high": spot.gflops(spot.time.low),
        "gbytes": None if rate is None else rate / spot.intensity,
        "processes": spot.time.processes,
    }


def _bits(bits: float) -> str:
    """A class of stored bits of a weight."""
    return next(words for least, words in BITS if bits >= least)


def _spec(
    values: Sequence[dict[str, Value]],
    lines: Sequence[dict[str, Value]],
    axes: tuple[tuple[float, float], tuple[float, float]],
) -> Spec:
    """Roofs with their names, and the passes under them."""
    x = logarithmic("intensity", "flop for every byte read", *axes[0])
    y = logarithmic("gflops", "Gflop/s", *axes[1])
    series = _series(values)
    shapes = {**PASS_SHAPES, "other": OTHER_SHAPE}
    present = [name for name in shapes if any(row["pass"] == name for row in values)]
    passes: Spec = {
        "field": "pass",
        "type": "nominal",
        "title": "pass",
        "scale": {"domain": present, "range": [shapes[name] for name in present]},
    }
    roofs = {"data": {"values": list(lines)}}
    return layered(
        values,
        [
            layer(
                {"type": "line", "style": "quiet", "strokeWidth": 1.2, "clip": True},
                {
                    "x": x,
                    "y": y,
                    "detail": {"field": "roof", "type": "nominal"},
                    "tooltip": tooltip(("roof", "roof"), ("gflops", "Gflop/s", NUMBER)),
                },
                **roofs,
            ),
            *_names(lines, axes, x, y),
            *whisker(
                {"strokeOpacity": 0.5, "clip": True},
                {
                    "x": x,
                    "y": {**y, "field": "low"},
                    "y2": {"field": "high"},
                    "color": series.color,
                },
                values,
                chosen_only(),
            ),
            layer(
                {"type": "point", "filled": True, "size": 80, "opacity": 0.85, "clip": True},
                {
                    "x": x,
                    "y": y,
                    "color": series.color,
                    "shape": passes,
                    "tooltip": [
                        *tooltip(("cell", "cell"), ("pass", "pass")),
                        *interval_tooltip("gflops", "Gflop/s"),
                        *tooltip(
                            ("gbytes", "GB/s", NUMBER),
                            ("intensity", "flop per byte", NUMBER),
                        ),
                    ],
                },
                chosen_only(),
                params=series.chosen,
            ),
        ],
        PLOT_HEIGHT + 40,
    )


def _series(values: Sequence[dict[str, Value]]) -> Series:
    """Levels; more of them than there are colours, for shapes are taken, by their bits."""
    levels = tuple(dict.fromkeys(str(row["level"]) for row in values))
    if len(levels) <= len(PALETTE):
        return Series("level", "level", levels)
    order = [words for _, words in BITS]
    bits = sorted({str(row["bits"]) for row in values}, key=order.index)
    return Series("bits", "bits a weight", tuple(bits))


def _names(
    lines: Sequence[dict[str, Value]],
    axes: tuple[tuple[float, float], tuple[float, float]],
    x: Spec,
    y: Spec,
) -> Iterator[Spec]:
    """Yield the names of the roofs: of flat ones at their right end, of the slope along it."""
    flat = [line for line in lines if line["what"] == "compute" and line["intensity"] == axes[0][1]]
    pixels_per_ln = (PLOT_HEIGHT + 40) / math.log(axes[1][1] / axes[1][0])
    groups: list[list[dict[str, Value]]] = []
    for line in flat:  # the fastest first
        if groups and _ln(groups[-1][0]) - _ln(line) < LINE_PX / pixels_per_ln:
            groups[-1].append(line)
        else:
            groups.append([line])
    # of many roofs the names of the outer ones: those between would cover the marks
    ends = [(groups[0], "bottom", -3.0)] if groups else []
    ends += [(groups[-1], "top", 4.0)] if len(groups) > 1 else []
    text: Spec = {"x": x, "y": y, **name_text("roof")}
    for group, baseline, dy in ends:
        told = group if len(flat) <= FEW else [group[-1 if baseline == "top" else 0]]
        yield layer(
            {"type": "text", "align": "right", "baseline": baseline, "dx": -4, "dy": dy},
            text,
            data={"values": [{**told[0], "roof": _joined(told)}]},
        )
    slope = [line for line in lines if line["what"] == "memory"]
    yield layer(
        {"type": "text", "align": "right", "baseline": "bottom", "dx": -8, "dy": -2},
        text,
        data={"values": [_middle(slope)]},
    )


def _ln(line: Mapping[str, Value]) -> float:
    """Where a roof stands on the logarithmic axis."""
    return math.log(float(line["gflops"] or 1.0))


def _joined(group: Sequence[Mapping[str, Value]]) -> str:
    """The names of roofs that lie too near to each other for a line of text each."""
    return f"{', '.join(str(line['roof']) for line in group)} Gflop/s"


def _middle(slope: Sequence[dict[str, Value]]) -> dict[str, Value]:
    """A point on the slope, a third from its lower end."""
    low, high = (float(line["intensity"] or 1.0) for line in slope)
    at = low ** (1 / 2) * high ** (1 / 2)
    rate = float(slope[0]["gflops"] or 1.0) / low * at
    return {**slope[0], "intensity": at, "gflops": rate}
