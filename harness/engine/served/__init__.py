"""Servers that answer over HTTP: what is asked of them, timed as a client sees it, and checked."""
