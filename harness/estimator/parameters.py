"""The estimate people do in their heads: parameters x bits, over bandwidth. The honest baseline.

It knows nothing of scales, caches, embeddings or kernels; that is the point. Every function is
pure; every argument carries its unit.
"""

RULE_OF_THUMB_SHARE = 0.55


def weights_bytes(parameters: int, bits_per_weight: float) -> float:
    """Bytes that the weights should need.

        bytes = parameters * bits / 8

    Leaves out scales, zero points, alignment and whatever the runtime keeps beside them.
    Source: the rule of thumb on every model card ("7B at 4 bit is 3.5 GB").
    """
    return parameters * bits_per_weight / 8


def decode_tok_s(
    parameters: int, bits_per_weight: float, read_bytes_per_s: float, batch: int = 1
) -> float:
    """Tokens per second if decoding did nothing but read every weight once per step.

        tok/s = batch * bandwidth / (parameters * bits / 8)

    Assumes: the whole of `read_bytes_per_s` is reached and nothing else takes time; a step
    serves `batch` sequences. `read_bytes_per_s` is measured on this machine by the run itself.
    Source: memory side of the roofline, Williams et al. 2009, doi:10.1145/1498765.1498785.
    """
    return batch * read_bytes_per_s / weights_bytes(parameters, bits_per_weight)


def prefill_tok_s(parameters: int, peak_flop_per_s: float) -> float:
    """Prompt tokens per second if every weight cost two flop and nothing else took time.

        tok/s = peak / (2 * parameters)

    Counts embeddings, which are only looked up, and leaves out attention. `peak_flop_per_s` is
    the peak of a data sheet or of a matrix product in float32.
    Source: compute side of the roofline; 2 flop per weight, Kaplan et al. 2020, arXiv:2001.08361.
    """
    return peak_flop_per_s / (2 * parameters)


def rule_of_thumb_decode_tok_s(
    parameters: int, bits_per_weight: float, read_bytes_per_s: float, batch: int = 1
) -> float:
    """Tokens per second by the best-known rule: bandwidth over size, of which 55 % is reached.

        tok/s = 0.55 * batch * bandwidth / (parameters * bits / 8)

    Source: the constant of llmfit (github.com/AlexsJones/llmfit), which takes it at 4 bit.
    """
    return RULE_OF_THUMB_SHARE * decode_tok_s(parameters, bits_per_weight, read_bytes_per_s, batch)
