"""A measuring child that measures nothing: every answer is a constant of what is asked.

It stands where a worker does that opens models, so that what goes on around workers (rounds,
journals, losses, ends) can be tried thousands of times; two runs of one plan give the same records.
NULL_PAUSE_S (a variable of the process) is how long each command takes: time to be killed in.
"""

import os
import time
from typing import Any

PAUSE_S = float(os.environ.get("NULL_PAUSE_S", "0"))
STEP_NS, TOKEN_NS, LOAD_NS, FIRST_NS = 2_000_000, 100_000, 30_000_000, 5_000_000
PLACED = {"verdict": "FULL", "nodes": {"CPUExecutionProvider": 1}, "compute_nodes": {}}
HELD_BYTES = 50_000_000


def opened(first: dict[str, Any] | None = None, **_arguments: Any) -> dict[str, Any]:
    """A session that nobody opened."""
    time.sleep(PAUSE_S)
    return {
        "load_ns": LOAD_NS,
        "first_ns": None if first is None else FIRST_NS,
        "placement": PLACED,
        "provider": "CPUExecutionProvider",
    }


def warm(workload: dict[str, Any], cap_s: float) -> dict[str, Any]:
    """Steady at once."""
    time.sleep(PAUSE_S)
    return {"steady": True}


def sample(workload: dict[str, Any], min_passes: int, min_seconds: float) -> dict[str, Any]:
    """So many passes as asked, each of the same length."""
    time.sleep(PAUSE_S)
    kind, steps = workload["kind"], max(workload["gen_tokens"], 1)
    prompt_ns = TOKEN_NS * max(workload["prompt_tokens"], 1)
    usual = {"cpu_ns": 1, "major_faults": 0, "involuntary_switches": 0}
    usual |= {"finite": True, "digest": "aa"}
    if kind == "tg":
        return {**usual, "itl_ns": [[STEP_NS] * steps] * min_passes}
    if kind == "pp":
        return {**usual, "prefill_ns": [prompt_ns] * min_passes}
    rest = [STEP_NS] * (steps - 1)
    return {
        **usual,
        "ttft_ns": [prompt_ns] * min_passes,
        "itl_ns": [rest] * min_passes,
        "e2e_ns": [prompt_ns + sum(rest)] * min_passes,
    }


def memory(workload: dict[str, Any], **_arguments: Any) -> dict[str, Any]:
    """A peak that grows with what a test reads and writes."""
    time.sleep(PAUSE_S)
    held = {"rss_bytes": HELD_BYTES, "anonymous_bytes": None, "file_bytes": None}
    tokens = workload["prompt_tokens"] + workload["gen_tokens"]
    peak_bytes = HELD_BYTES + 1000 * tokens
    return {"baseline": held, "loaded": held, "steady": held, "peak_bytes": peak_bytes}


def memory_next(workload: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    """The same behind another test."""
    return {"taken": memory(workload, **arguments)}


def close() -> dict[str, Any]:
    """Nothing is open."""
    return {}


COMMANDS = {
    "open": opened,
    "warm": warm,
    "sample": sample,
    "memory": memory,
    "memory_next": memory_next,
    "close": close,
}
