"""Settings -> session groups, every name and number checked before anything is built."""

from harness.runner.plan.checks import plan_threads
from harness.runner.plan.group import SessionGroup
from harness.runner.plan.layout import Plan, make_plan

__all__ = [
    "Plan",
    "SessionGroup",
    "make_plan",
    "plan_threads",
]
