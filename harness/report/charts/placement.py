"""Which provider took which nodes of each graph. Pure."""

from collections.abc import Iterator, Sequence

from harness.report.charts.cells import Machine, cell_words, cut
from harness.report.charts.chart import Chart, Value, chart
from harness.report.charts.parts import (
    Series,
    chosen_only,
    layer,
    layered,
    names,
    number,
    rows_height,
    tooltip,
)
from harness.report.explained import HOST
from harness.report.rows import Row, make_rows
from harness.results.replies import Placement

MOST_ROWS = 40


def placement_charts(all_machines: Sequence[Machine]) -> Iterator[Chart]:
    """A chart for each document with a device that is not the processor, or with two providers."""
    for machine in all_machines:
        pairs = [
            (row, found)
            for row in make_rows(machine.document.records)
            if (found := _placement(row)) is not None and found.nodes
        ]
        if any(row.cell.device != HOST or len(found.nodes) > 1 for row, found in pairs):
            yield _placement_chart(machine, pairs)


def _placement(row: Row) -> Placement | None:
    """Where the nodes of a row ran."""
    return next((one.placement for one in row.records if one.placement is not None), None)


def _placement_chart(machine: Machine, pairs: Sequence[tuple[Row, Placement]]) -> Chart:
    """The rows of one document."""
    drawn = pairs[:MOST_ROWS]
    labels = cell_words(
        [row.cell for row, _ in drawn], always=("level", "device"), never=("workload",)
    )
    values: list[dict[str, Value]] = [
        {
            "row": label,
            "provider": cut(provider),
            "nodes": count,
            "compute": found.compute_nodes.get(provider, 0),
            "share": count / total,
            "verdict": str(found.verdict),
        }
        for label, (_, found) in zip(labels, drawn, strict=True)
        if (total := sum(found.nodes.values()))
        for provider, count in found.nodes.items()
    ]
    series = Series(
        "provider", "provider", tuple(dict.fromkeys(str(row["provider"]) for row in values))
    )
    bars = layer(
        {"type": "bar", "height": {"band": 0.6}},
        {
            "x": {**number("nodes", "nodes of the graph"), "stack": "zero"},
            "y": names("row", labels),
            "color": series.color,
            "tooltip": tooltip(
                ("row", "row"),
                ("provider", "provider"),
                ("nodes", "nodes", ","),
                ("share", "share", ".1%"),
                ("compute", "of them matrices, attention, convolutions", ","),
                ("verdict", "placement"),
            ),
        },
        chosen_only(),
        params=series.chosen,
    )
    return chart(
        "placement",
        f"Which provider took which nodes{machine.suffix}",
        "Bars are nodes of the graph by the provider that ran them, before late fusions. A device"
        " counts only where it took all that computes.",
        layered(values, [bars], rows_height(len(labels))),
        [
            {
                "row": row["row"],
                "provider": row["provider"],
                "nodes": row["nodes"],
                "compute nodes": row["compute"],
                "placement": row["verdict"],
            }
            for row in values
        ],
        notes=(f"{MOST_ROWS} of {len(pairs)} rows are drawn",) * (len(pairs) > MOST_ROWS),
        **machine.words,
    )
