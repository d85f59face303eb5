"""Logarithms of times as sums of few effects, each drawn towards the mean of its kind.

    ln y = ln Σ amount · exp(± Σ effects) + Σ factors + noise

An effect of a level (family, runtime, device, ...) has a normal prior about zero, whose width says
how far apart such things are: what was seen often is learned, what was seen once is drawn back,
what was never seen widens the answer. Noise is Student's t: a row far off pulls little. Fitted by
Gauss-Newton steps with the weights of that t; widths are those of the curvature (Laplace).
Source: Gelman and Hill, Data Analysis Using Regression and Multilevel Models, ch. 12-13 (form);
Lange, Little, Taylor 1989, doi:10.2307/2290063 (weights).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from operator import mul
from typing import NamedTuple

FREEDOM = 5.0  # of the noise's t
LARGEST_STEP = 1.5
MOST_STEPS = 40
CLOSE = 1e-4


class Effect(NamedTuple):
    """One unknown: of which constant, of which level, of whom."""

    constant: str
    level: str
    name: str


@dataclass(frozen=True, slots=True)
class Summand:
    """One part of a time.

    Attributes:
        amount: of time, at the reference value of the constant.
        sign: 1 where a larger constant is slower, -1 where it is faster.
        effects: whose sum the constant's logarithm is; empty: it is known.
    """

    amount: float
    sign: int
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class Observation:
    """One published value.

    Attributes:
        value: positive.
        summands: of it.
        factors: effects that multiply the whole.
    """

    value: float
    summands: tuple[Summand, ...]
    factors: tuple[Effect, ...] = ()


@dataclass(frozen=True, slots=True)
class Priors:
    """How far apart things are, as standard deviations of logarithms.

    Attributes:
        widths: by constant and level.
        means: of effects that do not stand about zero.
        noise: of rows of one device and runtime.
    """

    widths: Mapping[tuple[str, str], float]
    means: Mapping[Effect, float]
    noise: float

    def width(self, effect: Effect) -> float:
        """Of one effect."""
        return self.widths[effect.constant, effect.level]


@dataclass(frozen=True, slots=True)
class Posterior:
    """What the rows say.

    Attributes:
        priors: that it started from.
        places: effect -> its place.
        means: of the effects.
        factor: lower triangle L of the precision, L · Lᵀ.
    """

    priors: Priors
    places: Mapping[Effect, int]
    means: Sequence[float]
    factor: Sequence[Sequence[float]]

    def mean(self, effects: Iterable[Effect]) -> float:
        """Return the expected sum of effects; of those never seen their prior mean."""
        total = 0.0
        for effect in effects:
            place = self.places.get(effect)
            prior = self.priors.means.get(effect, 0.0)
            total += prior if place is None else self.means[place]
        return total

    def covariance(self, sums: Sequence[Sequence[Effect]]) -> list[list[float]]:
        """Return how sums of effects vary together; unseen effects by their prior."""
        halves = [self._half(effects) for effects in sums]
        return [
            [
                sum(map(mul, first, second)) + self._unseen(sums[i], sums[j])
                for j, second in enumerate(halves)
            ]
            for i, first in enumerate(halves)
        ]

    def _half(self, effects: Sequence[Effect]) -> list[float]:
        """Return L⁻¹ · x for the indicator x of the effects that were seen."""
        right = [0.0] * len(self.means)
        for effect in effects:
            place = self.places.get(effect)
            if place is not None:
                right[place] += 1.0
        return forward(self.factor, right)

    def _unseen(self, first: Sequence[Effect], second: Sequence[Effect]) -> float:
        """Return the shared variance of effects that no row holds."""
        shared = (one for one in first if one not in self.places and one in second)
        return sum(self.priors.width(effect) ** 2 for effect in shared)


@dataclass(frozen=True, slots=True)
class Prediction:
    """A predicted value.

    Attributes:
        log_value: logarithm of its centre.
        variance: of the logarithm, noise included.
        parts: of the value at its centre, in the order of the summands.
    """

    log_value: float
    variance: float
    parts: tuple[float, ...]


def predict(posterior: Posterior, asked: Observation) -> Prediction:
    """Predict what `asked` describes; its value is not looked at."""
    logs = [one.sign * posterior.mean(one.effects) for one in asked.summands]
    more = exp(posterior.mean(asked.factors))
    parts = [one.amount * exp(log_) for one, log_ in zip(asked.summands, logs, strict=True)]
    total = sum(parts)
    sums = [*(one.effects for one in asked.summands), asked.factors]
    slopes = [one.sign * part / total for one, part in zip(asked.summands, parts, strict=True)]
    slopes.append(1.0)
    table = posterior.covariance(sums)
    variance = sum(
        slopes[i] * slopes[j] * table[i][j] for i in range(len(slopes)) for j in range(len(slopes))
    )
    centre = tuple(part * more for part in parts)
    return Prediction(log(total * more), variance + posterior.priors.noise**2, centre)


def fit(rows: Sequence[Observation], priors: Priors, start: Posterior | None = None) -> Posterior:
    """Fit the effects of all rows.

    Args:
        rows: any number; without any the priors are the answer.
        priors: of every constant and level that occurs.
        start: another fit of nearly the same rows, to be quick.
    """
    places: dict[Effect, int] = {}
    for row in rows:
        for effect in (*(e for one in row.summands for e in one.effects), *row.factors):
            places.setdefault(effect, len(places))
    prior = [priors.means.get(effect, 0.0) for effect in places]
    precision = [priors.width(effect) ** -2 for effect in places]
    means = [p if start is None else start.mean((e,)) for e, p in zip(places, prior, strict=True)]
    factor: list[list[float]] = []
    for _ in range(MOST_STEPS):
        matrix, slope = _curvature(rows, priors.noise, places, means)
        for place, (one, most) in enumerate(zip(precision, prior, strict=True)):
            matrix[place][place] += one
            slope[place] += (most - means[place]) * one
        factor = cholesky(matrix)
        step = backward(factor, forward(factor, slope))
        largest = max(map(abs, step), default=0.0)
        scale = min(1.0, LARGEST_STEP / largest) if largest else 1.0
        means = [mean + scale * change for mean, change in zip(means, step, strict=True)]
        if largest < CLOSE:
            break
    return Posterior(priors, places, means, factor)


def _curvature(
    rows: Sequence[Observation], noise: float, places: Mapping[Effect, int], means: Sequence[float]
) -> tuple[list[list[float]], list[float]]:
    """Return Σ w · J · Jᵀ and Σ w · J · residual, in units of the noise, w the t's weights."""
    matrix = [[0.0] * len(places) for _ in places]
    slope = [0.0] * len(places)
    for row in rows:
        estimate, slopes = _row(row, places, means)
        away = (log(row.value) - estimate) / noise
        weight = (FREEDOM + 1) / (FREEDOM + away**2) / noise**2
        for place, value in slopes.items():
            slope[place] += weight * value * away * noise
            line, scaled = matrix[place], weight * value
            for other, second in slopes.items():
                line[other] += scaled * second
    return matrix, slope


