"""A GGUF file that the user has: llama.cpp runs it as it lies."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.builder.quantize.levels import (
    AUTO,
    CacheLevel,
    Form,
    MatrixFormat,
    QuantLevel,
    Variant,
    find_cache,
)
from harness.core.errors import UsageError
from harness.engine.exported.geometry import FROZEN
from harness.models.catalog.target import EstimateTarget
from harness.models.gguf.reading import read_header
from harness.models.gguf.source import GgufGeometry, GgufSource, content_hash_of
from harness.models.gguf.types import TensorType
from harness.results.replies import StepsCheck
from harness.results.schema import Recognition, Storage
from harness.runner.models.as_it_lies import RunElsewhere
from harness.runner.models.model import Json, Refusal, Stored
from harness.runner.models.tests import DECODER_FLAGS, capacities_of, decoder_tests

if TYPE_CHECKING:
    from harness.builder.graph.static.geometry import AnyShapes
    from harness.engine.workload import Workload
    from harness.estimator.cell import CellLengths
    from harness.estimator.record import RecordEstimates
    from harness.estimator.rules import HardwarePeaks
    from harness.results.schema import Metric
    from harness.runner.settings import Settings
    from harness.store.exported import AnyArtifact

ENDING = ".gguf"


@dataclass(frozen=True, slots=True)
class GgufModel(RunElsewhere):
    """A file, or the first of its parts.

    Attributes:
        source: its header and the word that named it.
    """

    source: GgufSource

    made_as = "is a GGUF file"
    takes = DECODER_FLAGS

    @property
    def target(self) -> EstimateTarget:
        """The count of its file."""
        notes = (f"its file holds {self.source.header.level}",)
        return EstimateTarget(
            self.source.name, self.parameters, None, "GGUF file, exact count", notes
        )

    @property
    def parameters(self) -> int:
        """Trained values of its file."""
        return self.source.header.parameters

    @property
    def own_level(self) -> str:
        """Name of what its makers asked llama-quantize for."""
        return self.source.header.level

    @property
    def place(self) -> Path | None:
        """The file."""
        return self.source.header.files[0].resolve()

    def levels(self) -> tuple[QuantLevel, ...]:
        """The file's own level alone."""
        return (level_of(self.source),)

    def stored_as(self, level: str, kv_cache: str = AUTO) -> Stored:
        """The file's own level, with a cache of floats."""
        self._check_levels((level,))
        (own,) = self.levels()
        return own, find_cache(kv_cache, own)

    def tests(self, settings: "Settings") -> tuple["Workload", ...]:
        """Prefill, decode and request tests, within the context that the file states."""
        self.refuse_quality(settings)
        if "quant" in settings.given:
            self._check_levels(settings.quant)
        tests, limit = decoder_tests(settings), self.source.header.context_tokens
        for test in tests:
            if limit and test.context_tokens > limit:
                raise UsageError(
                    f"{test.name} needs {test.context_tokens} tokens of context;"
                    f" {self.source.name} has {limit}",
                    fix=f"keep {test.shorter} at {limit} or below",
                )
        return tests

    def _check_levels(self, names: Sequence[str]) -> None:
        """Refuse another level than the file's.

        Raises:
            UsageError: see above.
        """
        others = [name for name in names if name.casefold() != self.own_level]
        if others:
            raise UsageError(
                f"--quant {','.join(others)}: {self.source.name} holds {self.own_level}",
                fix="leave --quant out, or give the file at that level",
            )

    def capacities(self, settings: "Settings", tests: Sequence["Workload"]) -> tuple[int, ...]:
        """Those of the plan, up to the context that the file states."""
        limit = self.source.header.context_tokens or None
        return capacities_of(settings, self.source.name, tests, limit)

    def genai_refusals(self, levels: Collection[QuantLevel]) -> Iterator[Refusal]:
        """All of it."""
        yield f"{self.source.name}, which is a GGUF file", "--runtime llama.cpp"

    def llama_refusals(self, tests: Sequence["Workload"]) -> Iterator[Refusal]:
        """A model that is not read token by token; of others the library says what it takes."""
        header = self.source.header
        if not header.is_decoder:
            yield (
                f"{self.source.name}, whose architecture {header.architecture} is that of an"
                " encoder",
                "its ONNX export, or its checkpoint",
            )

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
        """The file as it lies."""
        from harness.store.gguf import GgufArtifact

        header = self.source.header
        return GgufArtifact(
            name=self.source.name,
            level=level.name,
            header=header,
            geometry=GgufGeometry(header.vocab_size, header.context_tokens, kept.dtype),
            kv_bytes_per_token=kept.stored_bytes(header.cache_values_per_token),
            weights_identity=self.source.content_hash,
            content_hash=self.source.content_hash,
            cache=kept,
        )

    def identity(self, artifact: "AnyArtifact | None") -> str:
        """The name and the hash of the file."""
        return f"{self.source.name}@{self.source.content_hash.removeprefix('sha256:')[:8]}"

    def estimates(
        self, level: QuantLevel, test: "Workload", lengths: "CellLengths", peaks: "HardwarePeaks"
    ) -> "RecordEstimates":
        """From the true parameters and bits."""
        from harness.estimator.record import exported_estimates

        bits = self.source.header.bits_per_weight
        return exported_estimates(self.parameters, bits, test.kind, lengths, peaks)

    def shares(
        self,
        artifact: "AnyArtifact | None",
        test: "Workload",
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
        """What its header says."""
        header = self.source.header
        return Recognition(
            kind="decoder" if header.is_decoder else "encoder",
            exporter="",
            content_hash=self.source.content_hash,
            files=tuple(path.name for path in header.files),
            cache="shared",
            storages=tuple(
                Storage(level=name, parameters=count, bytes=size)
                for name, (count, size) in header.by_type.items()
            ),
        )

    def facts(self) -> Json:
        """What the header says."""
        header = self.source.header
        return {
            "model": self.source.name,
            "kind": "decoder" if header.is_decoder else "encoder",
            "weights": self.source.weights_kind,
            "architecture": header.architecture,
            "parameters": header.parameters,
            "weights_bytes": header.weights_bytes,
            "bits_per_weight": header.bits_per_weight,
            "stored": [
                {"level": name, "parameters": count, "stored_bytes": size}
                for name, (count, size) in header.by_type.items()
            ],
            "data_files": [
                {"name": path.name, "size_bytes": path.stat().st_size} for path in header.files
            ],
            "cache": "shared",
            "vocab_size": header.vocab_size,
            "max_context_tokens": header.context_tokens or None,
            "levels": [self.own_level],
            "content_hash": self.source.content_hash,
        }

    def summary(self) -> str | None:
        """Parameters, level, file."""
        header = self.source.header
        said = f"{header.parameters:,} parameters, {header.level}, {header.bits_per_weight:.2f}"
        return f"{self.source.name}: GGUF, {said} bits a weight; {header.files[0].name}"


def gguf_model(word: str, path: Path) -> GgufModel:
    """Return the model in a file.

    Raises:
        ModelError: see harness.models.gguf.reading.read_header.
    """
    header = read_header(path)
    return GgufModel(GgufSource(word, header, content_hash_of(header)))


def level_of(source: GgufSource) -> QuantLevel:
    """Return what a file holds, as a level of ours is described: the type of most weights."""
    header = source.header
    form = _format(header.main_type)
    return QuantLevel(
        header.level,
        f"GGUF {header.level.upper()}",
        form,
        form,
        2,
        variant=Variant.GGUF,
    )


def _format(kind: TensorType) -> MatrixFormat:
    """A type of ggml as a format: its nominal bits, and what a block stores beside its weights."""
    if kind.block_weights == 1:
        return MatrixFormat(Form.FLOAT, int(kind.bits))
    bits = int(kind.bits)
    shared = 8 * kind.block_bytes - bits * kind.block_weights
    return MatrixFormat(Form.GGML, bits, kind.block_weights, shared_bits=shared)
