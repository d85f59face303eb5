"""Settings -> session groups, every name and number checked before anything is built."""

from harness.runner.plan.checks import plan_threads
from harness.runner.plan.layout import Plan, SessionGroup, in_one_session, make_plan

__all__ = [
    "Plan",
    "SessionGroup",
    "in_one_session",
    "make_plan",
    "plan_threads",
]
