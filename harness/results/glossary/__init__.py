"""What every number, column and word means. `bench explain` and docs/glossary.md come from here.

Metrics are drawn from the registry, harness.results.metrics; columns, codes and words stand here.
"""

from harness.results.glossary.lookup import explain, glossary_markdown, terms

__all__ = ["explain", "glossary_markdown", "terms"]
