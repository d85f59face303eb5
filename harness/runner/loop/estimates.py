"""What the estimator says of a cell, and the share of the measured peaks that was reached."""

from collections.abc import Mapping
from dataclasses import asdict

from msgspec import convert

from harness.estimator.record import CellLengths, RecordEstimates, utilisation
from harness.estimator.static import StaticLengths
from harness.results.explanation import Explanation
from harness.results.schema import Metric
from harness.results.summarize import share_metric
from harness.runner.loop.calibration import peaks_of
from harness.runner.loop.parts import CellFacts, Part
from harness.runner.plan import SessionGroup


def estimates_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """Every estimate of what the record measures, and MBU and MFU where their peaks are known."""
    found = _estimates(facts)
    explanation = convert(found.explanation, Explanation) if found.explanation else None
    return Part(
        fields={
            "estimates": {name: dict(values) for name, values in found.by_metric.items()},
            "explanation": explanation,
        },
        metrics=_utilisation(facts, found, metrics),
    )


def _estimates(facts: CellFacts) -> RecordEstimates:
    """Every estimate; none where the device is no real one.

    Static encoders have none: only the operators of fused ones are counted.
    """
    group, test = facts.group, facts.workload
    if group.device.simulate or group.has_one_shape:
        return RecordEstimates({}, {}, None)
    lengths = CellLengths(
        test.prompt_tokens,
        test.gen_tokens,
        test.depth_tokens,
        group.batch * test.sequences,
        group.cache,
        _static_lengths(group),
    )
    peaks = peaks_of(facts.entries, group.device, group.threads)
    return group.model.estimates(group.level, test, lengths, peaks)


def _static_lengths(group: SessionGroup) -> StaticLengths | None:
    """The shapes of a static decoder; None: the model is another one."""
    if group.shapes is None or group.has_one_shape:
        return None
    return StaticLengths(**asdict(group.shapes))


def _utilisation(
    facts: CellFacts, found: RecordEstimates, metrics: Mapping[str, Metric]
) -> dict[str, Metric]:
    """The share of the measured peaks that was reached, where they are known."""
    group, weights = facts.group, metrics.get("weights_bytes")
    if weights is None or weights.value is None:
        return {}
    peaks = peaks_of(facts.entries, group.device, group.threads)
    shares = utilisation(found, group.level, peaks, weights.value)
    return {
        name: share_metric(metrics[metric], share)
        for name, (metric, share) in shares.items()
        if metric in metrics
    }
