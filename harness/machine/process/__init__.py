"""The worker process: starting, asking, pinning and ending it."""
