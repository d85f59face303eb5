"""Which level to ship: quality against speed and against memory, over the rows of a table. Pure.

A level is judged beside the other levels of the same model in the same setting. Only what was
measured on trained weights and real text can make a level the best one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.report.rows import ROW_FIELDS, Row, shown, shown_metric
from harness.results.schema import Metric, Record
from harness.results.validity import is_real

TWIN = "fp32"
# A loss of likelihood that a reader would not notice: 0.02 nats a token are 2 % of perplexity.
MOST_LOSS_NATS = 0.02
BROKEN_KLD_NATS = 1.0  # beyond it a level says something else than its twin
LARGER_THAN_EXPECTED = 1.4  # times parameters x bits / 8; scales of blocks of 32 make 1.25
SAME_BYTES = 0.95  # a level that holds this share of the twin's bytes reads nothing less
SETTING = tuple(name for name in ROW_FIELDS if name != "level")


@dataclass(frozen=True, slots=True)
class Rung:
    """One level as the ladder weighs it.

    Attributes:
        row: where it stands.
        level: its name.
        kld_nats: of the decode path; None: not known.
        nll_delta: likewise.
        decode_tok_s: None where decoding was not measured, or may not be shown.
        peak_bytes: resident memory.
        is_text: trained weights on real text: the numbers speak of quality.
    """

    row: Row
    level: str
    kld_nats: float | None
    nll_delta: float | None
    decode_tok_s: float | None
    peak_bytes: float | None
    is_text: bool


def ladders(rows: Sequence[Row]) -> list[list[Rung]]:
    """Group rows that differ in their level only; a single level is no ladder.

    A row whose device was emulated, or did not do the work, is on none.
    """
    groups: dict[tuple[object, ...], list[Rung]] = {}
    for row in rows:
        if not is_real(row.judged or row.records[0]):
            continue
        groups.setdefault(tuple(getattr(row.cell, name) for name in SETTING), []).append(rung(row))
    return [group for group in groups.values() if len(group) > 1]


def rung(row: Row) -> Rung:
    """What the ladder weighs of one row."""
    record = row.judged or row.records[0]
    return Rung(
        row=row,
        level=row.cell.level,
        kld_nats=shown(record, "kld_nats"),
        nll_delta=shown(record, "nll_delta"),
        decode_tok_s=shown(record, "decode_tok_s"),
        peak_bytes=row.largest_shown("peak_rss_bytes"),
        is_text=bool(record.quality) and not (record.quality or {}).get("label", "unknown"),
    )


def fronts(rows: Sequence[Row]) -> dict[int, str]:
    """Which rows no other level of their ladder beats.

    Returns:
        Index of a row -> `speed`, `memory` or `both`: no level loses as little and decodes as fast
        (needs as little memory), and is better in one of the two.
    """
    places = {id(row): place for place, row in enumerate(rows)}
    marks: dict[int, str] = {}
    for ladder in ladders(rows):
        known = [one for one in ladder if one.is_text and one.kld_nats is not None]
        fast = _front(known, "decode_tok_s", larger_is_better=True)
        small = _front(known, "peak_bytes", larger_is_better=False)
        for one in known:
            names = [name for name, front in (("speed", fast), ("memory", small)) if one in front]
            if names:
                marks[places[id(one.row)]] = "both" if len(names) > 1 else names[0]
    return marks


def ladder_notes(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what a ladder says: which level to ship and why, and what is surprising in it."""
    for ladder in ladders(rows):
        if any(one.kld_nats is not None for one in ladder):
            yield _recommendation(ladder)
        yield from _surprises(ladder)


def _front(ladder: Sequence[Rung], name: str, larger_is_better: bool) -> list[Rung]:
    """Return the rungs that no other beats in loss and in one more quantity."""
    sign = 1.0 if larger_is_better else -1.0

    def place(one: Rung) -> tuple[float, float]:
        return -(one.kld_nats or 0.0), sign * getattr(one, name)

    known = [one for one in ladder if getattr(one, name) is not None]
    return [
        one
        for one in known
        if not any(
            all(a >= b for a, b in zip(place(other), place(one), strict=True))
            and place(other) != place(one)
            for other in known
        )
    ]


