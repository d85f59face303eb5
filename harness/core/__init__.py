"""What every package may use: errors with a way out, units, findings, ranges, shipped data."""
