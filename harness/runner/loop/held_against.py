"""Whether a GGUF file is the model: its logits in llama.cpp beside those of our graph at fp32.

Asked once of each model and level on a machine: the answer stays in the cache, under everything
that decides it.
"""

import hashlib
import json
from functools import cache as kept
from importlib import metadata
from pathlib import Path

import msgspec
from msgspec import structs

from harness.builder.graph.geometry import longest_context
from harness.builder.quantize.levels import find_cache, find_level
from harness.core.errors import EXIT_USAGE, StorageError, WorkerError
from harness.core.files import write_whole
from harness.engine.shapes import FusedGraph, shapes_json
from harness.machine.process.worker import Worker
from harness.models.weights.source import ModelSource
from harness.results.enums import Status
from harness.results.replies import Agreement, Done
from harness.runner.plan import SessionGroup
from harness.runner.plan.runtimes import LLAMA, WORKERS
from harness.runner.quality.measure import REFERENCE_LEVEL
from harness.runner.settings import Settings
from harness.store.cache import ensure_artifact
from harness.store.exported import AnyArtifact
from harness.store.gguf import PLAIN, ensure_gguf

FOLDER = "checks"
ANSWER_VERSION = 2  # of what an answer holds
# A virtual machine may announce instructions that it does not run, such as Intel's AMX.
ILLEGAL = "SIGILL"
REBUILD = (
    "CMAKE_ARGS='-DGGML_NATIVE=OFF -DGGML_AVX2=ON' pip install --force-reinstall --no-cache-dir"
    " llama-cpp-python"
)
PACKAGES = ("llama_cpp_python", "onnxruntime")
LONGEST_WINDOW = 1024  # a prompt that ends beyond a larger one takes too long
BEYOND_TOKENS = 16


@kept
def check_loads(path: Path, timeout_s: float = 300) -> None:
    """Let llama.cpp look at a file that somebody else made, in a process of its own.

    Raises:
        WorkerError: it does not load it, or ends; either way nothing can be measured.
    """
    try:
        with Worker.start(WORKERS[LLAMA]) as worker:
            worker.ask("check_file", timeout_s, Done, path=str(path))
    except WorkerError as error:
        if error.status != Status.CRASHED:
            raise
        raise WorkerError(
            f"llama.cpp ends where it reads {path.name}: {error.problem}",
            fix="another file of the model; `bench doctor` says whether the library works here",
            exit_code=EXIT_USAGE,
        ) from error


def is_held(group: SessionGroup) -> bool:
    """Whether a group's file was made here, so that there is a graph to hold it against."""
    return group.runtime == LLAMA and group.model.own_level is None


def hold_against(
    group: SessionGroup, artifact: AnyArtifact, cache: Path, settings: Settings
) -> Agreement:
    """Hold the logits of a group's model in llama.cpp against our graph's, or find it done.

    Args:
        group: what is to be measured.
        artifact: its file.
        cache: folder of built models; what is missing for the comparison is built there.
        settings: seed and time limit.

    Raises:
        WorkerError: the logits are others, or a model cannot be built or opened.
        StorageError: the cache cannot be written.
    """
    path = cache / FOLDER / f"llama-{_digest(artifact)}.json"
    found = _stored(path)
    if found is not None:
        return found
    if artifact.level != PLAIN:  # first whether the model is the same at all: once for all levels
        level = find_level(PLAIN)
        kept = find_cache("fp32", level)
        plain = ensure_gguf(group.built, level, kept, cache, settings.seed)
        shown = hold_against(group, plain, cache, settings).fused_cosine
        found = structs.replace(_ask(group, artifact, cache, settings), plain_cosine=shown)
    else:
        found = _ask(group, artifact, cache, settings)
        found = structs.replace(found, plain_cosine=found.fused_cosine)
    _store(path, found)
    return found


def _ask(group: SessionGroup, artifact: AnyArtifact, cache: Path, settings: Settings) -> Agreement:
    """Build our graph at fp32, and compare in a worker of its own."""
    source, seed = group.built, settings.seed
    fused = ensure_artifact(source, REFERENCE_LEVEL, cache, seed)
    geometry = {**shapes_json(artifact.geometry), "kv_dtype": "float32"}
    asked = {
        "graph": str(artifact.graph),
        "geometry": geometry,
        "threads": group.threads,
        "seed": seed,
        "fused": FusedGraph(
            graph=str(fused.graph), geometry=shapes_json(fused.geometry), level=artifact.level
        ),
        "long_tokens": long_tokens(source),
    }
    try:
        with Worker.start(group.worker) as worker:
            return worker.ask("agree", settings.timeout, Agreement, **asked)
    except WorkerError as error:
        if ILLEGAL not in error.problem:
            raise
        raise WorkerError(
            f"llama.cpp was built for what this processor does not run ({ILLEGAL})",
            fix=REBUILD,
            status=error.status,
            exit_code=error.exit_code,
        ) from error


def long_tokens(source: ModelSource) -> int:
    """Tokens of a prompt that ends beyond the window of a model; 0: it has none, or a long one."""
    window: int | None = getattr(source.spec, "sliding_window_tokens", None)
    if window is None or window > LONGEST_WINDOW:
        return 0
    return min(window + BEYOND_TOKENS, longest_context(source.spec))


def _digest(artifact: AnyArtifact) -> str:
    """Digest of what decides the answer: the file, and what runs both."""
    versions = [metadata.version(name) for name in PACKAGES]
    words = json.dumps([ANSWER_VERSION, artifact.content_hash, *versions])
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def _stored(path: Path) -> Agreement | None:
    """The answer of an earlier run; a file that cannot be read is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Agreement)
    except (OSError, msgspec.MsgspecError):
        return None


def _store(path: Path, found: Agreement) -> None:
    """Keep an answer.

    Raises:
        StorageError: the cache cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, msgspec.json.encode(found))
    except OSError as error:
        raise StorageError(
            f"the cache cannot be written: {error.strerror}",
            fix="choose another cache: --cache DIR",
        ) from error
