"""A measuring child for tests of turns: a clock of its own, on which every call takes what is set.

SLOWER (a variable of the process) is the factor by which its passes take longer.
"""

import os
from typing import Any

FACTOR = float(os.environ.get("SLOWER", "1"))
STEP_NS, PREFILL_NS = 2_000_000, 50_000_000
passes: list[str] = []


def opened(**_arguments: Any) -> dict[str, Any]:
    return {"load_ns": int(3e8 * FACTOR), "first_ns": None}


def warm(workload: dict[str, Any], cap_s: float) -> dict[str, Any]:
    passes.clear()
    return {"steady": True}


def sample(workload: dict[str, Any], min_passes: int, min_seconds: float) -> dict[str, Any]:
    """The first turn, and the first step of every turn, take ten times as long: left out."""
    assert (min_passes, min_seconds) == (1, 0.0)
    scale = FACTOR * (1 if passes else 10)
    passes.append(workload["kind"])
    step, prefill = int(STEP_NS * scale), int(PREFILL_NS * scale)
    kind, steps = workload["kind"], workload["gen_tokens"]
    usual = {"cpu_ns": 1, "major_faults": 0, "involuntary_switches": 0}
    usual |= {"finite": True, "digest": "aa"}
    if kind == "tg":
        return {**usual, "itl_ns": [[10 * step] + [step] * (steps - 1)]}
    if kind == "enc":
        return {**usual, "encode_ns": [prefill]}
    if kind == "pp":
        return {**usual, "prefill_ns": [prefill]}
    rest = [step] * (steps - 1)
    return {**usual, "ttft_ns": [prefill], "itl_ns": [rest], "e2e_ns": [prefill + sum(rest)]}


COMMANDS = {"open": opened, "warm": warm, "sample": sample}
