"""Results documents in the formats that other tools read: the one table of them."""

from collections.abc import Callable

from harness.report.bencher import draw_bencher
from harness.report.benchmark_action import draw_bigger_is_better, draw_smaller_is_better
from harness.report.benchstat import draw_benchstat
from harness.report.junit import draw_junit
from harness.report.openmetrics import draw_openmetrics
from harness.report.pyperf import draw_pyperf
from harness.results.schema import Document

EXPORTERS: dict[str, Callable[[Document], str]] = {
    "junit": draw_junit,
    "openmetrics": draw_openmetrics,
    "bencher": draw_bencher,
    "benchmark-action": draw_smaller_is_better,
    "benchmark-action-bigger": draw_bigger_is_better,
    "pyperf": draw_pyperf,
    "benchstat": draw_benchstat,
}
