"""Several machines side by side: their peaks, and the same cells on each. Pure."""

from collections.abc import Iterator, Sequence

from harness.core.units import GB
from harness.report.charts.cells import Machine, cell_words, cut, is_drawn, measured, sources
from harness.report.charts.chart import Chart, Spec, Value, chart
from harness.report.charts.parts import (
    Series,
    chosen_only,
    interval_tooltip,
    known,
    layer,
    layered,
    names,
    number,
    tooltip,
    whisker,
)
from harness.report.charts.peaks import kernels_of, roof_of
from harness.report.headline import thread_words
from harness.report.rows import Row, make_rows, shown_metric
from harness.results.metrics import rate_of_kind
from harness.results.schema import Cell, kind_of

MOST_ROWS = 30
MOST_MACHINES = 10  # side by side in each row
UNITS = {"memory": "GB/s", "compute": "Gflop/s"}


def side_by_side_charts(all_machines: Sequence[Machine]) -> Iterator[Chart]:
    """Nothing of one document; of several the rates of cells that two of them hold, and peaks."""
    if len(all_machines) < 2:
        return
    yield from _rate_charts(all_machines)
    for what, unit in UNITS.items():
        values = [row for machine in all_machines for row in _peaks(machine, what)]
        if len({row["machine"] for row in values}) > 1:
            yield _peak_chart(all_machines, values, what, unit)


def _rate_charts(all_machines: Sequence[Machine]) -> Iterator[Chart]:
    """Yield a chart for each unit in which two documents measured the same cell."""
    found: dict[str, dict[Cell, dict[str, Row]]] = {}
    for machine in all_machines:
        for row in make_rows(machine.document.records):
            if row.judged is not None and is_drawn(row.judged):
                unit = rate_of_kind(kind_of(row.judged.cell)).unit
                found.setdefault(unit, {}).setdefault(row.judged.cell, {})[machine.label] = row
    for unit, cells in found.items():
        shared = {cell: rows for cell, rows in cells.items() if len(rows) > 1}
        if shared:
            yield _rate_chart(all_machines, unit, shared)


def _rate_chart(
    all_machines: Sequence[Machine], unit: str, shared: dict[Cell, dict[str, Row]]
) -> Chart:
    """The same cells on each machine."""
    known = all_machines[:MOST_MACHINES]
    drawn = list(shared.items())[:MOST_ROWS]
    labels = cell_words([cell for cell, _ in drawn])
    values: list[dict[str, Value]] = [
        {
            "row": label,
            "machine": machine.label,
            **measured(shown_metric(row.judged, rate_of_kind(kind_of(cell)).name)),
        }
        for label, (cell, rows) in zip(labels, drawn, strict=True)
        for machine in known
        if (row := rows.get(machine.label)) is not None and row.judged is not None
    ]
    return chart(
        "machines-rates",
        f"The same cells on each machine, {unit}",
        "Each mark is one cell of one run, median over its processes with its 95 % interval: more"
        " is faster.",
        _spec(values, labels, unit, known),
        _table(values, unit),
        notes=(
            *(f"{MOST_ROWS} of {len(shared)} cells are drawn",) * (len(shared) > MOST_ROWS),
            *_notes(all_machines, known),
        ),
        source=sources(all_machines),
    )


def _table(values: Sequence[dict[str, Value]], unit: str) -> list[dict[str, Value]]:
    """What is drawn, as lines."""
    return [
        {
            "row": row["row"],
            "machine": row["machine"],
            unit: row["value"],
            f"low {unit}": row["low"],
            f"high {unit}": row["high"],
        }
        for row in values
    ]


def _notes(all_machines: Sequence[Machine], known: Sequence[Machine]) -> tuple[str, ...]:
    """How many of the results are drawn, where some are not."""
    some = len(known) < len(all_machines)
    return (f"{len(known)} of {len(all_machines)} results are drawn",) * some


def _peaks(machine: Machine, what: str) -> Iterator[dict[str, Value]]:
    """Yield the peaks of a document by device and threads."""
    cells = [record.cell for record in machine.document.records]
    for device, threads in dict.fromkeys((cell.device, cell.threads) for cell in cells):
        roof = roof_of(machine.document.environment, device, threads, kernels_of(machine))
        if roof is None:
            continue
        place = f"{cut(device)}, {thread_words(threads)}"
        peaks = {"": roof.memory} if what == "memory" else roof.kernels
        for name, peak in peaks.items():
            yield {
                "row": f"{cut(name)}, {place}" if name else place,
                "machine": machine.label,
                "value": peak.rate_per_s / GB,
                "low": peak.low_per_s / GB if peak.low_per_s else None,
                "high": peak.high_per_s / GB if peak.high_per_s else None,
                "processes": peak.processes,
            }


def _peak_chart(
    all_machines: Sequence[Machine], values: Sequence[dict[str, Value]], what: str, unit: str
) -> Chart:
    """One kind of peak."""
    known = all_machines[:MOST_MACHINES]
    told = {machine.label for machine in known}
    labels = sorted({str(row["row"]) for row in values if row["machine"] in told})[:MOST_ROWS]
    values = [row for row in values if row["row"] in labels and row["machine"] in told]
    titles = {"memory": "Read bandwidth", "compute": "Fastest rate of each matrix kernel"}
    return chart(
        f"machines-{what}",
        f"{titles[what]} of each machine, {unit}",
        "The peaks that estimates of each machine are made with, measured there without a model.",
        _spec(values, labels, unit, known),
        _table(values, unit),
        notes=_notes(all_machines, known),
        source=sources(all_machines),
    )


def _spec(
    values: Sequence[dict[str, Value]],
    labels: Sequence[str],
    unit: str,
    all_machines: Sequence[Machine],
) -> Spec:
    """A mark and whisker for each machine in the line of each row."""
    series = Series("machine", "machine", tuple(machine.label for machine in all_machines))
    apart: Spec = {"field": "machine", "type": "nominal", "scale": {"domain": list(series.names)}}
    place: Spec = {"y": names("row", labels), "yOffset": apart, "color": series.color}
    return layered(
        values,
        [
            *whisker(
                {"strokeWidth": 1.5},
                {**place, "x": number("low", unit), "x2": {"field": "high"}},
                values,
                chosen_only(),
            ),
            layer(
                {"type": "point", "filled": True, "size": 70, "opacity": 1},
                {
                    **place,
                    "x": number("value", unit, scale={"zero": True}),
                    "shape": series.shape,
                    "tooltip": [
                        *tooltip(("row", "row"), ("machine", "machine")),
                        *interval_tooltip("value", unit),
                    ],
                },
                chosen_only(),
                known("value"),
                params=series.chosen,
            ),
        ],
        max(2, len(labels)) * max(22, 14 * len(all_machines)),
    )
