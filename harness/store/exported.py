"""Models that others exported: from a path to what is measured of them, and to levels of them.

Their files are measured as they lie, and known by their content.
"""

import hashlib
import shutil
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from harness.core.errors import ModelError
from harness.core.units import MIB
from harness.engine.exported.geometry import ExportedGeometry
from harness.machine.process.worker import Worker
from harness.models.exported.model import ExportedKind, ExportedModel, ExportedSource, from_json
from harness.store.artifact import Artifact
from harness.store.cache import note_use, partial_folder, sole_builder
from harness.store.gguf import GgufArtifact
from harness.store.request import plain_name
from harness.store.served import ServedArtifact

EXPORTED_MODULE = "harness.store.exported_worker"
LEVELS_VERSION = "2"  # raised when a level of the same name becomes something else
HASH_DIGITS = 16
FLOAT_WORDS = ("fp32", "fp16", "bf16", "fp64")
LEAST_SHARE = 0.05  # of a level's bytes, that is worth a word


def open_exported(
    path: Path, cache: Path, free_bytes: int | None = None, timeout_s: float = 600
) -> ExportedModel:
    """Recognise the model at `path` in a process of its own.

    Args:
        path: a .onnx file, or a folder with one; see harness.models.exported.files.
        cache: folder of built models; links of the model become files there.
        free_bytes: memory that a new process could take; None: unknown, so nothing is refused.
        timeout_s: limit of reading, the digest of all data included.

    Raises:
        WorkerError: with the words and exit code of the child's own error: no model there, or a
            model that is damaged, unsafe, too large, of another version or not recognised. Status
            `crashed` or `timeout` where a parser met its end.
    """
    with Worker.start(EXPORTED_MODULE) as worker:
        asked = {"path": str(path), "cache": str(cache), "free_bytes": free_bytes}
        return from_json(worker.ask("recognise", timeout_s, dict, **asked))


def ensure_exported_level(
    path: Path,
    model: ExportedModel,
    level: str,
    cache: Path,
    free_bytes: int | None = None,
    timeout_s: float = 1800,
) -> ExportedModel:
    """Return a recognised float32 model quantized by ONNX Runtime, from the cache or made now.

    Args:
        path: that open_exported took.
        model: what it gave.
        level: `int8` or `int4`; `fp32` is the model itself.
        cache: folder of built models.
        free_bytes: as of open_exported.
        timeout_s: limit of waiting for another process, and then of quantizing.

    Raises:
        ModelError: its weights are not float32, or none of them is quantized at this level.
        StorageError: the cache cannot be written.
        WorkerError: quantizing failed, or the level is not made this way; as open_exported.
    """
    check_quantizable(model)
    if level == "fp32":
        return model
    words = f"{model.content_hash} {level} {version('onnxruntime')} {LEVELS_VERSION}"
    digest = hashlib.sha256(words.encode()).hexdigest()[:HASH_DIGITS]
    folder = cache / f"{plain_name(model.name)}-exported-{level}-{digest}"
    with sole_builder(cache, folder, timeout_s):
        if not folder.is_dir():
            with partial_folder(folder) as partial, Worker.start(EXPORTED_MODULE) as worker:
                asked = {"path": str(path), "cache": str(cache), "folder": str(partial)}
                worker.ask("quantize", timeout_s, type(None), level=level, **asked)
    note_use(folder)
    main = folder / model.main.file
    made = open_exported(main, cache, free_bytes, timeout_s)
    if all(row.level in FLOAT_WORDS for row in made.storages):
        shutil.rmtree(folder, ignore_errors=True)
        raise ModelError(
            f"{model.name} has no weights that ONNX Runtime's quantizer makes {level}",
            fix="measure it as it is, or quantize it with its exporter",
        )
    notes = (*made.notes, *_left_as_floats(made))
    return replace(made, name=model.name, exporter=model.exporter, variants=(), notes=notes)


def _left_as_floats(made: ExportedModel) -> tuple[str, ...]:
    """Say what share of a level's bytes is not quantized: tables, norms, what nobody quantizes."""
    left = sum(row.stored_bytes for row in made.storages if row.level in FLOAT_WORDS)
    share = left / made.weights_bytes
    if share < LEAST_SHARE:
        return ()
    return (
        f"{share:.0%} of its bytes ({left / MIB:,.1f} MiB) are not quantized: ONNX Runtime's"
        " quantizer leaves tables of embeddings and vectors as they are",
    )


