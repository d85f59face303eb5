"""Estimates as people read them: a headline, the columns that vary, ranges, notes below."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from harness.core.units import MIB
from harness.estimator.answer import Estimate
from harness.estimator.flat import breakdown_values, flat_values
from harness.estimator.query import Range
from harness.estimator.timing import Breakdown
from harness.report.grid import (
    KNOWN,
    MISSING,
    VARIES,
    Column,
    bullets,
    draw_columns,
    draw_records,
    draw_rows,
    prose,
    six_digits,
)
from harness.report.numbers import estimated
from harness.report.turns import TURNS

if TYPE_CHECKING:  # an answer without its nearest rows starts without what reads them
    from harness.estimator.nearest import NearRow

MOST_LINES = 12  # of one kind below a table
TESTS = "tests"  # as many positions as they need, in the word of --capacity


def _capacity(row: Estimate) -> str | None:
    """Positions that were asked for; none are where the tests decide."""
    count = row.case.lengths.capacity_tokens
    return f"{count:,}" if count else None


COLUMNS: tuple[Column[Estimate], ...] = (
    Column("model", lambda e: e.case.target.name, shown=VARIES),
    Column("parameters", lambda e: e.case.target.parameters, "{:,}".format, VARIES, leaves=1),
    Column("quant", lambda e: e.case.level.name, shown=VARIES),
    Column("device", lambda e: e.case.device.key, shown=VARIES),
    Column("turn", lambda e: e.case.lengths.turn or None, shown=VARIES),
    Column("depth", lambda e: e.case.lengths.depth_tokens, shown=VARIES),
    Column("prompt", lambda e: e.case.lengths.prompt_tokens, shown=VARIES),
    Column("gen", lambda e: e.case.lengths.gen_tokens or None, shown=VARIES),
    Column("batch", lambda e: e.case.lengths.batch, shown=VARIES),
    Column("capacity", _capacity, shown=VARIES),
    Column("weights MiB", lambda e: e.sizes.weights_bytes / MIB, "{:,.0f}".format, leaves=1),
    Column("peak MiB", lambda e: e.sizes.memory.peak_bytes / MIB, "{:,.0f}".format),
    Column("fits", lambda e: "yes" if e.sizes.fits else "no"),
    Column("TTFT ms", lambda e: e.speeds.ttft_s, lambda ends: draw_range(ends, 1e3), KNOWN),
    Column(
        "reread TTFT ms",
        lambda e: e.speeds.reread_ttft_s,
        lambda ends: draw_range(ends, 1e3),
        KNOWN,
    ),
    Column("encode ms", lambda e: e.speeds.encode_s, lambda ends: draw_range(ends, 1e3), KNOWN),
    Column("decode tok/s", lambda e: e.speeds.decode_tok_s, lambda ends: draw_range(ends), KNOWN),
    Column("bound", lambda e: e.speeds.bound, shown=KNOWN, leaves=2),
    Column("naive tok/s", lambda e: e.naive_decode_tok_s, lambda rate: draw_number(rate), KNOWN, 3),
    Column(
        "energy floor mJ",
        lambda e: e.energy.floor_j,
        lambda joule: draw_number(joule, 1e3),
        KNOWN,
        5,
    ),
    Column(
        "energy modelled mJ",
        lambda e: e.energy.modelled_j,
        lambda ends: draw_range(ends, 1e3),
        KNOWN,
        leaves=4,
    ),
    Column(
        "cost per million tokens",
        lambda e: e.energy.cost_per_million_tokens,
        lambda ends: draw_range(ends),
        KNOWN,
    ),
)


def draw_estimates(
    rows: Sequence[Estimate],
    style: str,
    explain: bool,
    near: Sequence[Sequence["NearRow"]] = (),
) -> tuple[str, tuple[str, ...]]:
    """Draw estimates.

    Args:
        rows: at least one.
        style: of `options.FORMATS`; machine formats hold every value, people's those that vary.
        explain: add the terms of each time.
        near: of each estimate the nearest published rows; empty: they are not asked for.

    Returns:
        The text, and the notes that the format has no room for.
    """
    if style in ("json", "jsonl"):
        beside: Sequence[Sequence[NearRow] | None] = near or [None] * len(rows)
        pairs = zip(rows, beside, strict=True)
        return draw_records([_record(row, explain, one) for row, one in pairs], style), ()
    notes = (*_notes(rows), *_turns_note(rows))
    if style == "csv":
        return draw_records([flat_values(row) for row in rows], style, six_digits), notes
    parts = [prose(_headline(rows), style), draw_columns(_columns(rows), rows, style)]
    parts += [_explanation(row, style) for row in rows] if explain else []
    parts += [_nearest(row, one, style) for row, one in zip(rows, near, strict=False) if one]
    return "\n\n".join([*parts, bullets((*_bases(rows), *notes), style)]), ()


def _columns(rows: Sequence[Estimate]) -> tuple[Column[Estimate], ...]:
    """The columns; beside rows with positions of their own the others say `tests`."""
    if not any(row.case.lengths.capacity_tokens for row in rows):
        return COLUMNS
    named: Column[Estimate] = Column("capacity", lambda row: _capacity(row) or TESTS, shown=VARIES)
    return tuple(named if column.header == "capacity" else column for column in COLUMNS)


def draw_number(value: float | None, factor: float = 1.0) -> str:
    """Draw a value to three digits, `–` where it is not known; never a bare 0 for a small one."""
    if value is None:
        return MISSING
    return estimated(value * factor)


def draw_range(ends: Range | None, factor: float = 1.0) -> str:
    """Draw both ends, or one where they look the same."""
    if ends is None:
        return MISSING
    low, high = draw_number(ends.low, factor), draw_number(ends.high, factor)
    return low if low == high else f"{low}–{high}"


def _headline(rows: Sequence[Estimate]) -> str:
    """Return what all rows share: `model smollm2-135m, quant int4, device rpi5, ...`."""
    shared = []
    for column in COLUMNS:
        cells = {column.cell(row) for row in rows}
        if column.shown == VARIES and len(cells) == 1 and cells != {MISSING}:
            shared.append(f"{column.header} {cells.pop()}")
    return "Estimated, not measured: " + ", ".join(shared) if shared else "Estimated, not measured"


def _bases(rows: Sequence[Estimate]) -> list[str]:
    """Return what counts, speeds and energies stand on, each basis once."""
    counts = dict.fromkeys(f"parameters: {row.case.target.basis}" for row in rows)
    speeds = dict.fromkeys(f"speed: {row.basis}" for row in rows)
    energies = {}
    for row in rows:
        device, engine = row.case.device, row.case.engine
        stated = device.power_w or engine.power_w
        if stated is None or row.energy.modelled_j is None:
            continue
        watts = "–".join(dict.fromkeys(f"{number:g}" for number in stated))
        of = device.power_basis if device.power_w else "of the engine"
        energies[f"energy modelled: a share of {watts} W ({of}) x time; floor: physics"] = 1
    return [*counts, *_some(speeds), *_some(_evidence(rows)), *_some(energies)]


def _some(lines: Iterable[str]) -> list[str]:
    """Return the first lines, and how many more there are."""
    found = list(lines)
    if len(found) <= MOST_LINES:
        return found
    return [*found[:MOST_LINES], f"and {len(found) - MOST_LINES} more: --format json"]


def _evidence(rows: Sequence[Estimate]) -> list[str]:
    """Return what the ranges are worth: published rows behind them, and those that they hold."""
    lines = {}
    for row in rows:
        if row.coverage is None:
            continue
        own, alike = row.evidence
        word, kind = f"{100 * row.coverage:.0f} %", row.case.engine.kind
        lines[
            f"range: {word} of published values should lie inside; published decode rates of"
            f" {own.of}, {kind}: {own.rows}, inside {own.inside}; of {alike.of} devices, {kind}:"
            f" {alike.rows}, inside {alike.inside} with the device left out"
        ] = 1
    return list(lines)


def _nearest(row: Estimate, near: Sequence["NearRow"], style: str) -> str:
    """Draw the published rows nearest to an estimate, each beside our range for it."""
    header = ["published tok/s", "ours", "inside", "model", "device", "runtime", "stored"]
    cells = [
        [
            draw_number(one.row.decode_tok_s),
            draw_range(one.decode_tok_s),
            "yes" if one.is_inside else "no",
            one.row.model,
            one.row.device,
            one.row.runtime,
            one.row.precision.split(",")[0],
        ]
        for one in near
    ]
    name = f"Published decode rates nearest to {row.case.target.name}, {row.case.device.key}:"
    return f"{prose(name, style)}\n\n{draw_rows(header, cells, style)}"


def _turns_note(rows: Sequence[Estimate]) -> list[str]:
    """Return what the two times of a turn are."""
    return [TURNS] * any(row.case.lengths.turn for row in rows)


def _notes(rows: Sequence[Estimate]) -> list[str]:
    """Return every note once; those that not all rows share say which rows they are of."""
    owners: dict[str, list[str]] = {}
    for row in rows:
        label = f"{row.case.target.name}, {row.case.level.name}, {row.case.device.key}"
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
    name = f"{row.case.target.name}, {row.case.level.name}, {row.case.device.key}:"
    return f"{prose(name, style)}\n\n{draw_rows(header, cells, style)}"


def _amount(value: float) -> str:
    """Draw what a term has to do; a term that has none of it shows a dash."""
    return draw_number(value) if value else MISSING


def _passes(row: Estimate) -> list[tuple[Breakdown, Breakdown]]:
    """Return (slow, fast) of the prefill, where a peak is known, and of the step."""
    speeds = row.speeds
    pairs = [(ends[0], ends[1]) for ends in (speeds.prefills, speeds.steps) if ends]
    return pairs if row.case.decodes else pairs[-1:]


def _record(
    row: Estimate, explain: bool, near: Sequence["NearRow"] | None = None
) -> dict[str, object]:
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
    if near is not None:
        record["published"] = [_published(one) for one in near]
    return record


def _published(near: "NearRow") -> dict[str, object]:
    """Return a published row beside ours as JSON holds it."""
    row = near.row
    return {
        "device": row.device,
        "engine": row.engine,
        "runtime": row.runtime,
        "model": row.model,
        "stored": row.precision,
        "decode_tok_s": row.decode_tok_s,
        "decode_tok_s_low": near.decode_tok_s.low,
        "decode_tok_s_high": near.decode_tok_s.high,
        "inside": near.is_inside,
        "source": row.source,
    }
