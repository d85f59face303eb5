"""Settings -> session groups, every name and number checked before anything is built."""

from harness.plan.checks import plan_threads
from harness.plan.group import SessionGroup
from harness.plan.layout import Plan, is_ranked, make_plan
from harness.plan.sources import AnySource, find_source, is_encoder

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
