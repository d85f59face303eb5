"""Tasks of EleutherAI's lm-evaluation-harness over our decoders."""
