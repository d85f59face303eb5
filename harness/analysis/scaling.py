"""Whether the parameter count predicts speed and memory: one power law per group of cells. Pure.

The rule people use says that a model with twice the parameters decodes half as fast, reads a prompt
half as fast, and needs twice the memory: exponents of -1, -1 and +1. Here the exponents are fitted
to what was measured, and the model that is farthest from its law is named, with a cause that can
be counted in its structure.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from harness.analysis.errors import check_method
from harness.analysis.scaling_causes import (
    Explanation,
    Setting,
    counts_note,
    explain,
    find_structure,
)
from harness.builder.quantize.levels import LEVELS
from harness.core.errors import UsageError
from harness.estimator.calibration.store import machine_fingerprint
from harness.results.enums import Kind, Prepack
from harness.results.metrics import metric_row
from harness.results.schema import DECODE, PREFILL, REQUEST, Document, Record, kind_of
from harness.results.validity import why_left_out
from harness.stats.power_law import LEAST_SIZES, PowerLaw, fit_power_law, percent_of_factor

MEASURE = "bench run --config scaling, then give its results file"
BREAKS_BEYOND_LN = math.log(1.1)  # a model within 10 % of its law does not break it
NOTED_GROUPS = 4  # of those left out, by name; the others are counted


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
    kinds: tuple[Kind, ...]
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


_SESSION = ("device", "runtime", "level", "threads", "batch", "capacity", "prepack")
# Decoded tokens are no field: the rate of 8 and that of 16 are one quantity. Memory is that of
# decode tests, so that no model has the activations of a prompt which another was not given.
# Weights are the same in every test of a level.
RULES = (
    Rule("decode_tok_s", (DECODE,), (*_SESSION, "depth")),
    Rule("prefill_tok_s", (PREFILL,), (*_SESSION, "depth", "prompt", "chunk")),
    Rule("ttft_ms", (REQUEST,), (*_SESSION, "depth", "prompt", "chunk")),
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
        chunk: of them that were read at once; 0: all.
        capacity: positions that caches were allocated for; 0: as many as the tests need.
        prepack: when kernels copied weights.
    """

    rule: Rule
    level: str
    device: str | None = None
    runtime: str | None = None
    threads: int | None = None
    batch: int | None = None
    depth: int | None = None
    prompt: int | None = None
    chunk: int | None = None
    capacity: int | None = None
    prepack: str | None = None

    @property
    def test(self) -> str | None:
        """`tg @ d1024`, `pp64 @ d0`: the test without its decoded tokens; None for weights."""
        if self.depth is None:
            return None
        prompt = "" if self.prompt is None else str(self.prompt)
        chunks = f"c{self.chunk}" if self.chunk else ""
        return f"{self.rule.kinds[0]}{prompt}{chunks} @ d{self.depth}"

    @property
    def label(self) -> str:
        """The group in a sentence: metric, level, test, threads, and what is not usual."""
        threads = None if self.threads is None else f"t{self.threads}"
        batch = f"b{self.batch}" if self.batch and self.batch > 1 else None
        room = f"capacity {self.capacity}" if self.capacity else None
        copies = f"prepack {self.prepack}" if self.prepack not in (None, Prepack.OFF) else None
        words = (self.rule.metric, self.level, self.test, threads, batch, room, copies)
        return " ".join(word for word in words if word)

    @property
    def place(self) -> tuple[object, ...]:
        """What groups are sorted by: metric, level from large to small, device, then numbers."""
        levels = [*LEVELS, self.level]
        numbers = (self.threads, self.batch, self.depth, self.prompt, self.chunk, self.capacity)
        return (
            *(RULES.index(self.rule), levels.index(self.level), self.level),
            *(self.device or "", self.runtime or "", self.prepack or ""),
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


@dataclass(frozen=True, slots=True)
class Breaker:
    """The model that is farthest from its law, and too far for it.

    Attributes:
        model: its name.
        factor_ln: ln(measured / fitted), of the metric as it is.
        word: `slower`, `faster`, `larger` or `smaller`.
        is_known: whether its structure is.
        explanation: the cause, where one was found.
    """

    model: str
    factor_ln: float
    word: str
    is_known: bool
    explanation: Explanation | None

    @property
    def percent(self) -> float:
        """How far: 25 for 1.25 times its law, and for a law of 1.25 times it."""
        return percent_of_factor(self.factor_ln)

    @property
    def text(self) -> str:
        """`qwen2.5-0.5b: 23 % slower than its size says`."""
        return f"{self.model}: {self.percent:.0f} % {self.word} than its size says"

    @property
    def why(self) -> str:
        """The cause, or why there is none."""
        if self.explanation is not None:
            return self.explanation.text
        if self.is_known:
            return "no cause in the numbers known"
        return "its structure is not known here"


@dataclass(frozen=True, slots=True)
class ScalingRow:
    """One fitted law.

    Attributes:
        group: the metric, and what its cells share.
        models: names, by size.
        law: what was fitted; its residuals are in the order of the models.
        largest_ln: the largest |ln(measured / fitted)|.
        breaker: whose it is, where it is beyond 10 %; else None.
    """

    group: Group
    models: tuple[str, ...]
    law: PowerLaw
    largest_ln: float
    breaker: Breaker | None

    @property
    def largest_percent(self) -> float:
        """How far the model that is farthest lies from the law."""
        return percent_of_factor(self.largest_ln)


@dataclass(frozen=True, slots=True)
class ScalingStudy:
    """What documents say about the rule.

    Attributes:
        rows: one per group with enough models: by metric, level, threads, batch, depth, prompt.
        notes: how far the counts themselves differ, and which groups were left out.
    """

    rows: tuple[ScalingRow, ...]
    notes: tuple[str, ...]


def study_scaling(documents: Sequence[Document]) -> ScalingStudy:
    """Fit every metric against the parameters, over all models of the documents.

    Records that failed, are INVALID or simulated do not count. The order of documents and records
    does not matter.

    Args:
        documents: at least one, all of one machine; their cells are pooled.

    Raises:
        UsageError: two machines or methods, no record that counts, or no group of three sizes.
    """
    _check_one_machine(documents)
    groups = group_values(_counted(documents))
    fitted = {group: found for group, found in groups.items() if size_count(found) >= LEAST_SIZES}
    if not fitted:
        most = max((size_count(found) for found in groups.values()), default=0)
        raise UsageError(
            f"a law needs {LEAST_SIZES} models of different size that ran the same test; "
            f"here are {most}",
            fix=MEASURE,
        )
    models = sorted({model for found in fitted.values() for model in found})
    known = [find_structure(model.name, model.parameters) for model in models]
    counts = counts_note([structure for structure in known if structure is not None])
    notes = (counts, _left_out(groups, fitted))
    return ScalingStudy(
        tuple(scaling_row(group, found) for group, found in fitted.items()),
        tuple(note for note in notes if note is not None),
    )


def scaling_row(group: Group, found: Mapping[Model, float]) -> ScalingRow:
    """Fit one group.

    Args:
        group: the metric, and what its cells share.
        found: values of the metric, above 0, of models of at least LEAST_SIZES sizes.
    """
    models = sorted(found)
    law = fit_power_law([model.parameters for model in models], [found[model] for model in models])
    far = max(range(len(models)), key=lambda place: abs(law.residuals_ln[place]))
    factor_ln, breaker = law.residuals_ln[far], None
    if abs(factor_ln) > BREAKS_BEYOND_LN:
        breaker = _breaker(group, models, far, factor_ln)
    return ScalingRow(group, tuple(model.name for model in models), law, abs(factor_ln), breaker)


def _breaker(group: Group, models: Sequence[Model], place: int, factor_ln: float) -> Breaker:
    """Name the model at `place` and look for the cause."""
    rule, level = group.rule, LEVELS.get(group.level)
    cost_ln = -factor_ln if rule.is_rate else factor_ln
    structures = [find_structure(model.name, model.parameters) for model in models]
    found, explanation = structures[place], None
    if found is not None and level is not None:
        setting = Setting(level, group.prompt or 0, group.depth or 0, group.batch or 1)
        known = [structure for structure in structures if structure is not None]
        explanation = explain(rule.metric, cost_ln, found, known, setting)
    word = rule.words[0] if cost_ln > 0 else rule.words[1]
    return Breaker(models[place].name, factor_ln, word, found is not None, explanation)


def _check_one_machine(documents: Sequence[Document]) -> None:
    """Refuse documents whose differences are not those of models."""
    first = documents[0]
    for document in documents:
        check_method(document, first.method_version)
        if _machine(document) != _machine(first):
            raise UsageError(
                f"{first.run_id} and {document.run_id} were measured on different machines, or by "
                "different versions of onnxruntime",
                fix="give results of one machine: across two, size is not all that differs",
            )


def _machine(document: Document) -> tuple[str, object]:
    """What two documents must share to be pooled."""
    packages = document.environment.packages or {}
    return machine_fingerprint(document.environment), packages.get("onnxruntime")


def _counted(documents: Iterable[Document]) -> list[Record]:
    """Records whose measurements count.

    Raises:
        UsageError: there is none.
    """
    records = [record for document in documents for record in document.records]
    reasons = [why_left_out(record) for record in records]
    counted = [record for record, why in zip(records, reasons, strict=True) if why is None]
    if not counted:
        listed = ", ".join(f"{count} {why}" for why, count in Counter(reasons).most_common())
        raise UsageError(
            f"no record can be used, of {len(records)}" + (f": {listed}" if listed else ""),
            fix=MEASURE,
        )
    return counted


def _left_out(groups: Groups, fitted: Groups) -> str | None:
    """One line about the groups that are too small; None where there are none."""
    small = [group for group in groups if group not in fitted]
    if not small:
        return None
    listed = [f"{group.label} ({size_count(groups[group])})" for group in small[:NOTED_GROUPS]]
    if len(small) > NOTED_GROUPS:
        listed.append(f"{len(small) - NOTED_GROUPS} more")
    return f"left out, fewer than {LEAST_SIZES} models of different size: {', '.join(listed)}"
