"""What every number, column and word means. `bench explain` and docs/glossary.md come from here.

A leaf: it imports nothing of the harness but its errors, so that any room and any test may hold
its own names against it.
"""

from harness.results.glossary.lookup import explain, glossary_markdown, terms

__all__ = ["explain", "glossary_markdown", "terms"]
