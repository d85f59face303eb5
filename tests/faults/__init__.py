"""Faults on purpose: each test names its fault and what must remain true.

`faults.toml` lists all of them: what goes wrong, what holds all the same, and where that is tested,
here or beside the code, or why it is not. `test_table.py` holds the list against the tests.
"""
