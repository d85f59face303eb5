"""What a record says of a model that others exported: its estimates, its shares, its files."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.builder.quantize.levels import QuantLevel
from harness.engine.exported.geometry import DECODERS
from harness.engine.workload import Workload
from harness.estimator.record import (
    CellLengths,
    HardwarePeaks,
    RecordEstimates,
    exported_estimates,
    mbu_file,
    record_estimates,
)
from harness.models.exported.model import ExportedModel, Role
from harness.models.exported.sizes import invented_values
from harness.models.specs.structure import ModelStructure
from harness.results.enums import Kind
from harness.results.replies import StepsCheck
from harness.results.schema import Metric, Recognition, Storage
from harness.results.summarize import share_metric

if TYPE_CHECKING:
    from harness.store.exported_artifact import AnyArtifact


def recognition_of(
    model: ExportedModel,
    check: StepsCheck | None,
    inputs: tuple[tuple[str, float], ...] = (),
) -> Recognition:
    """What was recognised, as a record keeps it; without a path.

    Args:
        model: as recognised.
        check: of its steps; None: there was none.
        inputs: values that the user gave.
    """
    given = dict(inputs)
    invented = {} if model.kind in DECODERS else invented_values(model.main, given)
    return Recognition(
        kind=model.kind.value,
        exporter=model.exporter,
        content_hash=model.content_hash,
        files=tuple(graph.file for graph in model.graphs),
        cache=model.cache_kind,
        storages=tuple(
            Storage(level=each.level, parameters=each.parameters, bytes=each.stored_bytes)
            for each in model.storages
        ),
        steps_check=check,
        inputs=given or None,
        invented=invented or None,
    )


def estimates_of(
    model: ExportedModel,
    structure: ModelStructure | None,
    level: QuantLevel,
    test: Workload,
    lengths: CellLengths,
    peaks: HardwarePeaks,
) -> RecordEstimates:
    """Estimates from the true parameters; from structure too where the architecture is known.

    Args:
        model: as recognised.
        structure: its structure; None: it is not known, or says nothing of this test.
        level: of the weights.
        test: which one.
        lengths: of its cell.
        peaks: of this machine.
    """
    tokens = 0 if test.kind is Kind.IMAGE else test.prompt_tokens
    plain = CellLengths(tokens, test.gen_tokens, test.depth_tokens, lengths.batch, None)
    encoder = model.graph(Role.ENCODER)
    found = exported_estimates(
        model.parameters,
        level.weight_bits,
        test.kind.value,
        plain,
        peaks,
        None if encoder is None else encoder.parameters,
    )
    if structure is None:
        return found
    known = record_estimates(structure, level, plain, peaks)
    by_metric = {
        name: {**found.by_metric.get(name, {}), **_of_structure(values)}
        for name, values in known.by_metric.items()
    }
    return RecordEstimates({**found.by_metric, **by_metric}, known.explanation, known.best)


def _of_structure(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Estimates that the parameters alone do not give."""
    return {name: value for name, value in values.items() if name in ("structure", "calibrated")}


def shares_of(
    artifact: "AnyArtifact",
    test: Workload,
    batch: int,
    metrics: Mapping[str, Metric],
    peaks: HardwarePeaks,
) -> dict[str, Metric]:
    """The share of the bandwidth that decode steps reached, by the bytes in the file."""
    step, constants = metrics.get("tpot_ms"), peaks.measured
    if step is None or constants is None or not artifact.weights_bytes:
        return {}
    depth = test.depth_tokens + test.prompt_tokens + test.gen_tokens // 2
    cache_bytes = float(batch * depth * artifact.kv_bytes_per_token)
    bandwidth = constants.bytes_per_s(artifact.weights_bytes + cache_bytes)

    def share(seconds: float) -> float:
        return mbu_file(artifact.weights_bytes, cache_bytes, seconds, bandwidth)

    return {"mbu_file": share_metric(step, share)}
