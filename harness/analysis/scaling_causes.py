"""Why a model is slower or larger than its size says, and how far counts differ at all. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from harness.analysis.scaling_costs import CAUSES, Cause, Setting
from harness.analysis.scaling_fit import LEAST_SIZES, fit_power_law, percent_of_factor
from harness.core.units import KIB
from harness.models.catalog.catalog import catalog_model, catalog_names
from harness.models.specs.structure import Anatomy

# A cause that is worth less than this share of what it should explain is not named for it.
LEAST_SHARE = 0.25
SIMILAR_SIZE = 1.5  # the larger of two models has at most this many times the parameters
CACHE_VALUE_BYTES = 4  # of an fp32 cache, which every level but fp16 has


@dataclass(frozen=True, slots=True)
class Explanation:
    """The cause that explains most of a model's distance from the law.

    Attributes:
        cause: its row.
        count: of the model.
        usual_count: what the group's own law of that count gives at the model's size.
        worth_ln: what the cause alone would do to time or bytes, as a logarithm; above 0: more.
    """

    cause: Cause
    count: float
    usual_count: float
    worth_ln: float

    @property
    def text(self) -> str:
        """The cause, the counts, how they matter, and how much."""
        count = self.cause.form.format(self.count)
        usual_count = self.cause.form.format(self.usual_count).partition(" ")[0]
        worth = f"worth {percent_of_factor(self.worth_ln):.0f} %"
        return f"{self.cause.name} {count} (usual {usual_count}): {self.cause.because}; {worth}"


def find_anatomy(model: str, parameters: int) -> Anatomy | None:
    """Return the anatomy of a catalog model; None for a local folder, or when the count differs."""
    if model not in catalog_names():
        return None
    anatomy = catalog_model(model).anatomy
    return anatomy if anatomy.parameters == parameters else None


def explain(
    metric: str, cost_ln: float, breaker: Anatomy, group: Sequence[Anatomy], setting: Setting
) -> Explanation | None:
    """Return the cause of CAUSES that explains most of a model's distance from the law.

    A cause is worth the distance of the model's cost from the group's own power law of that cost,
    in the direction to be explained. A law of metric = parameters · cost would leave exactly this
    residual. What simply comes with size is no cause: a small model has more layers per parameter
    than any large one, and the fitted exponent has taken that up already.

    Args:
        metric: that was fitted.
        cost_ln: ln(measured / fitted) of the breaker, of a time or of bytes, not 0; above 0: more.
        breaker: one of `group`.
        group: the models of the fit whose structure is known.
        setting: what they share.

    Returns:
        None when the group is too small, or no cause is worth LEAST_SHARE of `cost_ln`.
    """
    if len({anatomy.parameters for anatomy in group}) < LEAST_SIZES:
        return None
    found = [
        _explanation(cause, breaker, group, setting) for cause in CAUSES if metric in cause.metrics
    ]
    enough = [row for row in found if row.worth_ln / cost_ln >= LEAST_SHARE]
    return max(enough, key=lambda row: abs(row.worth_ln), default=None)


def counts_note(anatomies: Sequence[Anatomy]) -> str | None:
    """Say in one line how far the counts of the models differ at all; None for fewer than two.

    Args:
        anatomies: each once.
    """
    if len(anatomies) < 2:
        return None
    by_share = sorted(anatomies, key=lambda anatomy: (_table_share(anatomy), anatomy.name))
    low, high = (f"{100 * _table_share(a):.0f} % ({a.name})" for a in (by_share[0], by_share[-1]))
    parts = [f"embedding and head are {low} to {high} of the parameters", *_cache_part(anatomies)]
    return f"counts of the {len(anatomies)} models known here: {'; '.join(parts)}"


def _explanation(
    cause: Cause, breaker: Anatomy, group: Sequence[Anatomy], setting: Setting
) -> Explanation:
    """Set a model's count and cost beside those that its size says in this group."""
    place, sizes = group.index(breaker), [anatomy.parameters for anatomy in group]
    counts = [cause.count(anatomy, setting) for anatomy in group]
    costs = [cause.cost(anatomy, setting) for anatomy in group]
    from_usual_ln = fit_power_law(sizes, counts).residuals_ln[place]
    worth_ln = fit_power_law(sizes, costs).residuals_ln[place]
    return Explanation(cause, counts[place], counts[place] / math.exp(from_usual_ln), worth_ln)


def _table_share(anatomy: Anatomy) -> float:
    """Share of the parameters in embedding and head."""
    return anatomy.table_parameters / anatomy.parameters


def _cache_part(anatomies: Sequence[Anatomy]) -> list[str]:
    """The two models of similar size whose caches differ most; nothing without such a pair."""
    pairs = [
        sorted(pair, key=lambda anatomy: anatomy.kv_bytes_per_token(CACHE_VALUE_BYTES))
        for pair in combinations(sorted(anatomies, key=lambda anatomy: anatomy.name), 2)
        if _sizes_are_similar(*pair)
    ]
    if not pairs:
        return []
    low, high = max(pairs, key=lambda pair: _cache_kib(pair[1]) / _cache_kib(pair[0]))
    return [
        f"of similar size, {low.name} adds {_cache_kib(low):,.0f} KiB of cache per token and "
        f"{high.name} {_cache_kib(high):,.0f}"
    ]


def _sizes_are_similar(first: Anatomy, second: Anatomy) -> bool:
    """Whether both have a cache, and about as many parameters."""
    sizes = sorted((first.parameters, second.parameters))
    return min(_cache_kib(first), _cache_kib(second)) > 0 and sizes[1] <= SIMILAR_SIZE * sizes[0]


def _cache_kib(anatomy: Anatomy) -> float:
    """KiB of fp32 cache per token."""
    return anatomy.kv_bytes_per_token(CACHE_VALUE_BYTES) / KIB
