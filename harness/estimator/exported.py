"""What the true parameters of an exported model predict, where its architecture is not known.

Only the parameter rules: without the shapes of its matrices nothing is said of structure.
"""

from harness.estimator import parameters as rule
from harness.estimator.cells import CellLengths
from harness.estimator.record import (
    PARAMS,
    RULE_OF_THUMB,
    HardwarePeaks,
    RecordEstimates,
    encode_rule_values,
    rule_values,
)

DECODE_METRICS = ("decode_tok_s", "tpot_ms")
# What one pass takes and how many there are in a second, by kind of test.
PASS_METRICS = {"enc": ("encode_ms", "encode_seq_s"), "img": ("image_ms", "images_s")}


def exported_estimates(
    parameters: int,
    bits: float,
    kind: str,
    lengths: CellLengths,
    peaks: HardwarePeaks,
    encoder_parameters: int | None = None,
) -> RecordEstimates:
    """Estimate one cell from the parameters alone.

    Args:
        parameters: true count, of the whole model.
        bits: of one stored weight.
        kind: of the test: `pp`, `tg`, `pg`, `enc`, `img` or `graph`.
        lengths: of the cell; of images the prompt is their tokens, 0 where that is not known.
        peaks: of this machine.
        encoder_parameters: of the encoder, where a decoder has one; its passes and the decoder's
            steps read their own part of the weights.
    """
    weights = rule.weights_bytes(parameters, bits)
    values: dict[str, dict[str, float]] = {
        PARAMS: {"weights_bytes": weights, "peak_rss_bytes": weights}
    }
    if kind in PASS_METRICS:
        own = parameters if encoder_parameters is None else encoder_parameters
        found = encode_rule_values(own, bits, lengths, peaks) if lengths.prompt_tokens else {}
        for name, known in zip(PASS_METRICS[kind], ("encode_ms", "encode_seq_s"), strict=True):
            if known in found:
                values[PARAMS][name] = found[known]
    elif kind != "graph":
        own = parameters - (encoder_parameters or 0)
        values[PARAMS] |= dict(rule_values(own, bits, lengths, peaks, 1.0))
        values[PARAMS] |= {"weights_bytes": weights, "peak_rss_bytes": weights}
        thumb = rule_values(own, bits, lengths, peaks, rule.RULE_OF_THUMB_SHARE)
        values[RULE_OF_THUMB] = {name: thumb[name] for name in DECODE_METRICS if name in thumb}
    by_metric: dict[str, dict[str, float | None]] = {}
    for estimator, known_values in values.items():
        for metric, value in known_values.items():
            by_metric.setdefault(metric, {})[estimator] = value
    return RecordEstimates(by_metric, {}, None)


def mbu_file(
    weights_bytes: int, cache_bytes: float, seconds: float, bandwidth_bytes_per_s: float
) -> float:
    """Share of the read bandwidth that a decode step reached, with the bytes of the file.

    (weights as stored + cache read) / seconds / bandwidth
    """
    return (weights_bytes + cache_bytes) / seconds / bandwidth_bytes_per_s
