"""`decode>=20, ttft<=800ms`: what a model has to reach, as an absolute limit on a metric.

One record for `bench fit`, `bench run`, `bench compare` and plan files; names, units and directions
are those of the registry of metrics.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.core.errors import UsageError, suggestion
from harness.core.ranges import parse_number
from harness.core.units import GB, GIB, KIB, MIB
from harness.results.enums import Kind
from harness.results.metric_names import SHORT, SUSTAINED, full_name, limit_name
from harness.results.metric_row import MetricRow, Source
from harness.results.metrics import METRICS, rate_of_kind

AT_LEAST, AT_MOST = ">=", "<="
EXAMPLE = '--require "decode>=20, ttft<=800ms, peak<=2GiB"'
_BYTES = {"B": 1.0, "KiB": KIB, "MiB": MIB, "GiB": GIB, "kB": 1e3, "MB": 1e6, "GB": GB}
_MS = {"ms": 1.0, "s": 1e3, "us": 1e-3}
# Unit of a metric -> what a limit may end with, and how many of the unit that is. A limit without
# one is taken where there is one way to read it.
UNITS: dict[str, dict[str, float]] = {
    "bytes": _BYTES,
    "ms": _MS,
    "ms/token": {**_MS, "ms/token": 1.0},
    "share": {"": 1.0, "%": 0.01},
    "J/token": {"": 1.0, "J": 1.0, "mJ": 1e-3, "J/token": 1.0, "mJ/token": 1e-3},
    "J/sequence": {"": 1.0, "J": 1.0, "mJ": 1e-3},
    "J": {"": 1.0, "J": 1.0, "mJ": 1e-3},
}
_FORM = re.compile(r"\s*([A-Za-z][\w]*)\s*(>=|<=|≥|≤|>|<)\s*([-+]?[\d.]+(?:e[-+]?\d+)?)\s*(\S*)\s*")
_WORDS = {">": AT_LEAST, "≥": AT_LEAST, "<": AT_MOST, "≤": AT_MOST}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One limit.

    Attributes:
        text: as it was asked for, without spaces, the metric by the name that limits call it.
        metric: that is limited.
        limit: in the metric's unit; what is just as large meets it.
        is_sustained: the metric is a rate, and meant is the one over minutes without a rest.
    """

    text: str
    metric: MetricRow
    limit: float
    is_sustained: bool = False

    @property
    def metric_name(self) -> str:
        """The registry's name of what is limited: of a rate over minutes its own."""
        return f"{SUSTAINED}{self.metric.name}" if self.is_sustained else self.metric.name

    @property
    def name(self) -> str:
        """What stands in front of the limit."""
        return re.split("[<>]", self.text)[0]

    @property
    def sign(self) -> str:
        """In front of the limit, of the metric's good direction."""
        return AT_LEAST if self.metric.more_is_better else AT_MOST

    def fits(self, kind: Kind) -> bool:
        """Whether tests of a kind measure it: over minutes only their main rate."""
        if kind not in self.metric.kinds:
            return False
        return not self.is_sustained or rate_of_kind(kind) is self.metric

    def is_met_by(self, value: float) -> bool:
        """Whether a value that is known exactly keeps to the limit."""
        return value >= self.limit if self.metric.more_is_better else value <= self.limit


def parse_requirements(texts: Sequence[str], called: str = "--require") -> tuple[Requirement, ...]:
    """Read requirements, several in a text with commas between them.

    Args:
        texts: such as `decode>=20, ttft<=800ms`.
        called: the flag or the key, for messages.

    Raises:
        UsageError: one that is none, of an unknown metric or unit, in the wrong direction, given
            twice, or two that no value meets.
    """
    words = [word.strip() for text in texts for word in text.split(",")]
    parsed = [_parsed(word, called) for word in words if word]
    if not parsed:
        raise UsageError(f"{called} holds no requirement", fix=EXAMPLE)
    _refuse_contradictions(parsed, called)
    for sign, one in parsed:
        if sign != one.sign:
            raise UsageError(
                f"{called} {one.text}: {one.metric.name} is better where it is"
                f" {'larger' if one.metric.more_is_better else 'smaller'}, so a limit is the"
                f" {'least' if one.metric.more_is_better else 'most'} of it",
                fix=f"{one.name}{one.sign}{one.text.partition(sign)[2]}",
            )
    return tuple(one for _, one in parsed)


def requirement_texts(table: Mapping[str, str], called: str) -> list[str]:
    """The texts of a `[require]` table of a plan: `decode = ">=20"`.

    Raises:
        UsageError: a value that does not begin with its sign.
    """
    for name, limit in table.items():
        if not limit.strip().startswith((*_WORDS, AT_LEAST, AT_MOST)):
            raise UsageError(
                f"{called} {name} = {limit!r} does not begin with >= or <=",
                fix=f'{name} = ">=20" or {name} = "<=800ms"',
            )
    return [f"{name}{limit}" for name, limit in table.items()]


