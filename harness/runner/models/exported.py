"""Models that others exported: what each kind of them answers."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from harness.builder.quantize.levels import AUTO, CacheLevel, QuantLevel, find_level
from harness.core.errors import UsageError
from harness.engine.exported.geometry import FROZEN, ExportedGeometry, reading_of
from harness.engine.workload import Workload
from harness.models.catalog.target import EstimateTarget
from harness.models.exported.files import GENAI_CONFIG
from harness.models.exported.model import (
    ExportedGraph,
    ExportedKind,
    ExportedModel,
    ExportedSource,
    Role,
)
from harness.models.exported.sizes import input_shapes
from harness.models.specs.dissect import spec_structure
from harness.models.specs.structure import ModelStructure
from harness.results.enums import SINGLE_PASS, Kind
from harness.results.replies import StepsCheck
from harness.results.schema import Recognition
from harness.runner.models.as_it_lies import AsItLies
from harness.runner.models.exported_files import (
    cache_of,
    calibrated_level,
    check_cache,
    check_compiled,
    check_level,
    check_settings,
    level_of,
    levels_asked,
    levels_possible,
    notes_of,
)
from harness.runner.models.model import Json, Refusal, Stored
from harness.runner.models.tests import (
    DECODER_FLAGS,
    ENCODER_FLAGS,
    IMAGE_FLAGS,
    SOUND_FLAGS,
    batches_of,
    capacities_of,
    decode_tests,
    decoder_tests,
    encode_tests,
    fitted,
    image_tests,
    of_fixed_length,
    refuse_sized,
    sound_tests,
)

if TYPE_CHECKING:
    from harness.builder.graph.static.geometry import AnyShapes
    from harness.devices.device import Device
    from harness.estimator.cell import CellLengths
    from harness.estimator.record import RecordEstimates
    from harness.estimator.rules import HardwarePeaks
    from harness.results.schema import Metric
    from harness.runner.settings import Settings
    from harness.store.exported import AnyArtifact

DECODES = (Kind.PREFILL, Kind.DECODE, Kind.REQUEST, Kind.TURN)
# Of the parameters: what exporters leave out, such as vectors of equal values stored once.
COUNT_TOLERANCE = 0.001


@dataclass(frozen=True, slots=True)
class Exported(AsItLies):
    """A recognised graph of which only shapes and types are known; other kinds add what they know.

    Attributes:
        source: the model and the word that named it.
    """

    source: ExportedSource

    made_as = "is exported"
    own_flags: ClassVar[tuple[str, ...]] = ()

    @property
    def model(self) -> ExportedModel:
        """As recognised."""
        return self.source.model

    @property
    def structure(self) -> ModelStructure | None:
        """Its structure, where a configuration beside it tells one with as many parameters."""
        if self.model.spec is None:
            return None
        structure = spec_structure(self.model.spec)
        counted = self.model.parameters + self.model.once_parameters
        close = abs(structure.parameters - counted) <= COUNT_TOLERANCE * structure.parameters
        return structure if close else None  # the file holds something else than it says

    @property
    def target(self) -> EstimateTarget:
        """The count of its file, and its structure where that is known."""
        notes = (f"its file holds {self.model.level}",)
        name, count = self.model.name, self.model.parameters
        return EstimateTarget(name, count, self.structure, "exported file, exact count", notes)

    @property
    def parameters(self) -> int:
        """Trained values of its file."""
        return self.model.parameters

    @property
    def active_parameters(self) -> int | None:
        """None: nothing is known of experts."""
        return None

    @property
    def read_parameters(self) -> int | None:
        """Those that one token reads, where the architecture is known."""
        return None if self.structure is None else self.structure.read_parameters

    @property
    def takes(self) -> tuple[str, ...]:
        """Keys of the flags that its tests come of."""
        return self.own_flags

    @property
    def free_dimensions(self) -> tuple[str, ...]:
        """Those of all its graphs' inputs."""
        return self.model.free_dimensions

    @property
    def input_names(self) -> tuple[str, ...]:
        """Inputs of the graph whose passes are measured."""
        return tuple(port.name for port in self._passing.inputs)

    @property
    def _passing(self) -> ExportedGraph:
        """The graph of single passes: of a pair its encoder."""
        return self.model.graph(Role.ENCODER) or self.model.main

    @property
    def input_weights(self) -> int:
        """Of all its graphs."""
        return self.model.input_weights

    @property
    def own_level(self) -> str:
        """Name of the number type of most of its weights."""
        return level_of(self.model).name

    @property
    def place(self) -> Path | None:
        """Its main file: a folder may hold several models."""
        return self.model.folder.resolve() / self.model.main.file

    def levels(self) -> tuple[QuantLevel, ...]:
        """The file's own level, and what can be made of it."""
        return levels_possible(self.model)

    def stored_as(self, level: str, kv_cache: str = AUTO) -> Stored:
        """A level that it holds or is made at, with the cache in its file."""
        check_level((level,), self.model)
        if kv_cache != AUTO:
            check_cache((kv_cache,), self.model)
        row = next(row for row in self.levels() if row.name == level)
        return row, cache_of(self.model, row)

    def levels_asked(
        self, settings: "Settings", devices: Sequence["Device"]
    ) -> tuple[QuantLevel, ...]:
        """The file's own level; where a flag names levels those."""
        return levels_asked(settings, self.model)

    def tests(self, settings: "Settings") -> tuple[Workload, ...]:
        """Those of its kind.

        Raises:
            UsageError: one that it cannot run, quality, or what check_settings refuses.
        """
        self.refuse_quality(settings)
        check_settings(settings, self.model)
        tests = self._own_tests(settings)
        for test in tests:
            if test.kind in SINGLE_PASS:
                input_shapes(self._passing, self.model, dict(settings.dim), reading_of(test))
        return tests

    def _own_tests(self, settings: "Settings") -> tuple[Workload, ...]:
        """A run of the whole graph."""
        return (Workload(Kind.GRAPH, 0, 0),)

    def stored(self, settings: "Settings", devices: Sequence["Device"]) -> tuple[Stored, ...]:
        """Its levels with the cache in its file."""
        check_compiled(self.model, devices)
        levels = self.levels_asked(settings, devices)
        return tuple((level, cache_of(self.model, level)) for level in levels)

    def batches(self, settings: "Settings") -> tuple[int, ...]:
        """1: each test has inputs of its own number."""
        return (1,)

    def capacities(self, settings: "Settings", tests: Sequence[Workload]) -> tuple[int, ...]:
        """0: it keeps no cache."""
        return (0,)

    def dims(self, settings: "Settings") -> tuple[tuple[str, int], ...]:
        """Those of the plan."""
        return settings.dim

    def inputs(self, settings: "Settings") -> tuple[tuple[str, float], ...]:
        """Those of the plan."""
        return settings.input

    def genai_refusals(self, levels: Collection[QuantLevel]) -> Iterator[Refusal]:
        """What is no decoder, or has no configuration, or is made of it here."""
        name = self.model.name
        if self.model.kind is not ExportedKind.DECODER:
            yield f"{name}, which is no decoder with a cache", "--runtime ort"
        if not (self.model.folder / GENAI_CONFIG).is_file():
            yield f"{name}, which has no {GENAI_CONFIG}", "--runtime ort"
        made = [level.name for level in levels if level != level_of(self.model)]
        yield from ((f"{level} made from {name}", "--runtime ort") for level in made)

    def llama_refusals(self, tests: Sequence[Workload]) -> Iterator[Refusal]:
        """All of it."""
        yield f"{self.model.name}, which is an ONNX graph", "its checkpoint, or a .gguf file of it"

    def build(
        self,
        level: QuantLevel,
        kept: CacheLevel,
        store: Path,
        *,
        seed: int = 0,
        shapes: "AnyShapes | None" = None,
        dims: tuple[tuple[str, int], ...] = (),
        inputs: tuple[tuple[str, float], ...] = (),
        graph_inputs: str = FROZEN,
        prepacked: bool = False,
    ) -> "AnyArtifact":
        """The files as they lie, or a level made of them."""
        from harness.store.exported import ExportedArtifact, ensure_exported_level

        if prepacked:
            raise UsageError(
                f"{self.model.name} is exported files, whose copies are not saved",
                fix="prepacked=False, or a model that is built here, such as a folder of"
                " safetensors",
            )
        model, source = self.model, self.source
        if level != level_of(model):
            made = ensure_exported_level(model.path(model.main), model, level.name, store)
            source = ExportedSource(source.argument, made)
        geometry = ExportedGeometry(source.model, dims, inputs, graph_inputs)
        return ExportedArtifact(source, level.name, geometry)

    def identity(self, artifact: "AnyArtifact | None") -> str:
        """The name and the hash of the file: levels made of it are levels of one model."""
        if artifact is None:
            return self.model.name
        return f"{self.model.name}@{self.model.content_hash.removeprefix('sha256:')[:8]}"

    def kernels(self, level: QuantLevel) -> str | None:
        """Those of our level that multiplies by such matrices."""
        return calibrated_level(level)

    def operators(self, level: QuantLevel, cache: CacheLevel | None) -> tuple[str, ...]:
        """Those of its architecture, where it is known and its level is one of ours."""
        from harness.estimator.work import needed_operators

        name = calibrated_level(level)
        if self.structure is None or name is None:
            return ()
        return needed_operators(self.structure, find_level(name), cache)

    def estimates(
        self, level: QuantLevel, test: Workload, lengths: "CellLengths", peaks: "HardwarePeaks"
    ) -> "RecordEstimates":
        """From the true parameters; from structure too where the architecture is known."""
        from harness.runner.models.exported_files import estimates_of

        reads_again = self.model.cache_kind == "none" and test.kind in DECODES
        known = None if reads_again else self.structure
        return estimates_of(self.model, known, level, test, lengths, peaks)

    def shares(
        self,
        artifact: "AnyArtifact | None",
        test: Workload,
        batch: int,
        metrics: Mapping[str, "Metric"],
        peaks: "HardwarePeaks",
    ) -> "dict[str, Metric]":
        """The share of the bandwidth that decode steps reached, by the bytes in the file."""
        from harness.runner.models.exported_files import shares_of

        return {} if artifact is None else shares_of(artifact, test, batch, metrics, peaks)

    def recognition(
        self, artifact: "AnyArtifact | None", check: StepsCheck | None
    ) -> Recognition | None:
        """Of what was measured: of a level made from a file, what was made."""
        from harness.runner.models.exported_files import recognition_of

        known = None if artifact is None else artifact.recognised
        return recognition_of(known or ExportedGeometry(self.model), check)

    def facts(self) -> Json:
        """What the files say."""
        model = self.model
        counts = ("parameters", "weights_bytes", "nodes", "loaded_nodes", "lost_operators")
        keys = ("role", "file", *counts, "opset", "domains")
        return {
            "model": model.name,
            "kind": str(model.kind),
            "weights": self.source.weights_kind,
            "exporter": model.exporter or None,
            "architecture": None if model.spec is None else model.spec.family,
            "parameters": model.parameters,
            "once_tensors": model.once_tensors,
            "once_parameters": model.once_parameters,
            "weights_bytes": model.weights_bytes,
            "bits_per_weight": model.bits_per_weight,
            "stored": [asdict(storage) for storage in model.storages],
            "graphs": [{key: getattr(graph, key) for key in keys} for graph in model.graphs],
            "data_files": [asdict(file) for file in model.data_files],
            "cache": model.cache_kind,
            "free_dimensions": list(model.free_dimensions),
            "vocab_size": model.vocab_size,
            "max_context_tokens": model.max_context_tokens,
            "image_size": model.image_size,
            "has_tokenizer": model.tokenizer_folder is not None,
            "levels": [level.name for level in self.levels()],
            "unread_bytes": model.unread_bytes,
            "compiled_for": model.compiled_for or None,
            "notes": list(notes_of(ExportedGeometry(model))),
            "other_files": list(model.variants),
            "content_hash": model.content_hash,
        }

    def summary(self) -> str | None:
        """Kind, parameters, level, files, notes."""
        model = self.model
        files = ", ".join(graph.file for graph in model.graphs)
        said = (f"{model.kind}, {model.parameters:,} parameters, {model.level}", files)
        return f"{model.name}: {'; '.join((*said, *notes_of(ExportedGeometry(model))))}"


