"""The commands of the measuring child where llama.cpp runs the model; see worker.py."""

from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from harness.core.errors import MeasurementError
from harness.devices.device import SentDevice, find_device
from harness.engine.agreement import cosine
from harness.engine.footprint import Footprint
from harness.engine.llamacpp import (
    LlamaDecoder,
    check_file,
    instructions,
    library,
    open_decoder,
)
from harness.engine.measuring import Measuring
from harness.engine.opening import kind_of, open_sessions
from harness.engine.passes import seeded_ids
from harness.engine.protocol import Decoder
from harness.engine.reading import read_through
from harness.engine.shapes import FusedGraph, ShapeFields, shapes_from
from harness.engine.trial import PROMPT_TOKENS, STEPS, decoder_outputs
from harness.engine.worker import MeasuringChild, footprint_reply, opened_reply
from harness.engine.workload import Workload
from harness.machine.meters.device_memory import IN_HOST
from harness.machine.meters.memory import AnonymousWatch, memory_mark
from harness.models.gguf.source import GgufGeometry
from harness.results.replies import Agreement, Done, LibraryFacts, MemoryTaken, Opened

PROVIDER, WHEEL = "llama.cpp", "llama_cpp_python"
# Least cosine of the logits beside our own graph at fp32, of any run: at f32, which shows that the
# file is the model, and at its other levels, which shows that they are not broken.
PLAIN = "f32"
LEAST = {PLAIN: 0.999, "f16": 0.999, "q8_0": 0.99}
LEAST_OF_FOUR_BITS = 0.8


class LlamaChild(MeasuringChild):
    """Holds at most one open model between commands."""

    def open(
        self,
        graph: str,
        geometry: ShapeFields,
        device: str | SentDevice,
        threads: int,
        batch: int,
        capacity_tokens: int,
        seed: int,
        first: Workload | None = None,
        stop_spinning: bool = False,
    ) -> Opened:
        """Open a GGUF file; arguments and reply are those of MeasuringChild.open.

        `load_ns` is that of the model and of a context of `capacity_tokens`. `stop_spinning`
        changes nothing: its threads sleep soon after each run.

        Raises:
            HarnessError: as harness.engine.llamacpp.open_model.
        """
        chosen, path = find_device(device), Path(graph)
        read_through(path)
        decoder = _decoder(path, geometry, device, threads, batch, capacity_tokens)
        self._open = measuring = Measuring(decoder, seed)
        opened = decoder.opened
        reply = opened_reply(
            chosen,
            load_ns=opened.load_ns,
            first_ns=None if first is None else measuring.first(first),
            placement=opened.placement,
            compiled=False,
            spinning=opened.spinning,
        )
        hardware = structs.replace(reply.hardware, **_library()) if reply.hardware else None
        return structs.replace(reply, provider=PROVIDER, hardware=hardware)


def memory(
    graph: str,
    geometry: ShapeFields,
    device: str | SentDevice,
    threads: int,
    batch: int,
    workload: Workload,
    seed: int,
    capacity_tokens: int = 0,
) -> MemoryTaken:
    """Take the memory of one test; arguments and reply are those of harness.engine.worker.

    What is loaded includes the cache, which the library makes with its context.
    """
    library()  # in the baseline, as onnxruntime is in ours
    read_through(Path(graph))  # as before a load that is timed; what is mapped depends on it
    baseline = memory_mark()
    with AnonymousWatch() as watch:
        positions = capacity_tokens or workload.context_tokens
        decoder = _decoder(Path(graph), geometry, device, threads, batch, positions)
        loaded = memory_mark()
        Measuring(decoder, seed).touch(workload)
        steady = memory_mark()
    return footprint_reply(Footprint(baseline, loaded, steady, IN_HOST, watch.peak_bytes))


