"""The child process that times micro-graphs and reads of memory; it keeps raw passes."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.builder.quantize.levels import CACHES
from harness.devices.device import find_device
from harness.devices.session import OpenedSession, open_session
from harness.engine.buffers import aligned_zeros, fill_cache
from harness.estimator.calibration.bandwidth_worker import read_slices
from harness.estimator.calibration.constants import STACK_CAPACITY, Sizes, caches_apart
from harness.estimator.calibration.operators import probe_of, state_shape
from harness.estimator.calibration.passes import Reply, noise, timed_passes
from harness.estimator.calibration.pulse_worker import pulse

# One timed batch of reads is at least this long, so that waking threads does not count.
BATCH_BYTES = 64 * 2**20


def read_curve(sizes: Sizes, threads: int) -> Reply:
    """Read each working set again and again, one slice per thread.

    Returns:
        `size_bytes` and `pass_ns` of one pass, each the mean of a batch of them.
    """
    largest = np.ones(max(sizes.read_bytes) // 4, dtype=np.float32)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        replies = []
        for size_bytes in sizes.read_bytes:
            parts = np.array_split(largest[: size_bytes // 4], threads)
            repeats = max(1, BATCH_BYTES // size_bytes)
            batches_ns = timed_passes(lambda p=parts, r=repeats: read_slices(pool, p, r), sizes)  # type: ignore[misc]
            passes_ns = [batch / repeats for batch in batches_ns]
            replies.append({"size_bytes": size_bytes, "pass_ns": passes_ns})
    return replies


def multiply(folder: str, kernel: str, device: str, sizes: Sizes, threads: int) -> Reply:
    """Run the large and the small matrices in a cache at every row count, long chains at one row.

    Returns:
        `graph` (`pair`, `chain`, `far`, `few` or `small`), `rows` and `pass_ns`.
    """
    replies: Reply = []
    for graph, rows in (
        ("pair", sizes.rows),
        ("few", sizes.rows),
        *((name, (1,)) for name in (*sizes.long_chains, "small")),
    ):
        opened = _open(Path(folder) / f"{kernel}.{graph}.onnx", device, threads)
        width = sizes.small if graph in ("few", "small") else sizes.hidden
        for count in rows:
            run = bound_vector(opened, (1, count, width))
            replies.append({"graph": graph, "rows": count, "pass_ns": timed_passes(run, sizes)})
    return replies


def call_operators(folder: str, device: str, sizes: Sizes, threads: int) -> Reply:
    """Run chains of tiny operators over one token, and the middle one over many.

    Returns:
        `layers`, `rows` and `pass_ns`.
    """
    replies: Reply = []
    middle = sizes.operator_layers[len(sizes.operator_layers) // 2]
    for layers in sizes.operator_layers:
        opened = _open(Path(folder) / f"operators.{layers}.onnx", device, threads)
        for rows in (1, sizes.operator_rows) if layers == middle else (1,):
            run = bound_vector(opened, (1, rows, sizes.operator_width))
            replies.append({"layers": layers, "rows": rows, "pass_ns": timed_passes(run, sizes)})
    return replies


def attend(folder: str, probe: str, device: str, sizes: Sizes, threads: int) -> Reply:
    """Attend with one token at every depth, and with every prompt from an empty cache.

    Of scores that are not plain one token attends at the greatest depth alone.

    Args:
        folder: of the graphs.
        probe: the rate of an attention; names the graphs.
        device: a key of the device table.
        sizes: of the calibration.
        threads: intra-op threads.

    Returns:
        `layers`, `tokens`, `seen` (cached tokens and new ones) and `pass_ns`.
    """
    replies: Reply = []
    scored = probe_of(probe)
    depths = sizes.depths if scored is None else sizes.depths[-1:]
    shots = {
        "cached": [(1, depth + 1) for depth in depths],
        "prompt": [(tokens, tokens) for tokens in sizes.prompts],
    }
    layers_of = {"cached": sizes.cache_layers, "prompt": sizes.attention_layers}
    for graph, layers in layers_of.items():
        opened = _open(Path(folder) / f"{graph}.{probe}.onnx", device, threads)
        capacity = max(seen for _, seen in shots[graph])
        cache = scored.cache if scored else caches_apart(tuple(CACHES)).get(probe)
        cache = cache or CACHES["fp32"]
        one = aligned_zeros(
            (1, sizes.kv_heads, capacity, cache.stored_width(sizes.head_dim)), cache.dtype
        )
        fill_cache(one, cache, (0,))
        caches = [one.copy() for _ in range(2 * layers)]
        for tokens, seen in shots[graph]:
            run = bound_attention(opened, sizes, caches, tokens, seen)
            passes_ns = timed_passes(run, sizes)
            replies.append({"layers": layers, "tokens": tokens, "seen": seen, "pass_ns": passes_ns})
    return replies


def recur(folder: str, probe: str, device: str, sizes: Sizes, threads: int) -> Reply:
    """Run two layers that keep a state at every row count, and a long chain at one row.

    Returns:
        `layers`, `rows` and `pass_ns`.
    """
    shape, replies = state_shape(probe, sizes), []
    for graph, layers, counts in (
        ("pair", 2, sizes.state_rows),
        ("chain", shape.layers, sizes.state_rows[:1]),
    ):
        opened = _open(Path(folder) / f"{graph}.{probe}.onnx", device, threads)
        states = [np.zeros((1, *shape.shape), dtype=np.float32) for _ in range(layers)]
        for rows in counts:
            run = _bound_states(opened, states, rows)
            replies.append({"layers": layers, "rows": rows, "pass_ns": timed_passes(run, sizes)})
    return replies


def _bound_states(
    opened: OpenedSession, states: list[NDArray[Any]], rows: int
) -> Callable[[], object]:
    """Return a run of layers over states that are read and written in place.

    What is fed keeps them small: decays are below 0, keys short.
    """
    past = {f"past.{layer}": state for layer, state in enumerate(states)}
    fed = {}
    for port in opened.session.get_inputs():
        if port.name not in past:
            width = port.shape[-1]
            values = noise((1, rows, width), "float32")
            fed[port.name] = {"decay": -np.abs(values), "beta": np.abs(values) / 8}.get(
                port.name, values * np.float32(width**-0.5)
            )
    given = {
        port.name: np.empty((1, rows, port.shape[-1]), dtype=np.float32)
        for port in opened.session.get_outputs()
        if port.name.startswith("given")
    }
    present = {f"present.{layer}": state for layer, state in enumerate(states)}
    return _bound(opened, {**fed, **past}, {**given, **present})


def mix(folder: str, probe: str, device: str, sizes: Sizes, threads: int) -> Reply:
    """Run two mixtures with every number of tokens for each expert; others with one token.

    Returns:
        `graph` (`few`, `pair` or `chain`), `layers`, `rows` and `pass_ns`.
    """
    found, replies = probe_of(probe), []
    assert found is not None
    for graph, counts in (("few", (1,)), ("pair", sizes.expert_rows), ("chain", (1,))):
        opened = _open(Path(folder) / f"{graph}.{probe}.onnx", device, threads)
        layers = sizes.expert_layers(graph, found.level)
        for rows in counts:
            run = bound_vector(opened, (1, rows, sizes.expert_widths(graph)[0]))
            passes_ns = timed_passes(run, sizes)
            replies.append({"graph": graph, "layers": layers, "rows": rows, "pass_ns": passes_ns})
    return replies


def run_stacks(folder: str, device: str, sizes: Sizes, threads: int) -> Reply:
    """Run small matrices with a layer's operators, and with attentions at depth 1, between them.

    Returns:
        `graph` (`operators` or `attention`) and `pass_ns`.
    """
    place = Path(folder)
    opened = _open(place / "operators.stack.onnx", device, threads)
    run = bound_vector(opened, (1, 1, sizes.small))
    replies = [{"graph": "operators", "pass_ns": timed_passes(run, sizes)}]
    opened = _open(place / "attention.stack.onnx", device, threads)
    shape = (1, sizes.stack_kv_heads, STACK_CAPACITY, sizes.head_dim)
    caches = [np.zeros(shape, dtype=np.float32) for _ in range(2 * sizes.stack_layers)]
    hidden = noise((1, 1, sizes.stack_heads * sizes.head_dim), "float32")
    run = _bound(
        opened,
        {"hidden": hidden, **_attention_inputs(caches, 2)},
        {"product": np.empty_like(hidden), **_attention_outputs(caches)},
    )
    return [*replies, {"graph": "attention", "pass_ns": timed_passes(run, sizes)}]


def choose(sizes: Sizes) -> Reply:
    """Find the largest of many logits, as a decode step does.

    Returns:
        `size_bytes` and `pass_ns`.
    """
    logits = noise((1, sizes.logits), "float32")
    passes_ns = timed_passes(lambda: np.argmax(logits, axis=1), sizes)
    return [{"size_bytes": logits.nbytes, "pass_ns": passes_ns}]


COMMANDS: Mapping[str, Callable[..., Any]] = {
    "read_curve": read_curve,
    "multiply": multiply,
    "call_operators": call_operators,
    "attend": attend,
    "recur": recur,
    "mix": mix,
    "run_stacks": run_stacks,
    "choose": choose,
    "pulse": pulse,
}


def _open(graph: Path, device: str, threads: int) -> OpenedSession:
    """Open a micro-graph as a model is opened, its weights packed on all threads: only sooner."""
    return open_session(graph, replace(find_device(device), parallel_prepack=True), threads)


def bound_vector(opened: OpenedSession, shape: tuple[int, ...]) -> Callable[[], object]:
    """Return the run of a chain over one input, output in memory of ours."""
    half = "float16" in opened.session.get_inputs()[0].type
    array = noise(shape, "float16" if half else "float32")
    return _bound(opened, {"hidden": array}, {"product": np.empty_like(array)})


def bound_attention(
    opened: OpenedSession, sizes: Sizes, caches: list[NDArray[Any]], tokens: int, seen: int
) -> Callable[[], object]:
    """Return the run of the attentions; each cache is extended in place."""
    packed = (sizes.heads + 2 * sizes.kv_heads) * sizes.head_dim
    inputs = {"packed": noise((1, tokens, packed), "float32"), **_attention_inputs(caches, seen)}
    attended = {
        f"attended.{layer}": np.empty((1, tokens, sizes.heads * sizes.head_dim), dtype=np.float32)
        for layer in range(len(caches) // 2)
    }
    return _bound(opened, inputs, {**attended, **_attention_outputs(caches)})


def _attention_inputs(caches: list[NDArray[Any]], seen: int) -> dict[str, NDArray[Any]]:
    """Return what every attention reads: how much of its cache is filled, and the cache."""
    return {
        "last_index": np.array([seen - 1], dtype=np.int32),
        "total_tokens": np.array(seen, dtype=np.int32),
        **{f"past.{name}": cache for name, cache in _named(caches)},
    }


def _attention_outputs(caches: list[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the same caches as outputs: they are extended in place."""
    return {f"present.{name}": cache for name, cache in _named(caches)}


def _named(caches: list[NDArray[Any]]) -> list[tuple[str, NDArray[Any]]]:
    """Return each cache with its layer and half."""
    return [(f"{at // 2}.{('key', 'value')[at % 2]}", cache) for at, cache in enumerate(caches)]


def _bound(
    opened: OpenedSession, inputs: dict[str, NDArray[Any]], outputs: dict[str, NDArray[Any]]
) -> Callable[[], object]:
    """Return a run over memory of ours, which lives as long as the run."""
    binding = opened.session.io_binding()
    for bind, memories in ((binding.bind_input, inputs), (binding.bind_output, outputs)):
        for name, memory in memories.items():
            bind(name, "cpu", 0, memory.dtype.type, memory.shape, memory.ctypes.data)
    kept = (inputs, outputs)
    return lambda: (opened.session.run_with_iobinding(binding), kept)[0]