@dataclass(frozen=True, slots=True)
class ExportedDecoder(Exported):
    """A decoder, with a cache or without one."""

    own_flags = DECODER_FLAGS

    @property
    def input_names(self) -> tuple[str, ...]:
        """None that tests do not feed."""
        return ()

    def _own_tests(self, settings: "Settings") -> tuple[Workload, ...]:
        """Prefill, decode and request tests."""
        refuse_sized(self.model, settings)
        if settings.turns and self.model.cache_kind == "none":
            raise UsageError(
                f"--turns: {self.model.name} keeps no cache, so that every turn reads everything"
                " again",
                fix="--pg with the tokens of all turns as its prompt",
            )
        tests = fitted(settings, self.model, decoder_tests(settings))
        return of_fixed_length(settings, self.model, tests)

    def capacities(self, settings: "Settings", tests: Sequence[Workload]) -> tuple[int, ...]:
        """Those of the plan, where its cache is a buffer of any size."""
        return capacities_of(
            settings, self.model.name, tests, self.model.max_context_tokens, self.model.cache_kind
        )

    def batches(self, settings: "Settings") -> tuple[int, ...]:
        """Those of the plan, or the one that its graphs fix."""
        return batches_of(settings, self.model)


@dataclass(frozen=True, slots=True)
class ExportedPair(ExportedDecoder):
    """An encoder and a decoder that looks at what it gave."""

    @property
    def takes(self) -> tuple[str, ...]:
        """The encoder's flag, and those of steps."""
        encoder = self.model.graph(Role.ENCODER)
        if encoder is None:
            return DECODER_FLAGS
        return (*_reads(encoder), "gen", "depth", "batch")

    @property
    def input_names(self) -> tuple[str, ...]:
        """Those of the encoder."""
        return tuple(port.name for port in self._passing.inputs)

    def _own_tests(self, settings: "Settings") -> tuple[Workload, ...]:
        """Passes of the encoder, if its file is there, and steps of the decoder."""
        encoder = self.model.graph(Role.ENCODER)
        refuse_sized(self.model, settings)
        if encoder is None:
            return fitted(settings, self.model, decoder_tests(settings))
        steps = fitted(settings, self.model, tuple(decode_tests(settings)))
        if _reads(encoder) == IMAGE_FLAGS:
            return (*image_tests(settings, encoder), *steps)
        if _reads(encoder) == SOUND_FLAGS:
            return (*sound_tests(settings, self.model, encoder), *steps)
        limit = self.model.source_context_tokens
        return (*encode_tests(settings, self.model, encoder, limit), *steps)


