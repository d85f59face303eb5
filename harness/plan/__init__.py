"""Settings -> session groups, every name and number checked before anything is built."""

from harness.plan.checks import is_encoder, plan_threads
from harness.plan.layout import RUNTIME, Plan, SessionGroup, is_ranked, make_plan

__all__ = [
    "RUNTIME",
    "Plan",
    "SessionGroup",
    "is_encoder",
    "is_ranked",
    "make_plan",
    "plan_threads",
]