def check_quantizable(model: ExportedModel) -> None:
    """Refuse a model whose weights are not float32: quantizing twice loses twice.

    Raises:
        ModelError: with the level it has.
    """
    other = next((row for row in model.storages if row.level != "fp32" and row.parameters), None)
    if other is not None:
        raise ModelError(
            f"{model.name} is stored as {other.level}; levels are made from fp32",
            fix="leave --quant out, or give the fp32 export",
        )


@dataclass(frozen=True, slots=True)
class ExportedArtifact:
    """A recognised model in the place of a built one; nothing is built.

    Attributes:
        source: the model.
        level: name of what its file holds.
        geometry: the model as it is to be run.
    """

    source: ExportedSource
    level: str
    geometry: ExportedGeometry

    @property
    def name(self) -> str:
        """Of the model, as results print it."""
        return self.source.name

    @property
    def folder(self) -> Path:
        """Holds its graphs."""
        return self.source.folder

    @property
    def graph(self) -> Path:
        """The graph that stands for the model."""
        return self.source.model.path(self.source.model.main)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of the model: graphs and data."""
        model = self.source.model
        data = (model.folder / file.name for file in model.data_files)
        return (*(model.path(graph) for graph in model.graphs), *data)

    @property
    def recognised(self) -> ExportedGeometry:
        """What was measured and how: of a level made from a file, what was made."""
        return self.geometry

    @property
    def compiled_under(self) -> None:
        """None: nothing is kept beside files that are not ours."""
        return None

    @property
    def weights_identity(self) -> str:
        """`sha256:<16 hex digits>` of graphs and data."""
        return self.source.model.content_hash

    @property
    def content_hash(self) -> str:
        """What a run is resumed by."""
        return self.source.model.content_hash

    @property
    def parameters(self) -> int:
        """Trained values, each counted once."""
        return self.source.model.parameters

    @property
    def weights_bytes(self) -> int:
        """As stored."""
        return self.source.model.weights_bytes

    @property
    def bits_per_weight(self) -> float:
        """8 · weights_bytes / parameters; 0 without parameters."""
        return self.source.model.bits_per_weight or 0.0

    @property
    def state_bytes(self) -> int:
        """What it keeps of a sequence whatever its length; 0 where all that it keeps grows."""
        caches = (graph.cache for graph in self.source.model.graphs)
        return next((cache.state_bytes for cache in caches if cache is not None), 0)

    @property
    def prepacked_bytes(self) -> int:
        """0: no copies of an export's weights are saved."""
        return 0

    @property
    def kv_bytes_per_token(self) -> int:
        """What the cache grows by; 0 without one."""
        caches = (graph.cache for graph in self.source.model.graphs)
        return next((cache.bytes_per_token for cache in caches if cache is not None), 0)

    @property
    def has_steps(self) -> bool:
        """Whether it decodes over a cache, so that its steps can be compared with whole passes."""
        kinds = (ExportedKind.DECODER, ExportedKind.ENCODER_DECODER)
        return self.source.model.kind in kinds and self.source.model.cache_kind != "none"

    def for_capacity(self, capacity_tokens: int) -> "ExportedArtifact":
        """This one: its caches are what its graphs say."""
        return self

    def cache_bytes(self, capacity_tokens: int) -> int:
        """Bytes of the keys and values of one sequence of so many positions, as they are bound."""
        caches = (graph.cache for graph in self.source.model.graphs)
        layout = next((cache for cache in caches if cache is not None), None)
        return 0 if layout is None else layout.bound_bytes(capacity_tokens)

    def built(self) -> Artifact:
        """Refuse: what only graphs of ours are asked for was asked of it."""
        raise TypeError(f"{self.name} was not built here")

    def judged(self) -> Artifact:
        """Refuse likewise."""
        return self.built()

    def geometry_of(self, tokens: int, sequences: int) -> ExportedGeometry:
        """The geometry for texts of one shape: that of every text."""
        return self.geometry


AnyArtifact = Artifact | ExportedArtifact | GgufArtifact | ServedArtifact
