"""Models whose graphs are built here: decoders and encoders."""

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness.builder.quantize.levels import (
    AUTO,
    EXACT,
    LEVELS,
    STATIC_LEVELS,
    CacheLevel,
    QuantLevel,
    Variant,
    find_cache,
    find_level,
    own_cache,
)
from harness.engine.exported.geometry import FROZEN
from harness.models.catalog.target import CONFIG_FILE, EstimateTarget, catalog_target, config_target
from harness.models.exported.files import graphs_in
from harness.models.specs.dissect import spec_structure
from harness.models.specs.model import AnySpec, EncoderSpec, ModelSpec, RotaryEncoderSpec
from harness.models.specs.tensors import active_parameters, parameters
from harness.models.weights.source import ModelSource, trained_names
from harness.results.replies import StepsCheck
from harness.results.schema import Recognition
from harness.runner.models.model import Json, Refusal, Stored
from harness.runner.models.tests import DECODER_FLAGS, ENCODER_FLAGS

if TYPE_CHECKING:
    from harness.builder.graph.static.geometry import AnyShapes
    from harness.devices.device import Device
    from harness.engine.workload import Workload
    from harness.estimator.cell import CellLengths
    from harness.estimator.record import RecordEstimates
    from harness.estimator.rules import HardwarePeaks
    from harness.results.schema import Metric
    from harness.runner.settings import Settings
    from harness.store.exported import AnyArtifact

USUAL_ENCODES = ((128, 1), (128, 8))  # (tokens, texts): one query, and a batch of passages


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """What decoders and encoders have in common.

    Attributes:
        source: the architecture and its weights.
    """

    source: ModelSource

    is_own_plan = False
    own_level = None
    input_weights = 0

    @property
    def argument(self) -> str:
        """What the user typed."""
        return self.source.argument

    @property
    def target(self) -> EstimateTarget:
        """The exact count and structure, from the catalog or its config.json."""
        folder = self.source.folder
        if folder is None:
            return catalog_target(self.source.name)
        return config_target(folder / CONFIG_FILE, self.source.name)

    def measured(self) -> Self:
        """Return this model."""
        return self

    @property
    def free_dimensions(self) -> tuple[str, ...]:
        """None that tests do not size."""
        return ()

    @property
    def input_names(self) -> tuple[str, ...]:
        """None that tests do not feed."""
        return ()

    @property
    def parameters(self) -> int:
        """Trained values."""
        return parameters(self.source.spec)

    @property
    def active_parameters(self) -> int | None:
        """Those that one token uses, of a mixture of experts."""
        return active_parameters(self.source.spec)

    @property
    def read_parameters(self) -> int | None:
        """Those that one token reads: active ones without tables."""
        return spec_structure(self.source.spec).read_parameters

    @property
    def place(self) -> Path | None:
        """The folder of trained weights."""
        return self.source.folder and self.source.folder.resolve()

    def levels(self) -> tuple[QuantLevel, ...]:
        """Every level there is."""
        return (*LEVELS.values(), *STATIC_LEVELS.values())

    def stored_as(self, level: str, kv_cache: str = AUTO) -> Stored:
        """Any level with any cache that its kernel takes."""
        row = find_level(level)
        return row, find_cache(kv_cache, row)

    def levels_asked(
        self, settings: "Settings", devices: Sequence["Device"]
    ) -> tuple[QuantLevel, ...]:
        """Every level that a plan names, a word for several being that of each device."""
        from harness.runner.plan.levels import levels_of, names_asked

        return levels_of(names_asked(settings), devices)

    def runs_on(self, settings: "Settings", level: QuantLevel, device: "Device") -> bool:
        """Whether it is a level of the device, in the plan's words."""
        from harness.runner.plan.levels import levels_on, names_asked

        return level in levels_on(names_asked(settings), device)

    def dims(self, settings: "Settings") -> tuple[tuple[str, int], ...]:
        """Nothing is free in our graphs but what tests say."""
        return ()

    def inputs(self, settings: "Settings") -> tuple[tuple[str, float], ...]:
        """Tests feed all that our graphs read."""
        return ()

    def built(self) -> ModelSource:
        """Return its source."""
        return self.source

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
        """Build it in a child process, or find it built."""
        from harness.store.cache import ensure_artifact
        from harness.store.gguf import ensure_gguf
        from harness.store.prepacked import ensure_prepacked

        if level.variant is Variant.GGUF:
            return ensure_gguf(self.source, level, kept, store, seed)
        built = ensure_artifact(
            self.source, level.name, store, seed, kv_cache=kept.name, shapes=shapes
        )
        return ensure_prepacked(built, store) if prepacked else built

    def identity(self, artifact: "AnyArtifact | None") -> str:
        """The name, and of a local folder the hash of its weights."""
        source = self.source
        is_local = source.folder is not None and source.argument not in trained_names()
        if not is_local or artifact is None:
            return source.name
        return f"{source.name}@{artifact.weights_identity.removeprefix('sha256:')[:8]}"

    def kernels(self, level: QuantLevel) -> str | None:
        """Those of the level itself; llama.cpp's are none of ours."""
        is_ours = level.variant is not Variant.GGUF and not level.name.endswith(EXACT)
        return level.name if is_ours else None

    def operators(self, level: QuantLevel, cache: CacheLevel | None) -> tuple[str, ...]:
        """Those of its architecture."""
        from harness.estimator.work import needed_operators

        return needed_operators(spec_structure(self.source.spec), level, cache)

    def estimates(
        self, level: QuantLevel, test: "Workload", lengths: "CellLengths", peaks: "HardwarePeaks"
    ) -> "RecordEstimates":
        """Of every estimator, from structure and calibration too; of llama.cpp by the count."""
        from harness.builder.quantize.layout import bits_per_weight
        from harness.estimator.record import exported_estimates, record_estimates

        if level.variant is Variant.GGUF:
            bits = bits_per_weight(self.source.spec, level)
            return exported_estimates(self.parameters, bits, test.kind, lengths, peaks)
        return record_estimates(spec_structure(self.source.spec), level, lengths, peaks)

    def shares(
        self,
        artifact: "AnyArtifact | None",
        test: "Workload",
        batch: int,
        metrics: Mapping[str, "Metric"],
        peaks: "HardwarePeaks",
    ) -> "dict[str, Metric]":
        """None, but of llama.cpp: shares of our graphs come from their estimates."""
        from harness.runner.models.exported_files import shares_of

        if artifact is None or find_level(artifact.level).variant is not Variant.GGUF:
            return {}
        return shares_of(artifact, test, batch, metrics, peaks)

    def recognition(
        self, artifact: "AnyArtifact | None", check: StepsCheck | None
    ) -> Recognition | None:
        """None: nothing had to be recognised."""
        return None

    def facts(self) -> Json:
        """What is known without building anything."""
        source = self.source
        structure = spec_structure(source.spec)
        return {
            "model": source.name,
            "kind": structure.kind_word,
            "weights": source.weights_kind,
            "architecture": source.spec.family,
            "parameters": structure.parameters,
            "vocab_size": source.spec.vocab_size,
            "max_context_tokens": source.spec.max_context_tokens,
            "levels": [level.name for level in self.levels()],
            "notes": list(self._notes()),
        }

    def summary(self) -> str | None:
        """None: its name says all; but for a graph beside its weights, which is not taken."""
        notes = self._notes()
        return f"{self.source.name}: {'; '.join(notes)}" if notes else None

    def _notes(self) -> tuple[str, ...]:
        """What was not taken of its folder, and how to get it."""
        folder, part_of, notes = self.source.folder, getattr(self.source.spec, "part_of", ""), []
        if part_of:
            notes.append(f"the text part of {part_of}; its other parts are left out")
        graphs = () if folder is None else graphs_in(folder)
        if folder is not None and graphs:
            other = shlex.quote(str(folder / graphs[0]))
            notes.append(
                f"its weights are those of the checkpoint; the graph beside it: --model {other}"
            )
        return tuple(notes)


