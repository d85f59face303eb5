"""Estimates as people read them: a headline, the columns that vary, ranges, notes below."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.core.units import MIB
from harness.estimator.answer import Estimate
from harness.estimator.case import Range
from harness.estimator.flat import Value, breakdown_values, flat_values
from harness.estimator.structure import Breakdown
from harness.report.grid import MISSING, draw_rows


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table.

    Attributes:
        header: with the unit as its last word.
        cell: draws it.
        is_key: what was asked: left out of the table, and put above it, where it never varies.
    """

    header: str
    cell: Callable[[Estimate], str]
    is_key: bool = False


COLUMNS = (
    Column("model", lambda e: e.case.subject.name, is_key=True),
    Column("parameters", lambda e: f"{e.case.subject.parameters:,}", is_key=True),
    Column("quant", lambda e: e.case.level.name, is_key=True),
    Column("device", lambda e: e.case.device.key, is_key=True),
    Column("depth", lambda e: str(e.case.lengths.depth_tokens), is_key=True),
    Column("prompt", lambda e: str(e.case.lengths.prompt_tokens), is_key=True),
    Column("batch", lambda e: str(e.case.lengths.batch), is_key=True),
    Column("weights MiB", lambda e: f"{e.sizes.weights_bytes / MIB:,.0f}"),
    Column("peak MiB", lambda e: f"{e.sizes.memory.peak_bytes / MIB:,.0f}"),
    Column("fits", lambda e: "yes" if e.sizes.fits else "no"),
    Column("TTFT ms", lambda e: draw_range(e.speeds.ttft_s, 1e3)),
    Column("encode ms", lambda e: draw_range(e.speeds.encode_s, 1e3)),
    Column("decode tok/s", lambda e: draw_range(e.speeds.decode_tok_s)),
    Column("bound", lambda e: e.speeds.bound),
    Column("naive tok/s", lambda e: draw_number(e.naive_decode_tok_s)),
    Column("energy floor mJ", lambda e: draw_number(e.energy.floor_j, 1e3)),
    Column("energy modelled mJ", lambda e: draw_range(e.energy.modelled_j, 1e3)),
    Column("cost per million tokens", lambda e: draw_range(e.energy.cost_per_million_tokens)),
)


def draw_estimates(
    rows: Sequence[Estimate], style: str, explain: bool
) -> tuple[str, tuple[str, ...]]:
    """Draw estimates.

    Args:
        rows: at least one.
        style: of `options.FORMATS`; machine formats hold every value, people's those that vary.
        explain: add the terms of each time.

    Returns:
        The text, and the notes that the format has no room for.
    """
    if style in ("json", "jsonl"):
        records = [_record(row, explain) for row in rows]
        if style == "json":
            return json.dumps(records, indent=1, ensure_ascii=False), ()
        return "\n".join(json.dumps(record, ensure_ascii=False) for record in records), ()
    notes = tuple(_notes(rows))
    if style == "csv":
        flat = [flat_values(row) for row in rows]
        cells = [[_plain(value) for value in record.values()] for record in flat]
        return draw_rows(list(flat[0]), cells, style), notes
    parts = [_headline(rows), _table(rows, style)]
    parts += [_explanation(row, style) for row in rows] if explain else []
    below = [f"- {line}" for line in (*_bases(rows), *notes)]
    return "\n\n".join([*(part for part in parts if part), "\n".join(below)]), ()


def draw_number(value: float | None, factor: float = 1.0) -> str:
    """Draw a value to three digits, `–` where it is not known; never a bare 0 for a small one."""
    if value is None:
        return MISSING
    value *= factor
    if value >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def draw_range(ends: Range | None, factor: float = 1.0) -> str:
    """Draw both ends, or one where they look the same."""
    if ends is None:
        return MISSING
    low, high = draw_number(ends.low, factor), draw_number(ends.high, factor)
    return low if low == high else f"{low}–{high}"


def _table(rows: Sequence[Estimate], style: str) -> str:
    """Draw the columns that vary, and the answers that any row has."""
    header, columns = [], []
    for column in COLUMNS:
        cells = [column.cell(row) for row in rows]
        hidden = len(set(cells)) == 1 if column.is_key else set(cells) == {MISSING}
        if not hidden:
            header.append(column.header)
            columns.append(cells)
    return draw_rows(header, [list(cells) for cells in zip(*columns, strict=True)], style)


