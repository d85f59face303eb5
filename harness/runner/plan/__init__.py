"""Settings -> session groups, every name and number checked before anything is built."""

from harness.runner.plan.checks import plan_threads
from harness.runner.plan.group import SessionGroup
from harness.runner.plan.layout import Plan, is_ranked, make_plan
from harness.runner.plan.sources import AnySource, find_source, is_encoder

__all__ = [
    "AnySource",
    "Plan",
    "SessionGroup",
    "find_source",
    "is_encoder",
    "is_ranked",
    "make_plan",
    "plan_threads",
]
