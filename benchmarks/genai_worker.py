"""A measuring child that drives onnxruntime-genai, with the same commands as our own worker.

Development only: needs `pip install '.[genai]'`. See against_genai.py.
"""

import json
import time
from typing import Any

import numpy as np
import onnxruntime_genai as og

Json = dict[str, Any]


class _State:
    model: og.Model
    capacity_tokens: int
    generator: og.Generator | None = None


STATE = _State()


def open_model(folder: str, threads: int, capacity_tokens: int) -> Json:
    """Load the folder with `threads` intra-op threads, the rest as its genai_config.json says."""
    config = og.Config(folder)
    options = {"intra_op_num_threads": threads, "inter_op_num_threads": 1}
    config.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
    start_ns = time.perf_counter_ns()
    STATE.model = og.Model(config)
    STATE.capacity_tokens = capacity_tokens
    return {"load_ns": time.perf_counter_ns() - start_ns}


def request(tokens: list[int], steps: int) -> Json:
    """One pass over `tokens` from an empty cache, the first token, then `steps` greedy steps.

    Each part is timed as our own request test times it; the generator is made before the clock
    starts.
    """
    generator = _new_generator()
    ids = np.array([tokens], dtype=np.int64)
    start_ns = time.perf_counter_ns()
    generator.append_tokens(ids)
    prefill_ns = time.perf_counter_ns() - start_ns
    generator.generate_next_token()
    itl_ns = []
    for _ in range(steps):
        start_ns = time.perf_counter_ns()
        generator.generate_next_token()
        itl_ns.append(time.perf_counter_ns() - start_ns)
    return {"prefill_ns": prefill_ns, "itl_ns": itl_ns}


def _new_generator() -> og.Generator:
    STATE.generator = None  # frees the cache of the last one first
    parameters = og.GeneratorParams(STATE.model)
    parameters.set_search_options(
        max_length=STATE.capacity_tokens, min_length=STATE.capacity_tokens, do_sample=False
    )
    STATE.generator = og.Generator(STATE.model, parameters)
    return STATE.generator


COMMANDS = {"open": open_model, "request": request}
