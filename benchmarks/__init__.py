"""Scripts that measure the benchmark itself; each says how it is run."""
