"""What the peak of memory is made of, measured and estimated. Pure.

Measured at marks of one process: after imports, after load, after the touched context, and its
high-water mark. What no mark tells apart is told apart by what is counted: the cache.
"""

from collections.abc import Iterator, Sequence

from harness.core.units import MIB
from harness.report.charts.cells import Machine, by_bits, cell_words, is_drawn
from harness.report.charts.chart import Chart, Spec, Value, chart
from harness.report.charts.parts import (
    NUMBER,
    Series,
    chosen_only,
    layer,
    layered,
    names,
    number,
    tooltip,
)
from harness.report.rows import Row, make_rows, shown
from harness.results.replies import MemoryTaken
from harness.results.schema import Record

MOST_ROWS = 24
RUNTIME = "runtime: interpreter, libraries"
MAPPED = "weights, mapped from files"
PREPACKED = "weights, prepacked copies"
CACHE = "cache and states"
ARENA = "arena: activations, buffers"
MOMENT = "loading, for a moment"
PARTS = (RUNTIME, MAPPED, PREPACKED, CACHE, ARENA, MOMENT)
# terms of an estimate -> what they are drawn as; all others are of the arena
TERMS = {
    "weights as held": PREPACKED,
    "mapped file": MAPPED,
    "rows looked up": MAPPED,
    "cache": CACHE,
    "states": CACHE,
    "second caches": CACHE,
    "loading, beyond the run": MOMENT,
    "runtime": RUNTIME,
}
MEASURED, ESTIMATED = "measured", "estimated"
HOW = {
    RUNTIME: "resident after imports",
    MAPPED: "mapped beyond the imports' after the touched context",
    PREPACKED: "without a file behind it after load",
    CACHE: "counted: keys, values and states that are bound",
    ARENA: "without a file behind it from load to the touched context, but for the cache",
    MOMENT: "high-water mark beyond what is held after the touched context",
}


def memory_charts(all_machines: Sequence[Machine]) -> Iterator[Chart]:
    """A chart for each document whose memory was taken at marks, or estimated in parts."""
    for machine in all_machines:
        rows = by_bits(make_rows(machine.document.records))
        pairs = [(row, record) for row in rows if (record := _largest(row)) is not None]
        found = [(row, record) for row, record in pairs if measured_parts(record)]
        if found:
            yield _memory_chart(machine, found)


def _largest(row: Row) -> Record | None:
    """The record of a row with the largest peak."""
    records = [record for record in row.records if is_drawn(record) and record.memory]
    return max(records, key=lambda one: shown(one, "peak_rss_bytes") or 0.0, default=None)


def measured_parts(record: Record) -> dict[str, float]:
    """Bytes by part, of the first process that took memory; empty: its marks were not told."""
    taken = record.memory[0] if record.memory else None
    held = None if taken is None else _held(taken)
    if taken is None or held is None or taken.peak_bytes is None:
        return {}
    anonymous, mapped, base = held
    cache = _cache_bytes(record)
    grown = max(0.0, anonymous[2] - anonymous[1])
    # A cache that is bound and not yet written is not resident; it cannot be more than has grown.
    # What is bound before load ends stands among the copies.
    parts = {
        RUNTIME: base,
        MAPPED: max(0.0, mapped[2] - mapped[0]),
        PREPACKED: max(0.0, anonymous[1] - anonymous[0]),
        CACHE: min(cache, grown),
        ARENA: grown - min(cache, grown),
    }
    return {**parts, MOMENT: max(0.0, taken.peak_bytes - sum(parts.values()))}


def _cache_bytes(record: Record) -> float:
    """Bytes of keys, values and states that are bound, as they are counted.

    Documents from before they were say what a token takes, which windows do not hold for.
    """
    counted, states = shown(record, "cache_bytes"), shown(record, "state_bytes") or 0.0
    if counted is None:
        tokens = record.cell.depth + record.cell.prompt + record.cell.gen
        counted = (shown(record, "kv_bytes_per_token") or 0.0) * tokens * record.cell.batch
    return counted + states


