"""Estimates as people read them: a headline, the columns that vary, ranges, notes below."""

from collections.abc import Sequence

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

TESTS = "tests"  # as many positions as they need, in the word of --capacity


def _capacity(row: Estimate) -> str | None:
    """Positions that were asked for; none are where the tests decide."""
    count = row.case.lengths.capacity_tokens
    return f"{count:,}" if count else None


COLUMNS: tuple[Column[Estimate], ...] = (
    Column("model", lambda e: e.case.target.name, shown=VARIES),
    Column("parameters", lambda e: e.case.target.parameters, "{:,}".format, VARIES),
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
        return draw_records([_record(row, explain) for row in rows], style), ()
    notes = (*_notes(rows), *_turns_note(rows))
    if style == "csv":
        return draw_records([flat_values(row) for row in rows], style, six_digits), notes
    parts = [prose(_headline(rows), style), draw_columns(_columns(rows), rows, style)]
    parts += [_explanation(row, style) for row in rows] if explain else []
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
        device = row.case.device
        if device.power_w is None:
            continue
        watts = "–".join(dict.fromkeys(f"{number:g}" for number in device.power_w))
        energies[f"energy modelled: {watts} W x time ({device.power_basis}); floor: physics"] = 1
    return [*counts, *speeds, *energies]


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
