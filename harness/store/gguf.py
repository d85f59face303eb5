"""Decoders as GGUF files in the cache: written at f32 or f16, or made of f32 by llama.cpp."""

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.builder.gguf.families import decoder_of, family_of
from harness.builder.graph.geometry import longest_context
from harness.builder.quantize.levels import CacheLevel, QuantLevel, find_level
from harness.core.errors import ModelError, StorageError
from harness.machine.process.worker import Worker
from harness.models.gguf.header import GgufHeader
from harness.models.gguf.reading import read_header
from harness.models.gguf.source import GgufGeometry
from harness.models.specs.blocks import state_values
from harness.models.specs.model import AnySpec
from harness.models.specs.tensors import built_parameters, kv_values_per_token
from harness.models.weights.source import ModelSource, weights_identity
from harness.store.artifact import Artifact
from harness.store.built import Built
from harness.store.cache import BUILD_MODULE, check_bytes, note_use, partial_folder, sole_builder
from harness.store.hashes import content_hash
from harness.store.request import plain_name, source_json

GGUF_VERSION = 1  # raised when the same weights are written otherwise
PLAIN, HALF = "f32", "f16"  # levels that are written; all others are made of the first
MODEL_FILE = "model.gguf"
STATE_VALUE_BYTES = 4


@dataclass(frozen=True, slots=True)
class GgufArtifact:
    """A GGUF file in the place of built graphs.

    Attributes:
        name: of the model, as results print it.
        level: what the file holds.
        header: of the file.
        geometry: what its worker is told.
        kv_bytes_per_token: what the cache grows by.
        weights_identity: seed, or hash of the checkpoint or of the file.
        content_hash: what a run is resumed by.
        cache: how keys and values are stored.
        state_bytes: kept of one sequence besides them, float32; 0: of a file that the user has it
            is not known.
        spec: the architecture; None: of a file that the user has.
    """

    name: str
    level: str
    header: GgufHeader
    geometry: GgufGeometry
    kv_bytes_per_token: int
    weights_identity: str
    content_hash: str
    cache: CacheLevel
    spec: AnySpec | None = None
    state_bytes: int = 0

    has_steps = False
    prepacked_bytes = 0
    recognised = None
    compiled_under = None

    @property
    def folder(self) -> Path:
        """Holds the file."""
        return self.graph.parent

    @property
    def graph(self) -> Path:
        """The file, or the first of its parts."""
        return self.header.files[0]

    @property
    def all_logits_graph(self) -> Path:
        """The file again: what is asked for is told with each run."""
        return self.graph

    @property
    def files(self) -> tuple[Path, ...]:
        """All parts."""
        return self.header.files

    @property
    def given_inputs(self) -> tuple[tuple[str, float], ...]:
        """None."""
        return ()

    @property
    def parameters(self) -> int:
        """Trained values, each counted once."""
        return self.header.parameters

    @property
    def weights_bytes(self) -> int:
        """As stored."""
        return self.header.weights_bytes

    @property
    def bits_per_weight(self) -> float:
        """8 · weights_bytes / parameters."""
        return self.header.bits_per_weight

    def for_capacity(self, capacity_tokens: int) -> "GgufArtifact":
        """This one: llama.cpp makes its caches itself."""
        return self

    def cache_bytes(self, capacity_tokens: int) -> int:
        """Bytes of the keys and values of one sequence; those of a window keep every position."""
        return self.kv_bytes_per_token * capacity_tokens

    def built(self) -> Artifact:
        """Refuse: what only graphs of ours are asked for was asked of it."""
        raise ModelError(
            f"{self.name} at {self.level} is a GGUF file, which has no graph",
            fix="levels of ONNX Runtime for what is asked",
        )

    def judged(self) -> "GgufArtifact":
        """Return this one: its logits can be held against those of a graph of ours."""
        return self

    def geometry_of(self, tokens: int, sequences: int) -> GgufGeometry:
        """The geometry for texts of one shape: that of every text."""
        return self.geometry


def ensure_gguf(
    source: ModelSource,
    level: QuantLevel,
    kept: CacheLevel,
    cache: Path,
    seed: int = 0,
    timeout_s: float = 1800,
) -> GgufArtifact:
    """Return a model's file at a level, from the cache or made now; see ensure_artifact.

    Args:
        source: the model.
        level: one of GGUF.
        kept: how keys and values are cached.
        cache: folder of built models.
        seed: of seeded weights.
        timeout_s: limit of waiting for another process, and then of the build.

    Raises:
        ModelError: llama.cpp has no such architecture, or a checkpoint that cannot be read.
        StorageError: a cache that cannot be written, or a full disk.
        WorkerError: the build failed; a HarnessError in it keeps its words and exit code.
    """
    spec = decoder_of(source.spec)
    family_of(spec)
    identity = weights_identity(source, seed)
    digest = content_hash(spec, level.name, identity, static=_decides(level))
    folder = cache / f"{plain_name(source.name)}-{level.name}-{digest}"
    header = _read_whole(folder)
    if header is None:
        base = None
        if level.name not in (PLAIN, HALF):
            base = ensure_gguf(source, find_level(PLAIN), kept, cache, seed, timeout_s).graph
        with sole_builder(cache, folder, timeout_s):
            header = _read_whole(folder)
            if header is None:
                _build(source, level, base, folder, seed, timeout_s)
                header = read_header(folder / MODEL_FILE)
    note_use(folder)
    return GgufArtifact(
        name=source.name,
        level=level.name,
        header=header,
        geometry=GgufGeometry(spec.vocab_size, longest_context(spec), kept.dtype),
        kv_bytes_per_token=kept.stored_bytes(kv_values_per_token(spec)),
        weights_identity=identity,
        content_hash=digest,
        cache=kept,
        spec=spec,
        state_bytes=STATE_VALUE_BYTES * state_values(spec),
    )


def _decides(level: QuantLevel) -> dict[str, Any]:
    """What decides a file beside model and level: the writer, or the library that quantized."""
    if level.name in (PLAIN, HALF):
        return {"gguf": GGUF_VERSION}
    return {"gguf": GGUF_VERSION, "llama_cpp": metadata.version("llama_cpp_python")}


def _build(
    source: ModelSource,
    level: QuantLevel,
    base: Path | None,
    folder: Path,
    seed: int,
    timeout_s: float,
) -> Built:
    """Make the file in a process of its own, in a folder that is whole or not there."""
    bits = level.body.bits_per_weight
    needed_bytes = round(built_parameters(source.spec) * bits / 8)
    check_bytes(f"{source.name} at {level.name}", needed_bytes, folder.parent)
    with partial_folder(folder) as partial, Worker.start(BUILD_MODULE) as worker:
        path = str(partial / MODEL_FILE)
        if base is not None:
            return worker.ask(
                "quantize_gguf", timeout_s, Built, base=str(base), level=level.name, path=path
            )
        return worker.ask(
            "build_gguf",
            timeout_s,
            Built,
            source=source_json(source),
            seed=seed,
            path=path,
            half=level.name == HALF,
        )


def _read_whole(folder: Path) -> GgufHeader | None:
    """Return the header of the file in a folder, or None where it is absent or damaged."""
    try:
        return read_header(folder / MODEL_FILE)
    except (ModelError, StorageError):
        return None