@dataclass(frozen=True, slots=True)
class BuiltDecoder(BuiltModel):
    """A decoder of the catalog, or of a folder of safetensors."""

    embeds = False
    takes = DECODER_FLAGS

    def tests(self, settings: "Settings") -> tuple["Workload", ...]:
        """Prefill, decode and request tests."""
        from harness.runner.models.tests import decoder_tests

        return decoder_tests(settings)

    def stored(self, settings: "Settings", devices: Sequence["Device"]) -> tuple[Stored, ...]:
        """Each level with each cache."""
        from harness.runner.plan.levels import check_static, check_variants

        levels = self.levels_asked(settings, devices)
        check_variants(levels, devices)
        pairs = [(level, find_cache(name, level)) for level in levels for name in settings.kv_cache]
        for level in levels:
            check_static(level, settings.batch, bool(settings.turns))
        _check_contexts(self, settings, levels)
        return tuple(dict.fromkeys(pairs))

    def batches(self, settings: "Settings") -> tuple[int, ...]:
        """Those of the plan: a cache is bound for so many sequences."""
        return settings.batch

    def capacities(self, settings: "Settings", tests: Sequence["Workload"]) -> tuple[int, ...]:
        """Those of the plan, up to the context that its graphs are built for."""
        from harness.builder.graph.geometry import longest_context
        from harness.runner.models.tests import capacities_of

        return capacities_of(settings, self.source.name, tests, longest_context(self.source.spec))

    def shapes(self, level: QuantLevel, tests: Sequence["Workload"]) -> "AnyShapes | None":
        """One cache, and one length of a pass."""
        from harness.builder.graph.geometry import longest_context
        from harness.runner.plan.shapes import static_shapes

        if level.variant is not Variant.STATIC:
            return None
        return static_shapes(tests, longest_context(self.source.spec))

    def has_one_shape(self, level: QuantLevel) -> bool:
        """No: its passes serve every test."""
        return False

    def genai_refusals(self, levels: Collection[QuantLevel]) -> Iterator[Refusal]:
        """Nothing: a configuration lies beside every decoder."""
        yield from ()

    def llama_refusals(self, tests: Sequence["Workload"]) -> Iterator[Refusal]:
        """What it has no architecture for, and a window that its architecture leaves out."""
        from harness.builder.gguf.families import decoder_of, family_of, refusal

        name, spec = self.source.name, decoder_of(self.source.spec)
        problem = refusal(spec)
        if problem is not None:
            yield f"{name}: {problem}", "--runtime ort"
            return
        window = spec.sliding_window_tokens
        if window is None or family_of(spec).window:
            return
        for test in tests:
            if test.context_tokens > window:
                yield (
                    f"{test.name} of {name}: it looks at the last {window} tokens only, which"
                    " llama.cpp leaves out",
                    f"keep {test.shorter} at {window} or below",
                )

    def is_ranked(self, level: QuantLevel, kept: CacheLevel) -> bool:
        """Integers in graphs of ours, beside a cache of floats."""
        is_ours = level.variant is not Variant.GGUF
        return is_ours and level.has_integers and not kept.is_integer


