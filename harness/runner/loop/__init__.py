"""Groups become workers, workers entries, entries records."""
