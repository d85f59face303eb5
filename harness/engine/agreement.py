"""Whether a device gives what the CPU gives: asked once of each model, level and device.

A provider may take every node and still compute something else: a stale input, a cache written in
the wrong place. Speed says nothing then, so a device that disagrees has no row.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.builder.graph.geometry import geometry_from
from harness.builder.graph.static.geometry import TextShape
from harness.core.errors import MeasurementError
from harness.devices.device import Device, SentDevice, find_device
from harness.devices.states import FellBackError
from harness.engine.opening import kind_of, open_measuring, open_sessions
from harness.engine.shapes import FusedGraph, ShapeFields, Shapes, shapes_from
from harness.engine.trial import PROMPT_TOKENS, STEPS, Outputs
from harness.results.replies import Agreement

# Least cosine of the logits of any run: 8-bit activations on an NPU leave 0.994, an input that is
# one step old 0.9 and less.
LEAST_COSINE = 0.98


# The same of a static graph beside the fused one at fp32 of the same weights, by level. Least of
# bytelm and of a seeded smollm2-135m on the CPU: 0.999999, 0.996 and 0.987.
LEAST_FUSED = {"fp32-static": 0.9999, "a16w8": 0.98, "a8w8": 0.9}


def agree(
    graph: str,
    geometry: ShapeFields,
    device: str | SentDevice,
    threads: int,
    seed: int,
    fused: FusedGraph | None = None,
) -> Agreement:
    """Read the same tokens on the CPU and on a device, one session after the other.

    Args:
        graph: path of the ONNX file.
        geometry: the fields of a Geometry.
        device: as it travels, or a key of the device table.
        threads: intra-op threads.
        seed: of the tokens.
        fused: the same weights as a fused fp32 graph; None: the graph is no static one.

    Raises:
        DeviceError: the device gives other logits or embeddings than the CPU.
        MeasurementError: the static graph gives others than the fused one.
    """
    chosen, shapes, host = find_device(device), shapes_from(geometry), find_device("cpu")
    chosen.refuse_absent()
    texts = kind_of(shapes).trial_texts()
    found = _outputs(Path(graph), shapes, chosen, threads, seed, texts)
    with_host, with_fused = None, None
    if not chosen.row.is_host:
        expected = _outputs(Path(graph), shapes, host, threads, seed, texts)
        with_host = _refuse_other(chosen, _least(expected, found))
    if fused is not None:
        whole = geometry_from(fused.geometry)
        exact = _outputs(Path(fused.graph), whole, host, threads, seed, texts)
        with_fused = _refuse_wrong(fused.level, _least(exact, found))
    return Agreement(least_cosine=with_host, fused_cosine=with_fused)


def _least(expected: Outputs, found: Outputs) -> float:
    """The least cosine of any run."""
    return min(cosine(one, other) for one, other in zip(expected, found, strict=True))


def _refuse_wrong(level: str, least: float) -> float:
    """Refuse a static graph that is not the model.

    Raises:
        MeasurementError: its logits are others than the level explains.
    """
    if not least >= LEAST_FUSED[level]:
        raise MeasurementError(
            f"{level} gives other outputs than the fused graph at fp32: cosine {least:.4f}, "
            f"{LEAST_FUSED[level]} is the least",
            fix="another level; this one loses too much of this model",
        )
    return least


def _refuse_other(chosen: Device, least: float) -> float:
    """Refuse a device that computes something else than the CPU.

    Raises:
        DeviceError: its logits are others.
    """
    if not least >= LEAST_COSINE:
        raise FellBackError(
            f"{chosen.key} gives other outputs than the CPU: cosine {least:.4f}, "
            f"{LEAST_COSINE} is the least",
            fix="another version of the provider or driver, or another level",
        )
    return least


def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Cosine of two vectors; of what is no number, or zero throughout, it is no number."""
    a, b = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    with np.errstate(all="ignore"):
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def _outputs(
    graph: Path, geometry: Shapes, device: Device, threads: int, seed: int, texts: TextShape
) -> list[NDArray[np.float32]]:
    """What a model gives for tokens that all devices are fed alike."""
    sessions = open_sessions(graph, geometry, device, threads)
    needed_tokens = PROMPT_TOKENS + STEPS
    return open_measuring(sessions, geometry, 1, needed_tokens, seed).trial(seed, texts)
