"""ONNX Runtime's profile of a session -> shares of the time, per provider and per operator. Pure.

The durations are those of the host's calls, of a session that the profile slows down: they say
where the time goes, never how long anything takes. A provider that compiles its part of a graph
shows it as one operator.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harness.results.replies import OperatorShare, Profile, ProviderShare

Event = Mapping[str, Any]  # as ONNX Runtime writes it
TOP = 10


def warm_events(events: Sequence[Event], skip_share: float) -> list[Event]:
    """Leave the first runs of one session out: they warm up.

    Args:
        events: of one profile's JSON file; their times count from its session's beginning.
        skip_share: this part of the runs is left out.
    """
    runs = sorted(event["ts"] for event in events if event.get("name") == "model_run")
    counted = runs[int(len(runs) * skip_share) :]
    return [event for event in events if counted and event["ts"] >= counted[0]]


def shares(events: Sequence[Event]) -> Profile:
    """Add up the time of the nodes.

    Args:
        events: of the profiles of all sessions of a model.

    Returns:
        The TOP operators, and all providers; shares are of the time of all nodes.
    """
    per_provider: Counter[str] = Counter()
    per_operator: Counter[tuple[str, str]] = Counter()
    calls: Counter[tuple[str, str]] = Counter()
    for event in events:
        if event.get("cat") != "Node":
            continue
        provider = event.get("args", {}).get("provider")
        if provider:  # other entries of a node are its fences, without a provider
            operator = (provider, event["args"].get("op_name", event["name"]))
            per_provider[provider] += event["dur"]
            per_operator[operator] += event["dur"]
            calls[operator] += 1
    total_us = per_provider.total() or 1
    return Profile(
        runs=sum(event.get("name") == "model_run" for event in events),
        providers=tuple(
            ProviderShare(provider=name, share=us / total_us)
            for name, us in per_provider.most_common()
        ),
        operators=tuple(
            OperatorShare(
                provider=provider, operator=operator, share=us / total_us, calls=calls[key]
            )
            for key, us in per_operator.most_common(TOP)
            for provider, operator in [key]
        ),
    )