def _row(
    row: Observation, places: Mapping[Effect, int], means: Sequence[float]
) -> tuple[float, dict[int, float]]:
    """Return the estimated logarithm of a row, and how it moves with each effect."""
    parts = [
        one.amount * exp(one.sign * sum(means[places[effect]] for effect in one.effects))
        for one in row.summands
    ]
    total, slopes = sum(parts), dict[int, float]()
    for one, part in zip(row.summands, parts, strict=True):
        for effect in one.effects:
            place = places[effect]
            slopes[place] = slopes.get(place, 0.0) + one.sign * part / total
    for effect in row.factors:
        slopes[places[effect]] = slopes.get(places[effect], 0.0) + 1.0
    return log(total) + sum(means[places[effect]] for effect in row.factors), slopes


def cholesky(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return L of L · Lᵀ = matrix: line i has i + 1 values. The matrix is positive definite."""
    factor: list[list[float]] = []
    for i, line in enumerate(matrix):
        row: list[float] = []
        for j in range(i):
            other = factor[j]
            row.append((line[j] - sum(map(mul, row, other))) / other[j])
        row.append((line[i] - sum(map(mul, row, row))) ** 0.5)
        factor.append(row)
    return factor


def forward(factor: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Return x of L · x = right."""
    found: list[float] = []
    for line, value in zip(factor, right, strict=True):
        found.append((value - sum(map(mul, line, found))) / line[-1])
    return found


def backward(factor: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Return x of Lᵀ · x = right."""
    found = list(right)
    for i in range(len(found) - 1, -1, -1):
        found[i] /= factor[i][i]
        for j in range(i):
            found[j] -= factor[i][j] * found[i]
    return found
