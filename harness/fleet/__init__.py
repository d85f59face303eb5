"""One plan on many machines: its cells as files, each run by itself, results made one again."""
