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

from harness.analysis.errors import check_method
from harness.analysis.scaling_causes import Explanation, counts_note, explain, find_anatomy
from harness.analysis.scaling_costs import Setting
from harness.analysis.scaling_fit import LEAST_SIZES, PowerLaw, fit_power_law, percent_of_factor
from harness.analysis.scaling_groups import Group, Groups, Model, group_values, size_count
from harness.builder.quantize.levels import LEVELS
from harness.core.errors import UsageError
from harness.estimator.calibration.storage import machine_fingerprint
from harness.results.schema import Document, Record
from harness.results.validity import why_left_out

MEASURE = "bench run --config scaling, then give its results file"
BREAKS_BEYOND_LN = math.log(1.1)  # a model within 10 % of its law does not break it
NOTED_GROUPS = 4  # of those left out, by name; the others are counted


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
    known = [find_anatomy(model.name, model.parameters) for model in models]
    counts = counts_note([anatomy for anatomy in known if anatomy is not None])
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
    anatomies = [find_anatomy(model.name, model.parameters) for model in models]
    found, explanation = anatomies[place], None
    if found is not None and level is not None:
        setting = Setting(level, group.prompt or 0, group.depth or 0, group.batch or 1)
        known = [anatomy for anatomy in anatomies if anatomy is not None]
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
    packages = document.environment.get("packages") or {}
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