def agree(
    graph: str,
    geometry: ShapeFields,
    threads: int,
    seed: int,
    fused: FusedGraph,
    long_tokens: int = 0,
) -> Agreement:
    """Hold the logits of a model in llama.cpp against those of our graph at fp32.

    Args:
        graph: path of its GGUF file.
        geometry: of it.
        threads: of each session.
        seed: of the tokens.
        fused: our graph, and the level of the file.
        long_tokens: of one prompt more, beyond a window; 0: there is no window.

    Returns:
        `fused_cosine` is that of the level.

    Raises:
        MeasurementError: they are others than the level explains.
    """
    expected = _ours(fused, threads, seed, long_tokens)
    found = _least(expected, _theirs(Path(graph), geometry, threads, seed, long_tokens))
    least = LEAST.get(fused.level, LEAST_OF_FOUR_BITS)
    if found >= least:
        return Agreement(least_cosine=None, fused_cosine=found)
    if fused.level == PLAIN:
        raise MeasurementError(
            f"llama.cpp gives other logits than our graph at fp32: cosine {found:.4f},"
            f" {least} is the least",
            fix="--runtime ort; this family is written for llama.cpp wrongly, please report it",
        )
    raise MeasurementError(
        f"{fused.level} gives other logits in llama.cpp than the model at fp32: cosine"
        f" {found:.4f}, {least} is the least",
        fix="another level; this one loses too much of this model",
    )


def check(path: str) -> Done:
    """Let the library read all of a file but its weights; see check_file."""
    check_file(Path(path))
    return Done()


def library_facts() -> LibraryFacts:
    """Which library there is, and what it uses of the processor."""
    return LibraryFacts(version=metadata.version(WHEEL), instructions=instructions())


def _library() -> dict[str, Any]:
    """What carries it, as a record names it."""
    found = library_facts()
    return {
        "provider": PROVIDER,
        "wheel": WHEEL,
        "version": found.version,
        "options": {"built for": " ".join(found.instructions)},
    }


Logits = list[NDArray[np.float32]]


def _ours(fused: FusedGraph, threads: int, seed: int, long_tokens: int) -> Logits:
    """Logits of our graph."""
    shapes = shapes_from(fused.geometry)
    sessions = open_sessions(Path(fused.graph), shapes, find_device("cpu"), threads)
    decoder = kind_of(shapes).decoder(sessions, 1, _capacity(long_tokens))
    return _logits(decoder, seed, long_tokens)


def _theirs(path: Path, geometry: ShapeFields, threads: int, seed: int, long_tokens: int) -> Logits:
    """Logits of a GGUF file, which is closed again."""
    decoder = _decoder(path, geometry, "cpu", threads, 1, _capacity(long_tokens))
    found = _logits(decoder, seed, long_tokens)
    decoder.opened.close()
    return found


def _capacity(long_tokens: int) -> int:
    """Positions that _logits needs."""
    return max(PROMPT_TOKENS + STEPS, long_tokens)


def _logits(decoder: Decoder, seed: int, long_tokens: int) -> Logits:
    """Logits of a prompt, of steps, and of a long prompt where one is asked for."""
    found = decoder_outputs(decoder, seed)
    if long_tokens:
        decoder.rewind(0)
        found.append(decoder.prefill(seeded_ids(seed, 1, long_tokens, decoder.vocab_size)).copy())
    return found


def _least(expected: Logits, found: Logits) -> float:
    """The least cosine of any run."""
    return min(cosine(one, other) for one, other in zip(expected, found, strict=True))


def _decoder(
    path: Path,
    geometry: ShapeFields,
    device: str | SentDevice,
    threads: int,
    batch: int,
    capacity_tokens: int,
) -> LlamaDecoder:
    """Load a model for one sequence.

    Raises:
        MeasurementError: more than one sequence.
    """
    if batch != 1:
        raise MeasurementError("llama.cpp runs one sequence here", fix="--batch 1")
    shapes = GgufGeometry(**geometry)
    return open_decoder(path, shapes, find_device(device), threads, capacity_tokens)


_CHILD = LlamaChild()
COMMANDS = {
    **_CHILD.commands(),
    "memory": memory,
    "agree": agree,
    "library": library_facts,
    "check_file": check,
}
