"""Many results files as one history: an index in one file, trends, steps and what was accepted."""
