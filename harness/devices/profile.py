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


def shares(events: Sequence[Json], skip_share: float = 0.0) -> Json:
    """Add up the time of the nodes.

    Args:
        events: of the profile's JSON file.
        skip_share: this part of the runs, the first ones, is left out: they warm up.

    Returns:
        `runs` that were counted; `providers`: [{provider, share}], most first; `operators`: the
        TOP of [{provider, operator, share, calls}]. Shares are of the time of all nodes.
    """
    runs = sorted(event["ts"] for event in events if event.get("name") == "model_run")
    counted = runs[int(len(runs) * skip_share) :]
    begin_us = counted[0] if counted else 0
    per_provider: Counter[str] = Counter()
    per_operator: Counter[tuple[str, str]] = Counter()
    calls: Counter[tuple[str, str]] = Counter()
    for event in events:
        if event.get("cat") != "Node" or event["ts"] < begin_us:
            continue
        provider = event.get("args", {}).get("provider")
        if provider:  # other entries of a node are its fences, without a provider
            operator = (provider, event["args"].get("op_name", event["name"]))
            per_provider[provider] += event["dur"]
            per_operator[operator] += event["dur"]
            calls[operator] += 1
    total_us = per_provider.total() or 1
    return {
        "runs": len(counted),
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
