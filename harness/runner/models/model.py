"""What a model answers about itself: nobody else asks which kind it is."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness.builder.graph.static.geometry import AnyShapes
from harness.builder.quantize.levels import AUTO, CacheLevel, QuantLevel
from harness.engine.exported.geometry import FROZEN
from harness.models.catalog.target import EstimateTarget
from harness.models.exported.model import ExportedSource
from harness.models.gguf.source import GgufSource
from harness.models.served import ServedSource
from harness.models.weights.source import ModelSource
from harness.results.replies import StepsCheck
from harness.results.schema import Recognition

if TYPE_CHECKING:
    from harness.devices.device import Device
    from harness.engine.workload import Workload
    from harness.estimator.cell import CellLengths
    from harness.estimator.record import RecordEstimates
    from harness.estimator.rules import HardwarePeaks
    from harness.results.schema import Metric
    from harness.runner.settings import Settings
    from harness.store.exported import AnyArtifact

Json = dict[str, Any]
Stored = tuple[QuantLevel, CacheLevel]  # how weights, and how keys and values are stored
Refusal = tuple[str, str]  # what is not run, and the way out


class FoundModel(Protocol):
    """What a word means: a model that can be estimated, and often measured too."""

    @property
    def argument(self) -> str:
        """What the user typed."""

    @property
    def target(self) -> EstimateTarget:
        """What an estimate needs to know."""

    def facts(self) -> Json:
        """What `bench models` says of it."""

    def measured(self) -> "Model":
        """The model to build and to measure.

        Raises:
            UsageError: it can be estimated only.
        """


class Model(FoundModel, Protocol):
    """A model that is built here or was exported elsewhere.

    `source` is its record: where its weights and its architecture come from.
    """

    @property
    def source(self) -> ModelSource | ExportedSource | GgufSource | ServedSource:
        """Where it comes from."""

    @property
    def parameters(self) -> int:
        """Trained values: of an exported model those of its file, else those of its spec."""

    @property
    def active_parameters(self) -> int | None:
        """Those that one token uses, of a mixture of experts; None: all."""

    @property
    def read_parameters(self) -> int | None:
        """Those that one token reads; None: the architecture is not known."""

    @property
    def embeds(self) -> bool:
        """Whether it is built here and gives embeddings, so that it has no cache and no tokens."""

    @property
    def is_own_plan(self) -> bool:
        """Whether its tests follow from what it is, whatever kind of test a plan names."""

    @property
    def takes(self) -> tuple[str, ...]:
        """Keys of the flags that its tests come of."""

    @property
    def free_dimensions(self) -> tuple[str, ...]:
        """Names that `--dim` may size."""

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names that `--input` may give a value."""

    @property
    def input_weights(self) -> int:
        """Weights of its graphs that are inputs too."""

    @property
    def own_level(self) -> str | None:
        """Name of the level that its file holds; None: it is built at any."""

    @property
    def place(self) -> Path | None:
        """The folder or file that is this model and no other; None: no files are read."""

    def levels(self) -> tuple[QuantLevel, ...]:
        """Every level that it can be measured at."""

    def stored_as(self, level: str, kv_cache: str = AUTO) -> Stored:
        """A level and a cache by their names; `auto`: the level's own cache.

        Raises:
            UsageError: one that it is not built at, or does not hold.
        """

    def levels_asked(
        self, settings: "Settings", devices: Sequence["Device"]
    ) -> tuple[QuantLevel, ...]:
        """The levels that a plan means on its devices."""

    def tests(self, settings: "Settings") -> tuple["Workload", ...]:
        """The tests of a plan that it can run.

        Raises:
            UsageError: none of them, or one that it cannot run.
        """

    def stored(self, settings: "Settings", devices: Sequence["Device"]) -> tuple[Stored, ...]:
        """Its levels, each with its caches.

        Raises:
            UsageError: a level or cache that it, or every device, does not take.
        """

    def runs_on(self, settings: "Settings", level: QuantLevel, device: "Device") -> bool:
        """Whether a plan measures a level on a device."""

    def batches(self, settings: "Settings") -> tuple[int, ...]:
        """Sequences at once of its sessions; where each test has its own, 1."""

    def capacities(self, settings: "Settings", tests: Sequence["Workload"]) -> tuple[int, ...]:
        """Positions that caches of its sessions are allocated for; 0: as many as tests need.

        Args:
            settings: of the plan.
            tests: that it runs.

        Raises:
            UsageError: fewer than a test needs, more than it takes, or it allocates none.
        """

    def dims(self, settings: "Settings") -> tuple[tuple[str, int], ...]:
        """Free dimensions of its graphs that the user gave a size."""

    def inputs(self, settings: "Settings") -> tuple[tuple[str, float], ...]:
        """Inputs of its graphs that the user gave a value."""

    def shapes(self, level: QuantLevel, tests: Sequence["Workload"]) -> AnyShapes | None:
        """What a static level is built for, to serve these tests; None: of any other level."""

    def has_one_shape(self, level: QuantLevel) -> bool:
        """Whether a session of this level reads texts of one shape alone."""

    def genai_refusals(self, levels: Collection[QuantLevel]) -> Iterator[Refusal]:
        """What onnxruntime-genai does not run of it."""

    def llama_refusals(self, tests: Sequence["Workload"]) -> Iterator[Refusal]:
        """What llama.cpp does not run of it."""

    def is_ranked(self, level: QuantLevel, kept: CacheLevel) -> bool:
        """Whether groups of its matrices can be ranked by what each loses at a level."""

    def built(self) -> ModelSource:
        """Its source where it is built here.

        Raises:
            UsageError: it is not, so nothing tells what its levels lose.
        """

    def build(
        self,
        level: QuantLevel,
        kept: CacheLevel,
        store: Path,
        *,
        seed: int = 0,
        shapes: AnyShapes | None = None,
        dims: tuple[tuple[str, int], ...] = (),
        inputs: tuple[tuple[str, float], ...] = (),
        graph_inputs: str = FROZEN,
        prepacked: bool = False,
    ) -> "AnyArtifact":
        """Build it at a level, or take it from the store; an export is taken as it lies.

        Args:
            level: of the weights.
            kept: how keys and values are cached.
            store: folder of built models.
            seed: of seeded weights.
            shapes: of a static level.
            dims: sizes of free dimensions by name.
            inputs: values of inputs by name.
            graph_inputs: of weights that are inputs too; of GRAPH_INPUTS.
            prepacked: with the copies that this machine's kernels make of its weights.

        Raises:
            HarnessError: a model that cannot be read or built, a full disk.
        """

    def identity(self, artifact: "AnyArtifact | None") -> str:
        """Its name in results; a local folder's also carries its content hash, never its path."""

    def kernels(self, level: QuantLevel) -> str | None:
        """Name of our level whose kernels a level of it runs; None: none of ours does."""

    def operators(self, level: QuantLevel, cache: "CacheLevel | None") -> tuple[str, ...]:
        """Operators that not every model has and whose rates an estimate needs."""

    def estimates(
        self, level: QuantLevel, test: "Workload", lengths: "CellLengths", peaks: "HardwarePeaks"
    ) -> "RecordEstimates":
        """Every estimate of one test."""

    def shares(
        self,
        artifact: "AnyArtifact | None",
        test: "Workload",
        batch: int,
        metrics: Mapping[str, "Metric"],
        peaks: "HardwarePeaks",
    ) -> "dict[str, Metric]":
        """Shares of the hardware peaks by the bytes of its file, where these are not ours."""

    def recognition(
        self, artifact: "AnyArtifact | None", check: StepsCheck | None
    ) -> Recognition | None:
        """What was recognised in files that others made, as a record keeps it; None: in ours."""

    def summary(self) -> str | None:
        """One line for a dry run; None: its name says all."""
