"""What many records say together: comparisons, gates, errors of estimates, scaling."""
