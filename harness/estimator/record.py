"""The estimates of one record: all estimators side by side, and how the best one came about.

Metrics have the names that the record holds. With constants measured on this machine a cell's are
the `calibrated` estimates; with those of a data sheet, or with nothing but a read bandwidth, the
`structure` ones. Of an exported model whose architecture is not known, only its true parameters
predict: without the shapes of its matrices nothing is said of structure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import structs

from harness.builder.quantize.levels import QuantLevel
from harness.estimator.answer import RULE_OF_THUMB_SHARE, weights_bytes
from harness.estimator.cell import (
    CellEstimate,
    CellLengths,
    bandwidth_only,
    cell_estimate,
    static_estimate,
    whole_cache,
)
from harness.estimator.flat import estimated_terms
from harness.estimator.rules import (
    HardwarePeaks,
    Values,
    decoding_of,
    encode_rule_values,
    rule_values,
)
from harness.models.specs.structure import ModelStructure
from harness.results.enums import SINGLE_PASS, Kind
from harness.results.explanation import EstimatedPass, Explanation, MemoryPart
from harness.results.metrics import metric_of_pass, rate_of_kind, time_of_kind

# Estimators by name, the simplest first; the last one that has a value is the best.
PARAMS, RULE_OF_THUMB, STRUCTURE, CALIBRATED = ESTIMATORS = (
    "params",
    "rule_of_thumb",
    "structure",
    "calibrated",
)


# The calibrated estimate without the drift of the machine since, kept beside it where there is one.
AS_CALIBRATED = "as_calibrated"


@dataclass(frozen=True, slots=True)
class RecordEstimates:
    """All estimates of one cell.

    Attributes:
        by_metric: metric -> estimator -> value in the metric's unit; only what is known.
        explanation: the best estimator's sum, term by term; None: there is no sum.
        best: what the explanation was drawn from, and what utilisation is measured against.
    """

    by_metric: Mapping[str, Mapping[str, float | None]]
    explanation: Explanation | None
    best: CellEstimate | None


def record_estimates(
    model: ModelStructure,
    level: QuantLevel,
    lengths: CellLengths,
    peaks: HardwarePeaks,
) -> RecordEstimates:
    """Estimate one cell by every estimator whose hardware peaks are known.

    params          parameters x bits, over bandwidth or peak
    rule_of_thumb   the same, of which 55 % is reached
    structure       what a pass really reads, over the bandwidth alone
    calibrated      the same over rates measured here; not of static decoders
    as_calibrated   the same without the drift of the machine, where it is known: times alone
    """
    parameters, bits = model.parameters, level.weight_bits
    sums: dict[str, CellEstimate] = {}
    if peaks.bandwidth_bytes_per_s is not None:
        constants = bandwidth_only(peaks.bandwidth_bytes_per_s)
        counted = cell_estimate if lengths.static is None else static_estimate
        sums[STRUCTURE] = counted(model, level, constants, lengths)
    if peaks.measured is not None and lengths.static is None:
        sums[CALIBRATED] = cell_estimate(model, level, peaks.measured, lengths)
        if peaks.measured.drift is not None:
            steady = structs.replace(peaks.measured, drift=None)
            sums[AS_CALIBRATED] = cell_estimate(model, level, steady, lengths)
    values: dict[str, Values] = {
        PARAMS: rule_values(parameters, bits, lengths, peaks, 1.0)
        if model.decodes
        else encode_rule_values(parameters, bits, lengths, peaks),
        RULE_OF_THUMB: decoding_of(
            rule_values(parameters, bits, lengths, peaks, RULE_OF_THUMB_SHARE)
        ),
        **{name: found.values for name, found in sums.items()},
    }
    by_metric: dict[str, dict[str, float | None]] = {}
    for name in (*ESTIMATORS, AS_CALIBRATED):
        for metric, value in values.get(name, {}).items():
            if name == AS_CALIBRATED and not _is_timed(metric):
                continue
            by_metric.setdefault(metric, {})[name] = value
    best = next((name for name in (CALIBRATED, STRUCTURE) if name in sums), None)
    if best is None:
        return RecordEstimates(by_metric, None, None)
    explanation = structs.replace(
        _explanation(best, sums, peaks, model.read_parameters),
        whole_cache=whole_cache(model, level, lengths),
    )
    return RecordEstimates(by_metric, explanation, sums[best])


def _is_timed(metric: str) -> bool:
    """Whether a metric moves with the speed of the machine: sizes do not."""
    return not metric.endswith("_bytes")


def _explanation(
    name: str, sums: Mapping[str, CellEstimate], peaks: HardwarePeaks, read: int
) -> Explanation:
    """Return the sum behind an estimate: terms of each pass, parts of memory."""
    found, steady = sums[name], sums.get(AS_CALIBRATED)
    return Explanation(
        estimator=name,
        basis=found.basis,
        threads=peaks.measured.threads if peaks.measured is not None else None,
        read_parameters=read,
        drift=peaks.measured.drift if steady is not None and peaks.measured is not None else None,
        passes=tuple(
            EstimatedPass(
                pass_name=key,
                seconds=breakdown.seconds,
                bound=breakdown.bound,
                complete=breakdown.compute_known,
                terms=estimated_terms(breakdown),
                as_calibrated_seconds=steady.times[key].seconds if steady is not None else None,
            )
            for key, breakdown in found.times.items()
        ),
        memory=tuple(
            MemoryPart(part=term.name, bytes=term.resident_bytes) for term in found.memory.terms
        ),
    )


ENCODE_MS, ENCODE_RATE = metric_of_pass("encode").name, rate_of_kind(Kind.ENCODE).name
# What one pass takes and how many there are in a second, by kind of test.
PASS_METRICS = {
    kind: (time_of_kind(kind).name, rate_of_kind(kind).name)
    for kind in SINGLE_PASS
    if kind is not Kind.GRAPH
}


def exported_estimates(
    parameters: int,
    bits: float,
    kind: Kind,
    lengths: CellLengths,
    peaks: HardwarePeaks,
    encoder_parameters: int | None = None,
) -> RecordEstimates:
    """Estimate one cell from the parameters alone.

    Args:
        parameters: true count, of the whole model.
        bits: of one stored weight.
        kind: of the test.
        lengths: of the cell; of images and sounds the prompt is 0 where their tokens are unknown.
        peaks: of this machine.
        encoder_parameters: of the encoder, where a decoder has one; its passes and the decoder's
            steps read their own part of the weights.
    """
    weights = weights_bytes(parameters, bits)
    values: dict[str, dict[str, float]] = {
        PARAMS: {"weights_bytes": weights, "peak_rss_bytes": weights}
    }
    if kind in PASS_METRICS:
        own = parameters if encoder_parameters is None else encoder_parameters
        found = encode_rule_values(own, bits, lengths, peaks) if lengths.prompt_tokens else {}
        for name, known in zip(PASS_METRICS[kind], (ENCODE_MS, ENCODE_RATE), strict=True):
            if known in found:
                values[PARAMS][name] = found[known]
    elif kind is not Kind.GRAPH:
        own = parameters - (encoder_parameters or 0)
        values[PARAMS] |= dict(rule_values(own, bits, lengths, peaks, 1.0))
        values[PARAMS] |= {"weights_bytes": weights, "peak_rss_bytes": weights}
        thumb = rule_values(own, bits, lengths, peaks, RULE_OF_THUMB_SHARE)
        values[RULE_OF_THUMB] = dict(decoding_of(thumb))
    by_metric: dict[str, dict[str, float | None]] = {}
    for estimator, known_values in values.items():
        for metric, value in known_values.items():
            by_metric.setdefault(metric, {})[estimator] = value
    return RecordEstimates(by_metric, None, None)
