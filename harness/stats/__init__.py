"""Quantiles, intervals, differences, ranks and power, as pure functions."""