def _headline(rows: Sequence[Estimate]) -> str:
    """Return what all rows share: `model smollm2-135m, quant int4, device rpi5, ...`."""
    shared = []
    for column in COLUMNS:
        cells = {column.cell(row) for row in rows}
        if column.is_key and len(cells) == 1:
            shared.append(f"{column.header} {cells.pop()}")
    return "Estimated, not measured: " + ", ".join(shared) if shared else "Estimated, not measured"


def _bases(rows: Sequence[Estimate]) -> list[str]:
    """Return what counts, speeds and energies stand on, each basis once."""
    counts = dict.fromkeys(f"parameters: {row.case.subject.basis}" for row in rows)
    speeds = dict.fromkeys(f"speed: {row.basis}" for row in rows)
    energies = {}
    for row in rows:
        device = row.case.device
        if device.power_w is None:
            continue
        watts = "–".join(dict.fromkeys(f"{number:g}" for number in device.power_w))
        energies[f"energy modelled: {watts} W x time ({device.power_basis}); floor: physics"] = 1
    return [*counts, *speeds, *energies]


def _notes(rows: Sequence[Estimate]) -> list[str]:
    """Return every note once; those that not all rows share say which rows they are of."""
    owners: dict[str, list[str]] = {}
    for row in rows:
        label = f"{row.case.subject.name}, {row.case.level.name}, {row.case.device.key}"
        for note in dict.fromkeys(row.notes):
            owners.setdefault(note, []).append(label)
    return [
        note if len(labels) == len(rows) else f"{_labels(labels)}: {note}"
        for note, labels in owners.items()
    ]


def _labels(labels: Sequence[str]) -> str:
    """Return the first label, and how many more there are."""
    distinct = tuple(dict.fromkeys(labels))
    more = f" and {len(distinct) - 1} more" if len(distinct) > 1 else ""
    return f"{distinct[0]}{more}"


def _explanation(row: Estimate, style: str) -> str:
    """Draw prefill and step of one row, term by term, at the slow and at the fast end."""
    cells = []
    for slow, fast in _passes(row):
        name = slow.name
        for term, other in zip(slow.terms, fast.terms, strict=True):
            work, bound = term.work, "/".join(dict.fromkeys((term.bound, other.bound)))
            amounts = [_amount(work.read_bytes / MIB), _amount(work.flop / 1e9)]
            times = [draw_number(part.seconds, 1e3) for part in (other, term)]
            cells.append([name, work.name, work.kernel, *amounts, *times, bound])
        total = [draw_number(part.seconds, 1e3) for part in (fast, slow)]
        largest = slow.dominating.work.name
        cells.append([name, "sum", f"most: {largest}", MISSING, MISSING, *total, slow.bound])
    header = ["pass", "term", "kernel", "read MiB", "Gflop", "least ms", "most ms", "bound"]
    title = f"{row.case.subject.name}, {row.case.level.name}, {row.case.device.key}:"
    return f"{title}\n\n{draw_rows(header, cells, style)}"


def _amount(value: float) -> str:
    """Draw what a term has to do; a term that has none of it shows a dash."""
    return draw_number(value) if value else MISSING


def _passes(row: Estimate) -> list[tuple[Breakdown, Breakdown]]:
    """Return (slow, fast) of the prefill, where a peak is known, and of the step."""
    speeds = row.speeds
    pairs = [(ends[0], ends[1]) for ends in (speeds.prefills, speeds.steps) if ends]
    return pairs if row.case.decodes else pairs[-1:]


def _record(row: Estimate, explain: bool) -> dict[str, object]:
    """Return one row as JSON holds it."""
    record: dict[str, object] = {**flat_values(row)}
    record["memory"] = {part.name: round(part.resident_bytes) for part in row.sizes.memory.terms}
    record["notes"] = list(dict.fromkeys(row.notes))
    if explain:
        ends = ("slow", "fast")
        record["terms"] = {
            f"{part.name}, {end}": breakdown_values(part)
            for pair in _passes(row)
            for end, part in zip(ends, pair, strict=True)
        }
    return record


def _plain(value: Value) -> str:
    """Return a value as CSV holds it: floats to six digits, None as missing."""
    if value is None:
        return MISSING
    return f"{value:.6g}" if isinstance(value, float) else str(value)