def _held(
    taken: MemoryTaken,
) -> tuple[tuple[float, ...], tuple[float, ...], float] | None:
    """Anonymous and mapped bytes at the three marks, and resident ones at the first.

    None: a mark is missing, or the system does not tell them apart.
    """
    marks = (taken.baseline, taken.loaded, taken.steady)
    known = [mark for mark in marks if mark is not None]
    anonymous = [mark.anonymous_bytes for mark in known if mark.anonymous_bytes is not None]
    mapped = [mark.file_bytes for mark in known if mark.file_bytes is not None]
    if len(known) < 3 or len(anonymous) < 3 or len(mapped) < 3:
        return None
    return tuple(map(float, anonymous)), tuple(map(float, mapped)), float(known[0].rss_bytes)


def estimated_parts(record: Record) -> dict[str, float]:
    """Bytes by part, of the estimate; empty: there is none."""
    found = () if record.explanation is None else record.explanation.memory
    parts: dict[str, float] = {}
    for part in found:
        name = TERMS.get(part.part, ARENA)
        parts[name] = parts.get(name, 0.0) + part.bytes
    return parts


def _memory_chart(machine: Machine, pairs: Sequence[tuple[Row, Record]]) -> Chart:
    """The rows of one document."""
    drawn = pairs[:MOST_ROWS]
    labels = cell_words([row.cell for row, _ in drawn], never=("workload",))
    values: list[dict[str, Value]] = [
        {
            "row": label,
            "what": what,
            "part": part,
            "place": PARTS.index(part),
            "mib": parts[part] / MIB,
            "how": HOW[part] if what == MEASURED else "estimated from the graph",
        }
        for label, (_, record) in zip(labels, drawn, strict=True)
        for what, parts in (
            (MEASURED, measured_parts(record)),
            (ESTIMATED, estimated_parts(record)),
        )
        for part in PARTS
        if parts.get(part)
    ]
    both = any(row["what"] == ESTIMATED for row in values)
    caption = (
        "The whole bar is the high-water mark of a process that times nothing; its parts are"
        " differences between marks on its way, and the cache is counted."
    )
    caption += " The paler bar below it is the estimate." * both
    return chart(
        "memory",
        f"What the peak of memory is made of, MiB{machine.suffix}",
        caption,
        _spec(values, labels, both),
        [
            {"row": row["row"], "what": row["what"], "part": row["part"], "MiB": row["mib"]}
            for row in values
        ],
        notes=(f"{MOST_ROWS} of {len(pairs)} rows are drawn",) * (len(pairs) > MOST_ROWS),
        **machine.words,
    )


def _spec(values: Sequence[dict[str, Value]], labels: Sequence[str], both: bool) -> Spec:
    """Stacked bars: measured, and under each the estimate."""
    series = Series("part", "part", PARTS)
    place: Spec = {
        "x": {**number("mib", "MiB resident"), "stack": "zero"},
        "y": names("row", labels),
        "color": series.color,
        "order": {"field": "place", "type": "quantitative"},
        "tooltip": tooltip(
            ("row", "row"),
            ("what", "what"),
            ("part", "part"),
            ("mib", "MiB", NUMBER),
            ("how", "how"),
        ),
    }
    offset = {"field": "what", "type": "nominal", "scale": {"domain": [MEASURED, ESTIMATED]}}
    bars = layer(
        {"type": "bar"},
        {
            **place,
            **({"yOffset": offset} if both else {}),
            "opacity": {
                "condition": {"test": {"field": "what", "equal": ESTIMATED}, "value": 0.5},
                "value": 1,
            },
        },
        chosen_only(),
        params=series.chosen,
    )
    return layered(values, [bars], max(2, len(labels)) * (34 if both else 24))
