"""How far estimates of absent devices are from what others published there. Pure.

    ratio = published / centre,  |ln ratio|: 0.693 is twice as much or half

Five estimators stand side by side: `ours`, fitted to the rows that ship; `left out`, fitted again
without the device of each row; `split`, fitted to every other device only; `params`, bandwidth over
parameters times bits (and peak over twice the parameters); `thumb`, 55 % of that.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import exp, log, sqrt
from statistics import fmean, median

from harness.estimator.answer import (
    RULE_OF_THUMB_SHARE,
    decode_tok_s,
    prefill_tok_s,
    weights_bytes,
)
from harness.estimator.published.amounts import compute_flop_per_s, stated_w
from harness.estimator.published.asking import AskedRow, LeftOut, ask_rows, left_out_counts
from harness.estimator.published.effects import KINDS
from harness.estimator.published.fit import Fits, fit_kind, predictions, without_device
from harness.estimator.published.rows import PublishedRow, shipped_rows
from harness.estimator.published.table import COVERAGE, WITHIN

OURS, LEFT_OUT, SPLIT, PARAMS, THUMB = "ours", "left out", "split", "params", "thumb"
ESTIMATORS = (OURS, LEFT_OUT, SPLIT, PARAMS, THUMB)
METRICS = ("decode", "prefill", "ttft", "encode", "peak", "power")
RATES = ("decode", "prefill")  # published as rates, told by us as times
ALL = "all"
Grouping = Callable[[AskedRow], str]
GROUPINGS: Mapping[str, Grouping] = {
    "class": lambda asked: " ".join(asked.class_and_engine),
    "engine": lambda asked: asked.engine.kind,
    "runtime": lambda asked: asked.runtime or "not stated",
    "device": lambda asked: f"{asked.device.key} {asked.engine.kind}",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """One published value beside one estimate of it.

    Attributes:
        asked: its row.
        metric: of METRICS.
        estimator: of ESTIMATORS.
        ratio: published / centre, of what is published: rates, times, bytes or watts.
        factor: the range is the centre over and times this; None: the estimator gives no range.
    """

    asked: AskedRow
    metric: str
    estimator: str
    ratio: float
    factor: float | None

    @property
    def is_inside(self) -> bool | None:
        """Whether the range holds the published value."""
        return None if self.factor is None else abs(log(self.ratio)) <= log(self.factor)


@dataclass(frozen=True, slots=True)
class GroupRow:
    """What one estimator is worth for one metric of one group of rows.

    Attributes:
        metric: of METRICS.
        group: its name; `all`: of every row.
        estimator: of ESTIMATORS.
        rows: published values.
        inside: share of them that the ranges hold; None: no ranges.
        median_ratio: of published / centre.
        median_ln: of |ln ratio|.
        rms_ln: root of the mean of ln² ratio.
        width: median of upper over lower end; None: no ranges.
    """

    metric: str
    group: str
    estimator: str
    rows: int
    inside: float | None
    median_ratio: float
    median_ln: float
    rms_ln: float
    width: float | None


@dataclass(frozen=True, slots=True)
class PublishedStudy:
    """All of it.

    Attributes:
        by: of GROUPINGS.
        rows: groups of all metrics, `all` first.
        asked: rows that were asked.
        left: rows that were not, with the reason.
        counts: of the reasons.
        split: devices that `split` is fitted to.
        coverage: nominal, of the ranges.
    """

    by: str
    rows: tuple[GroupRow, ...]
    asked: int
    left: tuple[LeftOut, ...]
    counts: dict[str, int]
    split: tuple[str, ...]
    coverage: float = COVERAGE


def study_published(rows: Sequence[PublishedRow], by: str = "class") -> PublishedStudy:
    """Hold every estimator against published rows.

    Args:
        rows: of any file; ours is fitted to those that ship, whatever they are.
        by: of GROUPINGS.
    """
    asked, left = ask_rows(rows)
    judged = [*_ranged(asked), *_ruled(asked)]
    return PublishedStudy(
        by=by,
        rows=tuple(_groups(judged, GROUPINGS[by])),
        asked=len(asked),
        left=left,
        counts=left_out_counts(left),
        split=_half()[0],
    )


def _ranged(asked: Sequence[AskedRow]) -> Iterator[Judged]:
    """Yield the values of the estimators that give ranges."""
    shipped, whole = _shipped()
    half, halved = _half()
    left: dict[str, Mapping[str, Fits]] = {}
    for one in asked:
        key, kind = one.device.key, one.place.kind
        yield from _of(one, OURS, whole[kind])
        if key not in left:
            known = any(row.device.key == key for row in shipped)
            left[key] = without_device(shipped, key, whole) if known else whole
        yield from _of(one, LEFT_OUT, left[key].get(kind, whole[kind]))
        if key not in half:
            yield from _of(one, SPLIT, halved[kind])


@cache
def _shipped() -> tuple[tuple[AskedRow, ...], dict[str, Fits]]:
    """Return the rows that ship, and what is fitted to them."""
    asked, _ = ask_rows(shipped_rows())
    return asked, {kind: fit_kind(kind, asked) for kind in KINDS}


@cache
def _half() -> tuple[tuple[str, ...], dict[str, Fits]]:
    """Return every other device that ships, by name, and what is fitted to their rows alone."""
    asked, whole = _shipped()
    devices = tuple(sorted({one.device.key for one in asked})[::2])
    kept = [one for one in asked if one.device.key in devices]
    return devices, {kind: fit_kind(kind, kept, whole[kind]) for kind in KINDS}


def _of(asked: AskedRow, estimator: str, fits: Fits) -> Iterator[Judged]:
    """Yield every value of a row beside what a fit expects."""
    for value, expected in predictions(asked, fits):
        ratio = value.observation.value / exp(expected.log_value)
        factor = exp(WITHIN * sqrt(expected.variance))
        if value.metric in RATES:
            ratio = 1 / ratio
        yield Judged(asked, value.metric, estimator, ratio, factor)


def _ruled(asked: Iterable[AskedRow]) -> Iterator[Judged]:
    """Yield the values of the rules that people have in their heads."""
    for one in asked:
        for metric, published, value in _rules(one):
            yield Judged(one, metric, PARAMS, published / value, None)
            if metric == "decode":
                thumb = value * RULE_OF_THUMB_SHARE
                yield Judged(one, metric, THUMB, published / thumb, None)


def _rules(asked: AskedRow) -> Iterator[tuple[str, float, float]]:
    """Yield metric, published value and what the parameter count says of it."""
    row, count, bits = asked.row, asked.model.parameters, asked.level.weight_bits
    peak = compute_flop_per_s(asked.engine, bits)
    if row.decode_tok_s is not None and asked.model.decodes:
        bandwidth = asked.device.bandwidth_bytes_per_s
        yield "decode", row.decode_tok_s, decode_tok_s(count, bits, bandwidth)
    if peak is not None and asked.model.decodes and not asked.model.encoder_tokens:
        rate = prefill_tok_s(count, peak)
        if row.prefill_tok_s is not None:
            yield "prefill", row.prefill_tok_s, rate
        if row.ttft_ms is not None:
            yield "ttft", row.ttft_ms, 1e3 * asked.prompt_tokens / rate
    if row.peak_bytes is not None and asked.model.decodes:
        yield "peak", row.peak_bytes, weights_bytes(count, bits)
    stated = stated_w(asked.device.power_w, asked.engine)
    if row.watts is not None and stated is not None:
        yield "power", row.watts, stated


def _groups(judged: Sequence[Judged], grouping: Grouping) -> Iterator[GroupRow]:
    """Yield the rows of every metric, group and estimator, `all` first."""
    found: dict[tuple[str, str, str], list[Judged]] = defaultdict(list)
    for one in judged:
        for group in (ALL, grouping(one.asked)):
            found[one.metric, group, one.estimator].append(one)
    names = sorted({group for _, group, _ in found if group != ALL})
    for metric in METRICS:
        for group in (ALL, *names):
            for estimator in ESTIMATORS:
                if values := found.get((metric, group, estimator)):
                    yield _group(metric, group, estimator, values)


def _group(metric: str, group: str, estimator: str, values: Sequence[Judged]) -> GroupRow:
    """Return one row."""
    logs = [log(one.ratio) for one in values]
    factors = [one.factor for one in values if one.factor is not None]
    return GroupRow(
        metric=metric,
        group=group,
        estimator=estimator,
        rows=len(values),
        inside=fmean(bool(one.is_inside) for one in values) if factors else None,
        median_ratio=exp(median(logs)),
        median_ln=median(map(abs, logs)),
        rms_ln=sqrt(fmean(one**2 for one in logs)),
        width=median(factor**2 for factor in factors) if factors else None,
    )
