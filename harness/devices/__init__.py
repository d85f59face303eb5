"""Where a model runs: the table of providers, sessions, placement."""