def requirable() -> tuple[MetricRow, ...]:
    """Metrics that a limit can stand on: those whose scatter is known, or that are counted.

    What only turns of `bench ab` have, or what is a share of a peak measured here, is none.
    """
    return tuple(row for row in METRICS if _has_interval(row))


def names() -> tuple[str, ...]:
    """Every name that a requirement may begin with, the short ones first."""
    return (*SHORT, *(row.name for row in requirable()))


def beginnings() -> tuple[str, ...]:
    """Every name with its sign: `decode>=`."""
    known = {row.name: row for row in requirable()}
    metrics = {name: known[full_name(name)] for name in names()}
    return tuple(
        f"{name}{AT_LEAST if row.more_is_better else AT_MOST}" for name, row in metrics.items()
    )


def _has_interval(row: MetricRow) -> bool:
    """Whether anything tells how far a value of a metric is to be believed."""
    if row.source in (Source.TURNS, Source.PEAKS, Source.COMPILING) or row.unit == "parameters":
        return False
    return row.source is not Source.MEMORY or row.known_scatter_ln is not None


def _parsed(word: str, called: str) -> tuple[str, Requirement]:
    """The sign that was typed, and the requirement."""
    match = _FORM.fullmatch(word)
    if match is None:
        raise UsageError(
            f"{called} {word!r} is no requirement: a metric, >= or <=, and a limit", fix=EXAMPLE
        )
    typed, comparison, number, unit = match.groups()
    sign, name = _WORDS.get(comparison, comparison), limit_name(typed)
    text = f"{name}{sign}{number}{unit}"
    metric, is_sustained = _metric(typed, text, called)
    limit = parse_number(number, f"{called} {text}", EXAMPLE) * _factor(metric, unit, text, called)
    _check_limit(metric, limit, text, called)
    return sign, Requirement(text, metric, limit, is_sustained)


def _metric(typed: str, text: str, called: str) -> tuple[MetricRow, bool]:
    """The metric that a name means, and whether over minutes: then it is the rate itself."""
    known = {row.name: row for row in requirable()}
    row = known.get(full_name(typed))
    if row is None:
        short = ", ".join(word for word in SHORT if not word.startswith(SUSTAINED))
        raise UsageError(
            f"{called} {text}: no metric that can be required is called {typed!r}",
            fix=f"{suggestion(typed, names())}; short names: {short}, {SUSTAINED}decode",
        )
    if row.source is not Source.SUSTAIN:
        return row, False
    return known[row.name.removeprefix(SUSTAINED)], True


def _factor(metric: MetricRow, unit: str, text: str, called: str) -> float:
    """How many of the metric's unit one of the typed one is."""
    known = UNITS.get(metric.unit, {"": 1.0, metric.unit: 1.0})
    if unit in known:
        return known[unit]
    ways = [word for word in known if word]
    problem = f"{unit!r} is no unit of {metric.name}" if unit else f"{metric.name} needs a unit"
    raise UsageError(f"{called} {text}: {problem}", fix=f"one of {', '.join(ways)}")


def _check_limit(metric: MetricRow, limit: float, text: str, called: str) -> None:
    """Refuse a limit that no value of the metric can be on either side of."""
    if metric.is_ratio and limit <= 0:
        raise UsageError(f"{called} {text}: a limit of {metric.name} is above 0", fix=EXAMPLE)
    if metric.unit == "share" and not 0 <= limit <= 1:
        example = f"{AT_LEAST}95%" if metric.more_is_better else f"{AT_MOST}5%"
        raise UsageError(
            f"{called} {text}: {metric.name} is a share, from 0 to 100%",
            fix=re.split("[<>]", text)[0] + example,
        )


def _refuse_contradictions(parsed: Sequence[tuple[str, Requirement]], called: str) -> None:
    """Refuse two limits on one thing."""
    seen: dict[tuple[str, bool], tuple[str, Requirement]] = {}
    for sign, one in parsed:
        key = one.metric.name, one.is_sustained
        if key not in seen:
            seen[key] = sign, one
            continue
        other_sign, other = seen[key]
        least, most = (one, other) if sign == AT_LEAST else (other, one)
        if sign != other_sign and least.limit > most.limit:
            raise UsageError(
                f"{called} {other.text} and {one.text} contradict each other: no value is both",
                fix=f"leave one of them out; {one.metric.name} is better where it is"
                f" {'larger' if one.metric.more_is_better else 'smaller'}",
            )
        if sign == other_sign:
            raise UsageError(
                f"{called} {other.text} and {one.text} limit the same metric twice",
                fix="leave one of them out",
            )
