"""The question turned round: not what a model does on a device, but how large one may be there.

The largest parameter count whose estimate fits and keeps to every limit, found by bisection over
typical decoders of a count, at three ends of the estimated ranges:

    surely    the slow end of every range keeps to the limits
    likely    their centres do: the geometric mean of both ends
    at best   their fast ends do
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from harness.core.errors import UsageError
from harness.estimator.answer import Estimate
from harness.estimator.query import Range
from harness.models.catalog.catalog import (
    CatalogModel,
    catalog_models,
    catalog_names,
    likened_names,
)
from harness.models.catalog.target import MAX_PARAMETERS, EstimateTarget, catalog_target
from harness.models.catalog.typical import typical_target
from harness.results.requirement import Requirement

ENDS = ("surely", "likely", "at best")
STEPS_PER_DECADE = 200  # counts that are tried: each 1.16 % above the one before
LEAST_DECADE = 6  # 1e6, the fewest parameters of a language model
SHOWN_MODELS = 3
READ_MARGIN = 2  # what a token reads of a model that may keep to limits, over the largest count
MEMORY = "memory"  # what holds a count down where no limit does
MS = 1e3


def _step_ms(row: Estimate) -> Range | None:
    """Time of one decode step, of what decodes."""
    return _scaled(row.speeds.step_s, MS) if row.case.decodes else None


def _scaled(ends: Range | None, factor: float) -> Range | None:
    """Both ends in another unit."""
    return None if ends is None else Range(ends.low * factor, ends.high * factor)


def _exact(value: float) -> Range:
    """A value that has no range."""
    return Range(value, value)


# Metrics of the registry that an estimate has before anything is run, in the registry's units.
ESTIMATED: Mapping[str, Callable[[Estimate], Range | None]] = {
    "decode_tok_s": lambda row: row.speeds.decode_tok_s,
    "tpot_ms": _step_ms,
    "prefill_tok_s": lambda row: row.speeds.prefill_tok_s,
    "ttft_ms": lambda row: _scaled(row.speeds.ttft_s, MS),
    "peak_rss_bytes": lambda row: _exact(row.sizes.memory.peak_bytes),
    "weights_bytes": lambda row: _exact(row.sizes.weights_bytes),
    "j_per_token": lambda row: row.energy.modelled_j,
}
SHORT_NAMES = ("decode", "tpot", "prefill", "ttft", "peak", "weights", "energy")  # of these
Ask = Callable[[EstimateTarget], Estimate]


@dataclass(frozen=True, slots=True)
class Largest:
    """How large a model may be, at one level on one device.

    Attributes:
        example: an estimate of the question's case, of some count: level, device, lengths, basis.
        limits: what had to be kept besides the memory, as it was asked for.
        counts: largest parameter count at each of ENDS; None: even a million do not keep to it.
        held_by: what the next count above the likely one breaks: `memory`, or names of limits.
        models: largest catalog models that keep to it at each of ENDS, by name, largest first.
    """

    example: Estimate
    limits: tuple[str, ...]
    counts: tuple[int | None, ...]
    held_by: tuple[str, ...]
    models: tuple[tuple[str, ...], ...]


def check_estimated(requirements: Sequence[Requirement]) -> None:
    """Refuse a limit on a metric that estimates do not have.

    Raises:
        UsageError: names the metric, and those that they have.
    """
    for one in requirements:
        if one.metric_name not in ESTIMATED:
            raise UsageError(
                f"--require {one.text}: estimates have no {one.metric_name}",
                fix=f"limits on {', '.join(SHORT_NAMES)}",
            )


def largest(
    ask: Ask, limits: Sequence[Sequence[Requirement]] = ((),), *, by_name: bool = True
) -> tuple[Largest, ...]:
    """Find the largest count, and the largest catalog models, that fit and keep to limits.

    Args:
        ask: estimates a target at one level on one device.
        limits: sets of limits on metrics of ESTIMATED; each is answered by itself.
        by_name: look for catalog models too.

    Raises:
        UsageError: a limit that estimates lack, or that is not known of the device.
    """
    known: dict[int | str, Estimate] = {}
    return tuple(_answered(_Search(ask, tuple(one), known), by_name) for one in limits)


def _answered(search: "_Search", by_name: bool) -> Largest:
    """The answer of one search."""
    check_estimated(search.requirements)
    search.refuse_unknown()
    steps = [search.largest_step(end) for end in range(len(ENDS))]
    likely = steps[ENDS.index("likely")]
    counts = tuple(None if step is None else count_at(step) for step in steps)
    return Largest(
        example=search.at(0),
        limits=tuple(one.text for one in search.requirements),
        counts=counts,
        held_by=tuple(search.broken(-1 if likely is None else likely)),
        models=tuple(search.models(end, counts[end]) for end in range(len(ENDS)))
        if by_name
        else (),
    )


def count_at(step: int) -> int:
    """Parameters of a step of the search, to three digits: 1e6 · 10^(step / 200)."""
    decades, rest = divmod(step, STEPS_PER_DECADE)
    return round(100 * 10 ** (rest / STEPS_PER_DECADE)) * int(10 ** (LEAST_DECADE - 2 + decades))


LAST_STEP = (len(str(MAX_PARAMETERS)) - 1 - LEAST_DECADE) * STEPS_PER_DECADE


@dataclass(frozen=True, slots=True)
class _Search:
    """One search; estimates of a count or of a model are made once.

    Attributes:
        ask: as of `largest`.
        requirements: likewise.
        known: estimates by step, or by name of a catalog model; searches of one `ask` share them.
    """

    ask: Ask
    requirements: tuple[Requirement, ...]
    known: dict[int | str, Estimate]

    def at(self, step: int) -> Estimate:
        """The estimate of a typical decoder of a step's count."""
        if step not in self.known:
            self.known[step] = self.ask(typical_target(count_at(step)))
        return self.known[step]

    def refuse_unknown(self) -> None:
        """Refuse a limit on a metric of which nothing is known on this device."""
        for one in self.requirements:
            if ESTIMATED[one.metric_name](self.at(0)) is None:
                device = self.at(0).case.device.key
                raise UsageError(
                    f"--require {one.text}: no {one.metric_name} is estimated for {device},"
                    " of which too little is known",
                    fix="a limit on decode or peak, or another --engine",
                )

    def largest_step(self, end: int) -> int | None:
        """The largest step that keeps to everything at an end; None: not even the first."""
        if self._breaks(self.at(0), end):
            return None
        kept, beyond = 0, LAST_STEP + 1
        while beyond - kept > 1:
            middle = (kept + beyond) // 2
            if self._breaks(self.at(middle), end):
                beyond = middle
            else:
                kept = middle
        return kept

    def broken(self, step: int) -> list[str]:
        """What the count above a step breaks at the centre of the ranges."""
        if step == LAST_STEP:
            return []
        return self._breaks(self.at(step + 1), ENDS.index("likely"))

    def models(self, end: int, count: int | None) -> tuple[str, ...]:
        """The largest catalog decoders that keep to everything at an end.

        Those that read far more of a token than the largest count are not asked about.
        """
        found: list[str] = []
        sizes, bits = self.at(0).sizes, self.at(0).case.level.weight_bits
        most_read = READ_MARGIN * (count or count_at(0))
        for model in decoders():
            structure = model.structure
            too_large = structure.parameters * bits / 8 > sizes.available_bytes
            if too_large or structure.read_parameters > most_read:
                continue
            if model.name not in self.known:
                self.known[model.name] = self.ask(catalog_target(model.name))
            if not self._breaks(self.known[model.name], end):
                found.append(model.name)
            if len(found) == SHOWN_MODELS:
                break
        return tuple(found)

    def _breaks(self, row: Estimate, end: int) -> list[str]:
        """What an estimate breaks at an end: `memory`, and names of limits."""
        broken = [] if row.sizes.fits else [MEMORY]
        return broken + [one.name for one in self.requirements if not _is_kept(one, row, end)]


def _is_kept(one: Requirement, row: Estimate, end: int) -> bool:
    """Whether a limit is kept at an end of an estimate's range; not where it is not known."""
    ends = ESTIMATED[one.metric_name](row)
    if ends is None:
        return False
    worse, better = (ends.low, ends.high) if one.metric.more_is_better else (ends.high, ends.low)
    return one.is_met_by((worse, sqrt(worse * better), better)[end])


def decoders() -> Iterator[CatalogModel]:
    """Yield the catalog's decoders, the largest first; one of those that share their count.

    Fine-tunes of one architecture share every estimate: told is the one that others are said to
    be like, else one with a file of its own, else the shortest name.
    """
    found: dict[int, CatalogModel] = {}
    for model in catalog_models():
        count = model.structure.parameters
        if model.structure.kind == "decoder":
            found[count] = min(found.get(count, model), model, key=_plainness)
    for count in sorted(found, reverse=True):
        yield found[count]


def _plainness(model: CatalogModel) -> tuple[bool, bool, int, str]:
    """Which of several names for one architecture is told: the least of these."""
    name = model.name
    return name not in likened_names(), name not in catalog_names(), len(name), name