def _recommendation(ladder: Sequence[Rung]) -> str:
    """Name the fastest level whose loss nobody would notice, and what it buys."""
    name = ladder[0].row.cell.model
    if not any(one.is_text for one in ladder):
        return f"{name}: quality is numeric fidelity only (random weights or tokens): no best level"
    kept = [
        one
        for one in ladder
        if one.is_text and one.decode_tok_s and abs(one.nll_delta or 0.0) <= MOST_LOSS_NATS
    ]
    if not kept:
        return f"{name}: no level keeps the likelihood within {MOST_LOSS_NATS} nats a token"
    best = max(kept, key=lambda one: one.decode_tok_s or 0.0)
    twin = next((one for one in ladder if one.level == TWIN), None)
    reason = f"the fastest that loses at most {MOST_LOSS_NATS} nats a token"
    if twin is not None and best is not twin:
        reason += "".join(f", {text}" for text in _gains(best, twin))
    return f"{name}: ship {best.level}: {reason}"


def _gains(best: Rung, twin: Rung) -> Iterator[str]:
    """Say what a level buys and costs beside its twin."""
    if best.decode_tok_s and twin.decode_tok_s:
        yield f"decodes {best.decode_tok_s / twin.decode_tok_s:.2f} times as fast as {TWIN}"
    if best.peak_bytes and twin.peak_bytes:
        yield f"in {best.peak_bytes / twin.peak_bytes:.0%} of its memory"
    if best.nll_delta is not None:
        yield f"{best.nll_delta:+.4f} nats a token"


def _surprises(ladder: Sequence[Rung]) -> Iterator[str]:
    """Yield levels that are slower than the twin, larger than expected, or broken; with causes."""
    twin = next((one for one in ladder if one.level == TWIN), None)
    for one in ladder:
        if twin is not None and one is not twin and _is_slower(one.row, twin.row):
            yield f"{one.level} decodes slower than {TWIN} here: {_why_slow(one.row, twin.row)}"
        ratio = _over_expected(one.row)
        if ratio is not None and ratio > LARGER_THAN_EXPECTED:
            yield (
                f"{one.level} is {ratio:.2f} times parameters × bits / 8: scales, and tables that"
                " are stored at more bits"
            )
        if one.kld_nats is not None and one.kld_nats > BROKEN_KLD_NATS:
            yield f"{one.level} is broken: KLD {one.kld_nats:.2f} nats, above {BROKEN_KLD_NATS}"


def _is_slower(row: Row, twin: Row) -> bool:
    """Whether the interval of the decode rate lies wholly below the twin's."""
    mine, other = _decode(row), _decode(twin)
    if mine is None or other is None or mine.high is None or other.low is None:
        return False
    return mine.high < other.low


def _decode(row: Row) -> Metric | None:
    """The decode rate of a row, with its interval."""
    return None if row.judged is None else shown_metric(row.judged, "decode_tok_s")


def _why_slow(row: Row, twin: Row) -> str:
    """Find the cause in the sums behind the estimates."""
    mine, other = _held_bytes(row.judged), _held_bytes(twin.judged)
    if mine is not None and other is not None and mine >= SAME_BYTES * other:
        return "the runtime holds its weights as float32, so nothing is read less"
    bound = _decode_bound(row.judged)
    if bound == "compute":
        return "its kernel is bound by computing (dequantization), not by reading"
    if bound == "overhead":
        return "most of a step goes to calls, which more operators make worse"
    return "no cause in the numbers known (bench explain FILE)"


def _held_bytes(record: Record | None) -> float | None:
    """Bytes of the weights as the runtime holds them, of the estimate of memory."""
    parts = (record.explanation or {}).get("memory", []) if record is not None else []
    return next((part["bytes"] for part in parts if part["part"] == "weights as held"), None)


def _decode_bound(record: Record | None) -> str | None:
    """What bounds a decode step, by its estimate."""
    parts: list[Mapping[str, str]] = []
    if record is not None and record.explanation is not None:
        parts = record.explanation.get("passes", [])
    return next((part["bound"] for part in parts if part["pass"] == "decode step"), None)


def _over_expected(row: Row) -> float | None:
    """Bytes stored over parameters times bits / 8."""
    record = row.records[0]
    stored = shown(record, "weights_bytes")
    expected = record.estimates.get("weights_bytes", {}).get("params")
    return stored / expected if stored and expected else None
