"""A measuring child for tests of searches: how long a step takes is told by the session's options.

FAST (a variable of the process) names the option that makes steps a tenth faster; with one thread
they take twice as long. WRONG names one that chooses other tokens, BROKEN one that nothing opens.
"""

import os
from typing import Any

from harness.core.errors import ModelError

FAST, WRONG, BROKEN = (os.environ.get(name, "") for name in ("FAST", "WRONG", "BROKEN"))
STEP_NS = 2_000_000
state: dict[str, Any] = {}


def opened(device: dict[str, Any], threads: int, **_arguments: Any) -> dict[str, Any]:
    names = device.get("session_options", {})
    if BROKEN in names:
        raise ModelError(f"onnxruntime refuses {BROKEN}", fix="leave it out")
    scale = (0.9 if FAST in names else 1.0) * (2 if threads == 1 else 1)
    state.update(step_ns=int(STEP_NS * scale), digest="bb" if WRONG in names else "aa")
    return {"load_ns": 10**8, "first_ns": None}


def warm(workload: dict[str, Any], cap_s: float) -> dict[str, Any]:
    return {"steady": True}


def sample(workload: dict[str, Any], min_passes: int, min_seconds: float) -> dict[str, Any]:
    step_ns, steps = state["step_ns"], workload["gen_tokens"]
    usual = {"cpu_ns": 1, "major_faults": 0, "involuntary_switches": 0}
    usual |= {"finite": True, "digest": state["digest"]}
    if workload["kind"] == "pp":
        return {**usual, "prefill_ns": [step_ns]}
    if workload["kind"] == "enc":
        return {**usual, "encode_ns": [step_ns]}
    if workload["kind"] == "tg":
        return {**usual, "itl_ns": [[step_ns] * steps]}
    rest = [step_ns] * (steps - 1)
    return {
        **usual, "ttft_ns": [step_ns], "itl_ns": [rest], "e2e_ns": [step_ns * steps],
        "prefill_ns": [step_ns],
    }  # fmt: skip


COMMANDS = {"open": opened, "warm": warm, "sample": sample}