@dataclass(frozen=True, slots=True)
class ExportedEncoder(Exported):
    """A text encoder: vectors of tokens or of texts."""

    own_flags = ENCODER_FLAGS

    def _own_tests(self, settings: "Settings") -> tuple[Workload, ...]:
        """Encode tests."""
        model = self.model
        return encode_tests(settings, model, model.main, model.max_context_tokens)


@dataclass(frozen=True, slots=True)
class ExportedVision(Exported):
    """A model that reads images."""

    own_flags = IMAGE_FLAGS

    def _own_tests(self, settings: "Settings") -> tuple[Workload, ...]:
        """Images at once."""
        return image_tests(settings, self.model.main)


@dataclass(frozen=True, slots=True)
class ExportedSound(Exported):
    """A model that hears sounds."""

    own_flags = SOUND_FLAGS

    def _own_tests(self, settings: "Settings") -> tuple[Workload, ...]:
        """Sounds at once."""
        return sound_tests(settings, self.model, self.model.main)


def _reads(encoder: ExportedGraph) -> tuple[str, ...]:
    """The flags of what an encoder reads."""
    names = encoder.names
    if names.pixel_values:
        return IMAGE_FLAGS
    return SOUND_FLAGS if names.input_features or names.input_values else ENCODER_FLAGS


_KINDS: dict[ExportedKind, type[Exported]] = {
    ExportedKind.DECODER: ExportedDecoder,
    ExportedKind.DECODER_WITHOUT_PAST: ExportedDecoder,
    ExportedKind.ENCODER_DECODER: ExportedPair,
    ExportedKind.ENCODER: ExportedEncoder,
    ExportedKind.EMBEDDING: ExportedEncoder,
    ExportedKind.VISION: ExportedVision,
    ExportedKind.SOUND: ExportedSound,
    ExportedKind.ANY: Exported,
}


def exported_model(source: ExportedSource) -> Exported:
    """Return the model of recognised files, by their kind."""
    return _KINDS[source.model.kind](source)
