"""Sizes that calibrate in seconds; their constants mean nothing, their arithmetic is the same."""

from harness.estimator.calibration.shapes import Sizes

TINY = Sizes(
    rounds=2,
    seconds=0.01,
    passes=3,
    bandwidth_bytes=(2**16, 2**20),
    hidden=128,
    wide=256,
    chain_bytes=100_000,
    rows=(1, 4),
    small=128,
    few=4,
    stack_bytes=50_000,
    operator_width=64,
    operator_layers=(1, 30, 100),
    operator_rows=64,
    cache_layers=1,
    attention_layers=1,
    heads=4,
    kv_heads=2,
    head_dim=16,
    depths=(1, 64, 4096),
    prompts=(8,),
    logits=4096,
)
