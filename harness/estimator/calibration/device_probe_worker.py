"""The child process that times micro-graphs on a graphics processor; it keeps raw passes.

What a graph reads and writes stays in the device's memory; see harness.engine.device_run.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.builder.graph.micro_device import READ_WIDTH
from harness.builder.quantize.levels import CACHES, cache_of
from harness.devices.device import SentDevice
from harness.devices.session import OpenedSession
from harness.engine.buffers import fill_cache
from harness.engine.device_run import DeviceRuns
from harness.estimator.calibration.constants import (
    ATTENTION,
    STACK_CAPACITY,
    Sizes,
    caches_apart,
)
from harness.estimator.calibration.device_sizes import READ_PARTS, Floats
from harness.estimator.calibration.passes import Reply, noise, timed_passes

FLOAT_BYTES = 4


def read_memory(
    folder: str, device: SentDevice, sizes: Sizes, threads: int, floats: Floats
) -> Reply:
    """Read each working set again and again by sums of its rows.

    Returns:
        `size_bytes` and `pass_ns`, the first of next to nothing: what a run takes without reading.
    """
    runs = DeviceRuns(folder, device, threads)
    opened, replies = runs.open("reads"), []
    row_bytes = READ_WIDTH * FLOAT_BYTES
    for size_bytes in (0, *sizes.bandwidth_bytes):
        rows = max(1, size_bytes // READ_PARTS // row_bytes)
        array = np.ones((rows, READ_WIDTH), np.float32)
        parts = {f"part.{number}": array for number in range(READ_PARTS)}
        run = runs.bound(opened, parts, {})
        held = READ_PARTS * rows * row_bytes
        replies.append({"size_bytes": held, "pass_ns": timed_passes(run, sizes)})
    return replies


def multiply(
    folder: str, kernel: str, device: SentDevice, sizes: Sizes, threads: int, floats: Floats
) -> Reply:
    """As harness.estimator.calibration.probe_worker.multiply."""
    runs, replies = DeviceRuns(folder, device, threads), []
    for graph, rows in (
        ("pair", sizes.rows),
        *((name, (1,)) for name in ("chain", "few", "small")),
    ):
        opened = runs.open(f"{kernel}.{graph}")
        width = sizes.hidden if graph in ("pair", "chain") else sizes.small
        for count in rows:
            run = _vector(runs, opened, (1, count, width))
            passes_ns = timed_passes(run, sizes)
            replies.append({"graph": graph, "rows": count, "pass_ns": passes_ns})
    return replies


def call_operators(
    folder: str, device: SentDevice, sizes: Sizes, threads: int, floats: Floats
) -> Reply:
    """As harness.estimator.calibration.probe_worker.call_operators."""
    runs, replies = DeviceRuns(folder, device, threads), []
    middle = sizes.operator_layers[len(sizes.operator_layers) // 2]
    for layers in sizes.operator_layers:
        opened = runs.open(f"operators.{layers}")
        for rows in (1, sizes.operator_rows) if layers == middle else (1,):
            run = _vector(runs, opened, (1, rows, sizes.operator_width))
            passes_ns = timed_passes(run, sizes)
            replies.append({"layers": layers, "rows": rows, "pass_ns": passes_ns})
    return replies


def attend(
    folder: str, probe: str, device: SentDevice, sizes: Sizes, threads: int, floats: Floats
) -> Reply:
    """As harness.estimator.calibration.probe_worker.attend, over a cache of floats."""
    runs, replies = DeviceRuns(folder, device, threads), []
    cache = caches_apart(tuple(CACHES)).get(probe) if probe != ATTENTION else None
    cache = cache or cache_of(floats.dtype)
    packed = (sizes.heads + 2 * sizes.kv_heads) * sizes.head_dim
    for graph, layers, capacity, shots in (
        ("cached", sizes.cache_layers, sizes.cache_tokens, [(1, n + 1) for n in sizes.depths]),
        ("prompt", sizes.attention_layers, max(sizes.prompts), [(n, n) for n in sizes.prompts]),
    ):
        opened = runs.open(f"{graph}.{probe}")
        one = np.zeros((1, sizes.kv_heads, capacity, sizes.head_dim), cache.dtype)
        fill_cache(one, cache, (0,))
        for tokens, seen in shots:
            vector = np.empty((1, tokens, sizes.heads * sizes.head_dim), cache.dtype)
            run = runs.bound(
                opened,
                {"packed": noise((1, tokens, packed), cache.dtype), **_filled(seen)},
                {f"attended.{layer}": vector for layer in range(layers)},
                _caches(one, layers),
            )
            passes_ns = timed_passes(run, sizes)
            replies.append({"layers": layers, "tokens": tokens, "seen": seen, "pass_ns": passes_ns})
    return replies


def run_stacks(
    folder: str, device: SentDevice, sizes: Sizes, threads: int, floats: Floats
) -> Reply:
    """As harness.estimator.calibration.probe_worker.run_stacks."""
    runs = DeviceRuns(folder, device, threads)
    run = _vector(runs, runs.open("operators.stack"), (1, 1, sizes.small))
    replies = [{"graph": "operators", "pass_ns": timed_passes(run, sizes)}]
    shape = (1, sizes.stack_kv_heads, STACK_CAPACITY, sizes.head_dim)
    hidden = noise((1, 1, sizes.stack_heads * sizes.head_dim), floats.dtype)
    run = runs.bound(
        runs.open("attention.stack"),
        {"hidden": hidden, **_filled(2)},
        {"product": np.empty_like(hidden)},
        _caches(np.zeros(shape, floats.dtype), sizes.stack_layers),
    )
    return [*replies, {"graph": "attention", "pass_ns": timed_passes(run, sizes)}]


def choose(folder: str, device: SentDevice, sizes: Sizes, threads: int, floats: Floats) -> Reply:
    """Copy many logits from the device and find the largest, as a decode step does.

    Returns:
        `size_bytes` and `pass_ns`.
    """
    runs = DeviceRuns(folder, device, threads)
    opened = runs.open("reads")  # lives as long as its memory is used
    logits = noise((1, sizes.logits), "float32")
    held = runs.place(logits)
    passes_ns = timed_passes(lambda: (np.argmax(held.numpy(), axis=1), opened)[0], sizes)
    return [{"size_bytes": logits.nbytes, "pass_ns": passes_ns}]


COMMANDS: Mapping[str, Callable[..., Reply]] = {
    "read_memory": read_memory,
    "multiply": multiply,
    "call_operators": call_operators,
    "attend": attend,
    "run_stacks": run_stacks,
    "choose": choose,
}


def _vector(
    runs: DeviceRuns, opened: OpenedSession, shape: tuple[int, ...]
) -> Callable[[], object]:
    """Return the run of a chain over one input."""
    half = "float16" in opened.session.get_inputs()[0].type
    array = noise(shape, "float16" if half else "float32")
    return runs.bound(opened, {"hidden": array}, {"product": np.empty_like(array)})


def _filled(seen: int) -> dict[str, NDArray[Any]]:
    """Return how much of its cache an attention sees."""
    return {
        "last_index": np.array([seen - 1], np.int32),
        "total_tokens": np.array(seen, np.int32),
    }


def _caches(one: NDArray[Any], layers: int) -> dict[str, NDArray[Any]]:
    """Return keys and values of every layer, all alike."""
    return {f"{layer}.{half}": one for layer in range(layers) for half in ("key", "value")}