@dataclass(frozen=True, slots=True)
class BuiltEncoder(BuiltModel):
    """A text encoder of the catalog, or of a folder of safetensors."""

    embeds = True
    takes = ENCODER_FLAGS

    def tests(self, settings: "Settings") -> tuple["Workload", ...]:
        """Encode tests: those of the plan, else the usual ones."""
        from harness.engine.workload import Workload
        from harness.results.enums import Kind

        encodes = settings.enc or USUAL_ENCODES
        return tuple(Workload(Kind.ENCODE, n, 0, sequences=texts) for n, texts in encodes)

    def stored(self, settings: "Settings", devices: Sequence["Device"]) -> tuple[Stored, ...]:
        """Each level once: there is no cache to choose."""
        from harness.runner.plan.levels import check_variants

        levels = self.levels_asked(settings, devices)
        check_variants(levels, devices)
        _check_contexts(self, settings, levels)
        return tuple(dict.fromkeys((level, own_cache(level)) for level in levels))

    def batches(self, settings: "Settings") -> tuple[int, ...]:
        """1: each test has texts of its own number."""
        return (1,)

    def capacities(self, settings: "Settings", tests: Sequence["Workload"]) -> tuple[int, ...]:
        """0: it keeps no cache."""
        return (0,)

    def shapes(self, level: QuantLevel, tests: Sequence["Workload"]) -> "AnyShapes | None":
        """One graph for every test."""
        from harness.runner.plan.shapes import encoder_shapes

        return encoder_shapes(tests) if level.variant is Variant.STATIC else None

    def has_one_shape(self, level: QuantLevel) -> bool:
        """Of a static level: there is a graph for each."""
        return level.variant is Variant.STATIC

    def genai_refusals(self, levels: Collection[QuantLevel]) -> Iterator[Refusal]:
        """All of it."""
        yield f"an encoder, {self.source.name}", "decoders only"

    def llama_refusals(self, tests: Sequence["Workload"]) -> Iterator[Refusal]:
        """All of it."""
        yield f"an encoder, {self.source.name}", "decoders only"

    def is_ranked(self, level: QuantLevel, kept: CacheLevel) -> bool:
        """No: only decoders are."""
        return False


@singledispatch
def _kind_of(spec: AnySpec) -> type[BuiltDecoder] | type[BuiltEncoder]:
    """Which kind of model an architecture is built as."""
    raise TypeError(f"{spec!r} is no architecture")


_kind_of.register(ModelSpec, lambda spec: BuiltDecoder)
_kind_of.register(EncoderSpec, lambda spec: BuiltEncoder)
_kind_of.register(RotaryEncoderSpec, lambda spec: BuiltEncoder)


def built_model(source: ModelSource) -> BuiltDecoder | BuiltEncoder:
    """Return the model of a source, by the kind of its architecture."""
    return _kind_of(source.spec)(source)


def _check_contexts(
    model: BuiltDecoder | BuiltEncoder, settings: "Settings", levels: Sequence[QuantLevel]
) -> None:
    """Refuse a test that is longer than the model is built for."""
    from harness.runner.plan.checks import check_context

    tests = model.tests(settings)
    for level in levels:
        check_context(model.source, level, tests)
