"""Which level to ship: quality against speed and against memory, over the rows of a table. Pure.

A level is judged beside the other levels of the same model in the same setting. Only what was
measured on trained weights and real text can make a level the best one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness.analysis.answers import Standing, standings
from harness.builder.quantize.levels import EXACT
from harness.report.rows import ROW_FIELDS, Row, shown, shown_metric
from harness.results.enums import ReasonCode
from harness.results.identity import field_word
from harness.results.metrics import rate_of_kind
from harness.results.quality import Quality, TaskScores
from harness.results.schema import DECODE, ENCODE, Metric, Record, kind_of
from harness.results.validity import is_real

REFERENCE = "fp32"
LARGER_THAN_EXPECTED = 1.4  # times parameters x bits / 8; scales of blocks of 32 make 1.25
SAME_BYTES = 0.95  # a level that holds this share of the reference's bytes reads nothing less
# (pass, what bounds it) -> why a level can be slower than its reference there
CAUSES = {
    ("decode step", "compute"): "its kernel is bound by computing (dequantization), not by reading",
    ("decode step", "overhead"): "most of a step goes to calls, which more operators make worse",
    ("encode", "compute"): "so many tokens are bound by computing, which its kernel does slower",
    ("encode", "overhead"): "most of a pass goes to calls, which more operators make worse",
}
LEAST_PROCESSES = 5  # behind a rate, for a level to be chosen by it: as many as an A needs
SETTING = tuple(name for name in ROW_FIELDS if name not in ("level", "kv_cache"))


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What levels of one kind of model are weighed by.

    Attributes:
        rate: metric of the speed.
        verb: what the model does at that rate.
        loss: a record's loss, 0 for the reference; None: not known.
        loss_words: its name and unit.
        broken_loss: beyond it a level says something else than its reference.
        change: what a user would notice, 0 for the reference; None: not known.
        change_words: its unit.
        most_change: of the change, either way, that nobody would notice.
        change_metric: whose interval the change has.
        kept: what a level within that keeps.
    """

    rate: str
    verb: str
    loss: Callable[[Record], float | None]
    loss_words: str
    broken_loss: float
    change: Callable[[Record], float | None]
    change_words: str
    most_change: float
    change_metric: str
    kept: str


def _cosine_loss(record: Record) -> float | None:
    """1 - cosine of an encoder's embeddings with its reference's."""
    cosine = shown(record, "embedding_cosine")
    return None if cosine is None else 1.0 - cosine


DECODER = Yardstick(
    rate=rate_of_kind(DECODE).name,
    verb="decodes",
    loss=lambda record: shown(record, "kld_nats"),
    loss_words="KLD {:.2f} nats",
    broken_loss=1.0,
    change=lambda record: shown(record, "nll_delta"),
    change_words="nats a token",
    most_change=0.02,  # 2 % of perplexity: no reader notices
    change_metric="nll_delta",
    kept="the likelihood",
)
ENCODER = Yardstick(
    rate=rate_of_kind(ENCODE).name,
    verb="encodes",
    loss=_cosine_loss,
    loss_words="1 - cosine {:.2f}",
    broken_loss=0.3,
    change=_cosine_loss,
    change_words="of 1 - cosine",
    # Assumes: nobody notices 0.01, where the nearest passage leads by 0.15 (docs/method.md).
    most_change=0.01,
    change_metric="embedding_cosine",
    kept="the embeddings",
)


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One level as the sweep weighs it.

    Attributes:
        row: where it stands.
        level: its name.
        by: what it is weighed by.
        loss: against the reference, of the decode path for a decoder; None: not known.
        change: what a user would notice; None: not known.
        rate: tokens or texts per second; None where it was not measured, or may not be shown.
        peak_bytes: resident memory.
        is_text: trained weights on real text: the numbers speak of quality.
        tasks: what it answers of questions with choices; None: not asked, or not known.
    """

    row: Row
    level: str
    by: Yardstick
    loss: float | None
    change: float | None
    rate: float | None
    peak_bytes: float | None
    is_text: bool
    tasks: TaskScores | None = None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What a sweep says of a model.

    Attributes:
        name: of the model, with a cache that is not its levels' own and the setting, where there
            are several.
        level: to ship; empty: none.
        reason: why it, or why none.
    """

    name: str
    level: str
    reason: str

    @property
    def line(self) -> str:
        """All of it in one line."""
        ship = f"ship {self.level}: " if self.level else ""
        return f"{self.name}: {ship}{self.reason}"


