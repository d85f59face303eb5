"""The names of metrics, as the registry has them."""

from harness.results import metrics
from harness.results.glossary.term import Term

METRICS = tuple(Term(row.name, row.unit, row.definition, row.left_out) for row in metrics.METRICS)
