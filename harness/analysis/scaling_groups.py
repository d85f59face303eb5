"""Records -> groups of cells in which nothing but the model differs, one value per model. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from harness.builder.quantize.levels import LEVELS
from harness.results.metrics import metric_row
from harness.results.samples import DECODE, PREFILL, REQUEST, kind_of
from harness.results.schema import Record


@dataclass(frozen=True, slots=True)
class Rule:
    """What the parameter count is said to predict.

    Attributes:
        metric: name of a metric.
        kinds: the kinds of test it is taken from.
        shared: fields of a cell in which all models of one fit agree.
        takes_largest: of several values of one model the largest counts, else the median.
    """

    metric: str
    kinds: tuple[str, ...]
    shared: tuple[str, ...]
    takes_largest: bool = False

    @property
    def is_rate(self) -> bool:
        """Whether more is faster: the exponent should be -1, else +1."""
        return metric_row(self.metric).more_is_better

    @property
    def words(self) -> tuple[str, str]:
        """For a model that costs more than its law says, and for one that costs less."""
        less, more = metric_row(self.metric).words
        return more.lower(), less.lower()

    @property
    def exponent(self) -> float:
        """Of the parameters, as people have it."""
        return -1.0 if self.is_rate else 1.0


_SESSION = ("device", "runtime", "level", "threads", "batch")
# Decoded tokens are no field: the rate of 8 and that of 16 are one quantity. Memory is that of
# decode tests, so that no model has the activations of a prompt which another was not given.
# Weights are the same in every test of a level.
RULES = (
    Rule("decode_tok_s", (DECODE,), (*_SESSION, "depth")),
    Rule("prefill_tok_s", (PREFILL,), (*_SESSION, "depth", "prompt")),
    Rule("ttft_ms", (REQUEST,), (*_SESSION, "depth", "prompt")),
    Rule("peak_rss_bytes", (DECODE,), (*_SESSION, "depth"), takes_largest=True),
    Rule("weights_bytes", (DECODE, PREFILL, REQUEST), ("level",)),
)


@dataclass(frozen=True, slots=True)
class Group:
    """What all cells of one fit share; None: the metric does not depend on it.

    Attributes:
        rule: the metric.
        level: quantization level.
        device: as the user asked for it.
        runtime: `ort`.
        threads: intra-op threads.
        batch: sequences.
        depth: tokens in the cache.
        prompt: prefill tokens.
    """

    rule: Rule
    level: str
    device: str | None = None
    runtime: str | None = None
    threads: int | None = None
    batch: int | None = None
    depth: int | None = None
    prompt: int | None = None

    @property
    def test(self) -> str | None:
        """`tg @ d1024`, `pp64 @ d0`: the test without its decoded tokens; None for weights."""
        if self.depth is None:
            return None
        prompt = "" if self.prompt is None else str(self.prompt)
        return f"{self.rule.kinds[0]}{prompt} @ d{self.depth}"

    @property
    def label(self) -> str:
        """The group in a sentence: metric, level, test, threads, and a batch above 1."""
        threads = None if self.threads is None else f"t{self.threads}"
        batch = f"b{self.batch}" if self.batch and self.batch > 1 else None
        words = (self.rule.metric, self.level, self.test, threads, batch)
        return " ".join(word for word in words if word)

    @property
    def place(self) -> tuple[object, ...]:
        """What groups are sorted by: metric, level from large to small, device, then numbers."""
        levels = [*LEVELS, self.level]
        numbers = (self.threads, self.batch, self.depth, self.prompt)
        return (
            *(RULES.index(self.rule), levels.index(self.level), self.level),
            *(self.device or "", self.runtime or ""),
            *(-1 if number is None else number for number in numbers),
        )


@dataclass(frozen=True, slots=True, order=True)
class Model:
    """One model as a record names it; small ones come first.

    Attributes:
        parameters: of its cell.
        name: likewise.
    """

    parameters: int
    name: str


Groups = dict[Group, dict[Model, float]]


def group_values(records: Iterable[Record]) -> Groups:
    """Return every metric of RULES that has a logarithm, one value per group and model.

    Several values of one model (other lengths, other runs) become their median; of peaks the
    largest.

    Args:
        records: that count; their order does not matter. Those with another cache than their
            level's own are left out: a law is about weights.
    """
    found: dict[Group, dict[Model, list[float]]] = {}
    for record in records:
        for rule in RULES:
            value = _value(record, rule)
            if value is not None:
                fields = {field: getattr(record.cell, field) for field in rule.shared}
                models = found.setdefault(Group(rule, **fields), {})
                model = Model(record.cell.parameters, record.cell.model)
                models.setdefault(model, []).append(value)
    return {
        group: {
            model: max(values) if group.rule.takes_largest else median(values)
            for model, values in sorted(models.items())
        }
        for group, models in sorted(found.items(), key=lambda item: item[0].place)
    }


def size_count(models: Iterable[Model]) -> int:
    """How many different parameter counts models have."""
    return len({model.parameters for model in models})


def _value(record: Record, rule: Rule) -> float | None:
    """A metric above 0 of a kind of test that the rule speaks of; else None."""
    metric = record.metrics.get(rule.metric)
    if metric is None or metric.value is None or kind_of(record.cell) not in rule.kinds:
        return None
    if not record.cell.has_own_cache:
        return None
    has_logarithm = 0 < metric.value < math.inf and record.cell.parameters > 0
    return metric.value if has_logarithm else None