def sweeps(rows: Sequence[Row]) -> list[list[SweepPoint]]:
    """Group rows that differ in their level only; a single level is no sweep.

    The cache is held fixed: levels with their own float cache are one sweep, those with one of
    integers another. A row whose device was emulated, or did not do the work, is on none; nor is
    a diagnostic row of exact activations.
    """
    groups: dict[tuple[object, ...], list[SweepPoint]] = {}
    for row in rows:
        if not is_real(row.judged or row.records[0]) or row.cell.level.endswith(EXACT):
            continue
        cache = None if row.cell.has_own_cache else row.cell.kv_cache
        setting = (cache, *(getattr(row.cell, name) for name in SETTING))
        groups.setdefault(setting, []).append(point(row))
    return [group for group in groups.values() if len(group) > 1]


def point(row: Row) -> SweepPoint:
    """What the sweep weighs of one row."""
    record = row.judged or row.records[0]
    quality = record.quality or Quality()
    by = ENCODER if kind_of(record.cell) == ENCODE else DECODER
    return SweepPoint(
        row=row,
        level=row.cell.level,
        by=by,
        loss=by.loss(record),
        change=by.change(record),
        rate=shown(record, by.rate),
        peak_bytes=row.largest_shown("peak_rss_bytes"),
        is_text=quality.label == "",
        tasks=quality.tasks,
    )


def pareto_fronts(rows: Sequence[Row]) -> dict[int, str]:
    """Which rows no other level of their sweep beats.

    Returns:
        Index of a row -> `speed`, `memory` or `both`: no level loses as little and is as fast
        (needs as little memory), and is better in one of the two.
    """
    places = {id(row): place for place, row in enumerate(rows)}
    marks: dict[int, str] = {}
    for sweep in sweeps(rows):
        known = [one for one in sweep if one.is_text and one.loss is not None]
        fast = _pareto_front(known, "rate", larger_is_better=True)
        small = _pareto_front(known, "peak_bytes", larger_is_better=False)
        for one in known:
            names = [name for name, front in (("speed", fast), ("memory", small)) if one in front]
            if names:
                marks[places[id(one.row)]] = "both" if len(names) > 1 else names[0]
    return marks


def recommendations(rows: Sequence[Row]) -> Iterator[Recommendation]:
    """Yield which level to ship, of each sweep whose losses are known, or why none."""
    found = sweeps(rows)
    for sweep in found:
        if any(one.loss is not None for one in sweep):
            yield _recommendation(sweep, _name(sweep, found))


