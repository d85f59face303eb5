"""Models that others exported, recognised by their graphs and checked before use."""
