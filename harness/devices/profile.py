"""ONNX Runtime's profile of a session -> shares of the time, per provider and per operator. Pure.

The durations are those of the host's calls, of a session that the profile slows down: they say
where the time goes, never how long anything takes. A provider that compiles its part of a graph
shows it as one operator.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]
TOP = 10


def warm_events(events: Sequence[Json], skip_share: float) -> list[Json]:
    """Leave the first runs of one session out: they warm up.

    Args:
        events: of one profile's JSON file; their times count from its session's beginning.
        skip_share: this part of the runs is left out.
    """
    runs = sorted(event["ts"] for event in events if event.get("name") == "model_run")
    counted = runs[int(len(runs) * skip_share) :]
    return [event for event in events if counted and event["ts"] >= counted[0]]


def shares(events: Sequence[Json]) -> Json:
    """Add up the time of the nodes.

    Args:
        events: of the profiles of all sessions of a model.

    Returns:
        `runs` that were counted; `providers`: [{provider, share}], most first; `operators`: the
        TOP of [{provider, operator, share, calls}]. Shares are of the time of all nodes.
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
    return {
        "runs": sum(event.get("name") == "model_run" for event in events),
        "providers": [
            {"provider": name, "share": us / total_us} for name, us in per_provider.most_common()
        ],
        "operators": [
            {
                "provider": name[0],
                "operator": name[1],
                "share": us / total_us,
                "calls": calls[name],
            }
            for name, us in per_operator.most_common(TOP)
        ],
    }