def sweep_notes(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what a sweep says: which level to ship and why, and what is surprising in it."""
    yield from dict.fromkeys(_notes(sweeps(rows)))  # settings of a model may say the same


def _notes(found: Sequence[Sequence[SweepPoint]]) -> Iterator[str]:
    """Yield what each sweep says, one after the other."""
    for sweep in found:
        if any(one.loss is not None for one in sweep):
            yield _recommendation(sweep, _name(sweep, found)).line
            yield from _unranked(sweep)
        yield from _surprises(sweep)


def _name(sweep: Sequence[SweepPoint], others: Sequence[Sequence[SweepPoint]]) -> str:
    """The model, with a cache that is not its levels' own and what else sweeps of it differ in."""
    cell = sweep[0].row.cell
    cells = [one[0].row.cell for one in others if one[0].row.cell.model == cell.model]
    own = "" if cell.has_own_cache else f" kv {cell.kv_cache}"
    varying = [name for name in SETTING if len({getattr(one, name) for one in cells}) > 1]
    return cell.model + own + "".join(f" {name} {field_word(cell, name)}" for name in varying)


def _pareto_front(
    sweep: Sequence[SweepPoint], name: str, larger_is_better: bool
) -> list[SweepPoint]:
    """Return the points that no other beats in loss and in one more quantity."""
    sign = 1.0 if larger_is_better else -1.0

    def place(one: SweepPoint) -> tuple[float, float]:
        return -(one.loss or 0.0), sign * getattr(one, name)

    known = [one for one in sweep if getattr(one, name) is not None]
    return [
        one
        for one in known
        if not any(
            all(a >= b for a, b in zip(place(other), place(one), strict=True))
            and place(other) != place(one)
            for other in known
        )
    ]


def _recommendation(sweep: Sequence[SweepPoint], name: str) -> Recommendation:
    """Name the smallest level among those not told apart from the fastest, and what it buys.

    Only levels whose loss nobody would notice, and that are not shown to answer worse, are
    candidates, and only where every level was judged: one that is missing might have been the
    better choice.
    """
    by = sweep[0].by
    if not any(one.is_text for one in sweep):
        why = "quality is numeric fidelity only (random weights or tokens): no best level"
        return Recommendation(name, "", why)
    missing = [f"{one.level} {lack}" for one in sweep if (lack := _lacks(one))]
    if missing:
        return Recommendation(name, "", f"no level to ship yet: {', '.join(missing)}")
    near = [one for one in sweep if not _is_worthless(one) and _worst_change(one) <= by.most_change]
    worse = _shown_worse(sweep)
    kept = [one for one in near if one.level not in worse]
    if not kept:
        why = f"no level keeps {by.kept} within {by.most_change} {by.change_words}"
        return Recommendation(name, "", why)
    fastest = max(kept, key=lambda one: one.rate or 0.0)
    as_fast = [one for one in kept if one is fastest or not _is_slower(one, fastest)]
    best = min(as_fast, key=_size)
    reference = next((one for one in sweep if one.level == REFERENCE), None)
    reason = f"the fastest that loses at most {by.most_change} {by.change_words}"
    reason += _by_answers(sweep, [one.level for one in near if one.level in worse])
    if len(as_fast) > 1:
        others = ", ".join(one.level for one in as_fast if one is not best)
        reason = f"the smallest of those as fast as {reason} (not told apart: {others})"
    if reference is not None and best is not reference:
        reason += "".join(f", {text}" for text in _gains(best, reference))
    return Recommendation(name, best.level, reason)


def _shown_worse(sweep: Sequence[SweepPoint]) -> list[str]:
    """The levels whose answers are shown to be worse than their reference's."""
    found = standings({one.level: one.tasks for one in sweep if one.tasks is not None})
    return [level for level, standing in found.items() if standing is Standing.WORSE]


def _by_answers(sweep: Sequence[SweepPoint], left_out: Sequence[str]) -> str:
    """What the answers had to say in the choice; empty where no questions were asked."""
    items = max((one.tasks.items for one in sweep if one.tasks is not None), default=0)
    if not items:
        return ""
    names = f"; left out for it: {', '.join(left_out)}" if left_out else ""
    return f" and is not shown to answer worse ({items} questions, McNemar, 5 %{names})"


def _unranked(sweep: Sequence[SweepPoint]) -> Iterator[str]:
    """Name levels whose divergences are not told apart by their intervals.

    Levels in the order of their divergence, and of those the longest runs in which all intervals
    overlap: a level may stand in two.
    """
    known = sorted(
        (
            (found.value or 0.0, found.low or 0.0, found.high or 0.0, one.level)
            for one in sweep
            if one.by is DECODER and one.is_text and one.level != REFERENCE
            if (found := _metric(one, "kld_nats")) is not None and found.low is not None
        ),
    )
    told: list[str] = []
    last = 0
    for first in range(len(known)):
        end, bound = first + 1, known[first][2]
        while end < len(known) and known[end][1] <= bound:
            bound = min(bound, known[end][2])
            end += 1
        if end > max(last, first + 1):
            told.append(", ".join(level for *_, level in known[first:end]))
            last = end
    if told:
        yield f"KLD cannot rank these, whose 95 % intervals overlap: {'; '.join(told)}"


def _metric(one: SweepPoint, name: str) -> Metric | None:
    """A metric of the record that a point is judged by."""
    return None if one.row.judged is None else shown_metric(one.row.judged, name)


def _lacks(one: SweepPoint) -> str:
    """What is missing before a level can be chosen or left out; empty: nothing."""
    rate = _rate(one)
    if _is_worthless(one):
        return ""
    if rate is None or rate.value is None:
        return "has no speed that counts (bench explain trust)"
    if rate.processes < LEAST_PROCESSES or rate.low is None:
        return f"has {rate.processes} of {LEAST_PROCESSES} processes (--rounds {LEAST_PROCESSES})"
    if one.level != REFERENCE and (not one.is_text or one.change is None):
        return "has no quality on text (--quality)"
    return ""


def _is_worthless(one: SweepPoint) -> bool:
    """Whether a level was judged as one that says no words: its logits are no numbers."""
    trust = one.row.judged.trust if one.row.judged else None
    return any(reason.code == ReasonCode.NON_FINITE for reason in trust.reasons) if trust else False


def _worst_change(one: SweepPoint) -> float:
    """The largest change, either way, that the interval of a level allows."""
    metric = _metric(one, one.by.change_metric)
    ends = [] if metric is None else [end for end in (metric.low, metric.high) if end is not None]
    if one.by is ENCODER:
        ends = [1.0 - end for end in ends]
    return max(abs(end) for end in (one.change or 0.0, *ends))


def _size(one: SweepPoint) -> tuple[float, float]:
    """Bytes of the weights, which are counted, and then those of the process."""
    stored = shown(one.row.judged or one.row.records[0], "weights_bytes")
    return stored or float("inf"), one.peak_bytes or float("inf")


def _gains(best: SweepPoint, reference: SweepPoint) -> Iterator[str]:
    """Say what a level buys and costs beside its reference."""
    if best.rate and reference.rate:
        yield f"{best.by.verb} {best.rate / reference.rate:.2f} times as fast as {REFERENCE}"
    if best.peak_bytes and reference.peak_bytes:
        yield f"in {best.peak_bytes / reference.peak_bytes:.0%} of its memory"
    if best.change is not None:
        yield f"{best.change:+.4f} {best.by.change_words}"


def _surprises(sweep: Sequence[SweepPoint]) -> Iterator[str]:
    """Yield levels slower than the reference, larger than expected, or broken; with causes."""
    reference = next((one for one in sweep if one.level == REFERENCE), None)
    for one in sweep:
        if reference is not None and one is not reference and _is_slower(one, reference):
            why = _why_slow(one.row, reference.row)
            yield f"{one.level} {one.by.verb} slower than {REFERENCE} here: {why}"
        ratio = _over_expected(one.row)
        if ratio is not None and ratio > LARGER_THAN_EXPECTED:
            yield (
                f"{one.level} is {ratio:.2f} times parameters × bits / 8: scales, and tables that"
                " are stored at more bits"
            )
        # of random weights any coarse level says something else: that breaks nothing
        if one.is_text and one.loss is not None and one.loss > one.by.broken_loss:
            words = one.by.loss_words.format(one.loss)
            yield f"{one.level} is broken: {words}, above {one.by.broken_loss}"


def _is_slower(one: SweepPoint, reference: SweepPoint) -> bool:
    """Whether the interval of the rate lies wholly below the reference's."""
    mine, other = _rate(one), _rate(reference)
    if mine is None or other is None or mine.high is None or other.low is None:
        return False
    return mine.high < other.low


def _rate(one: SweepPoint) -> Metric | None:
    """The rate of a point, with its interval."""
    return _metric(one, one.by.rate)


def _why_slow(row: Row, reference: Row) -> str:
    """Find the cause in the sums behind the estimates."""
    mine, other = _held_bytes(row.judged), _held_bytes(reference.judged)
    if mine is not None and other is not None and mine >= SAME_BYTES * other:
        return "the runtime holds its weights as float32, so nothing is read less"
    unknown = "no cause in the numbers known (bench explain FILE)"
    return next((CAUSES[found] for found in _bounds(row.judged) if found in CAUSES), unknown)


def _held_bytes(record: Record | None) -> float | None:
    """Bytes of the weights as the runtime holds them, of the estimate of memory."""
    found = None if record is None else record.explanation
    parts = () if found is None else found.memory
    return next((part.bytes for part in parts if part.part == "weights as held"), None)


def _bounds(record: Record | None) -> list[tuple[str, str]]:
    """What bounds each pass of a record, by its estimate."""
    found = None if record is None else record.explanation
    return [] if found is None else [(part.pass_name, part.bound) for part in found.passes]


def _over_expected(row: Row) -> float | None:
    """Bytes stored over parameters times bits / 8."""
    record = row.records[0]
    stored = shown(record, "weights_bytes")
    expected = record.estimates.get("weights_bytes", {}).get("params")
    return stored / expected if stored and expected else None
