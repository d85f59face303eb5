"""What people type for a metric: its own name or a short one, in every limit and every list.

One vocabulary of `--require`, `[require]`, `--fail-on` and `--metric`. Limits are drawn with the
short name where there is one; documents hold the registry's.
"""

from harness.results.metrics import find_metric

SUSTAINED = "sustained_"  # before the name of a rate: over minutes without a rest
_SHORT: dict[str, str] = {
    "decode": "decode_tok_s",
    "prefill": "prefill_tok_s",
    "encode": "encode_seq_s",
    "images": "images_s",
    "sound": "sound_s_per_s",
    "runs": "runs_s",
    "ttft": "ttft_ms",
    "reread": "reread_ttft_ms",
    "load": "load_ms",
    "first": "first_ms",
    "cold": "cold_ttft_ms",
    "tpot": "tpot_ms",
    "e2e": "e2e_ms",
    "peak": "peak_rss_bytes",
    "weights": "weights_bytes",
    "kld": "kld_nats",
    "top1": "top1_agreement",
    "nll": "nll_delta",
    "cosine": "embedding_cosine",
    "nearest": "nearest_agreement",
    "accuracy": "task_accuracy",
    "flips": "task_flips",
    "energy": "j_per_token",
}


def is_rate(name: str) -> bool:
    """Whether a metric is a rate of a test, so that it may be kept up for minutes."""
    return find_metric(f"{SUSTAINED}{name}") is not None


# Short name -> metric: those of rates also of what is left of them over minutes.
SHORT: dict[str, str] = {
    **_SHORT,
    **{
        f"{SUSTAINED}{word}": f"{SUSTAINED}{name}" for word, name in _SHORT.items() if is_rate(name)
    },
}
_LIMITED = {name: word for word, name in SHORT.items()}


def full_name(word: str) -> str:
    """The registry's name of a metric by any of its names; another word stays as it is."""
    return SHORT.get(word, word)


def limit_name(word: str) -> str:
    """What limits call a metric, whichever of its names is given; another word stays as it is."""
    return _LIMITED.get(full_name(word), word)
