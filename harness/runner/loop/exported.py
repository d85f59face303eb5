"""What a record says of a model that others exported: its estimates, its shares, its check."""

from collections.abc import Iterator, Mapping
from typing import Any

from harness.core.errors import WorkerError
from harness.engine.workload import Kind, Workload
from harness.estimator.cells import CellLengths
from harness.estimator.exported import exported_estimates, mbu_file
from harness.estimator.record import Ceilings, RecordEstimates, record_estimates
from harness.machine.process.worker import Worker
from harness.models.catalog.decoder import spec_anatomy
from harness.models.exported.model import Role
from harness.models.exported.source import ExportedSource
from harness.results.schema import GRADES, Metric, Reason, Trust
from harness.results.summarize import share_metric
from harness.runner.loop.builds import Builds, build_key
from harness.runner.loop.entries import Entries
from harness.runner.loop.session import WORKER_MODULE, session_arguments
from harness.runner.plan import Plan, SessionGroup
from harness.store.exported_artifact import ExportedArtifact

Json = dict[str, Any]
# Of the parameters: what exporters leave out, such as vectors of equal values stored once.
COUNT_TOLERANCE = 0.001
BEST_GRADE = "C"  # of a model whose steps do not continue its prompt
DECODES = (Kind.PREFILL, Kind.DECODE, Kind.REQUEST)


def step_checks(plan: Plan, builds: Builds, entries: Entries) -> Iterator[Json]:
    """Hold the steps of every exported decoder against whole passes, once a model.

    A check that cannot be made is a finding as well: its reason stands in the record.
    """
    for key, group in {build_key(group): group for group in plan.groups}.items():
        artifact = builds.artifacts.get(key)
        if not isinstance(artifact, ExportedArtifact) or not artifact.has_steps:
            continue
        if key in entries.step_checks:
            continue
        try:
            with Worker.start(WORKER_MODULE) as worker:
                found: Json = worker.ask(
                    "steps_check",
                    timeout_s=plan.settings.timeout,
                    **session_arguments(group, artifact, plan.settings.seed),
                )
        except WorkerError as error:
            found = {"reason": f"{error.problem}; try: {error.fix}"}
        yield {"kind": "steps_check", "model": key[0], "level": key[1], "found": found}


def doubt_steps(trust: Trust, found: Mapping[str, Any] | None) -> Trust:
    """Add what a failed check of its steps takes away from a grade.

    Args:
        trust: as the samples deserve it.
        found: of `steps_check`; None: nothing was there to check.
    """
    if found is None or found.get("agrees") is not False:
        return trust
    detail = (
        f"logits of prompt and steps differ from those of one pass by {found['difference']:.3g} of"
        f" the largest; {found['bound']:g} is the most"
    )
    grade = max(trust.grade, BEST_GRADE, key=GRADES.index)
    return Trust(grade=grade, reasons=(Reason(code="STEPS_DIFFER", detail=detail), *trust.reasons))


def recognition_of(source: ExportedSource, check: Mapping[str, Any] | None) -> Json:
    """What was recognised, as a record keeps it; without a path."""
    model = source.model
    return {
        "kind": model.kind.value,
        "exporter": model.exporter,
        "content_hash": model.content_hash,
        "files": [graph.file for graph in model.graphs],
        "cache": model.cache_kind,
        "storages": [
            {"level": each.level, "parameters": each.parameters, "bytes": each.stored_bytes}
            for each in model.storages
        ],
        "steps_check": None if check is None else dict(check),
    }


def estimates_of(
    group: SessionGroup, source: ExportedSource, workload: Workload, ceilings: Ceilings
) -> RecordEstimates:
    """Estimates from the true parameters; from structure too where the architecture is known."""
    model, batch = source.model, group.batch * workload.sequences
    tokens = workload.prompt_tokens
    if workload.kind is Kind.IMAGE:
        tokens = 0
    lengths = CellLengths(tokens, workload.gen_tokens, workload.depth_tokens, batch, None)
    encoder = model.graph(Role.ENCODER)
    found = exported_estimates(
        model.parameters,
        group.level.weight_bits,
        workload.kind.value,
        lengths,
        ceilings,
        None if encoder is None else encoder.parameters,
    )
    if model.spec is None or (model.cache_kind == "none" and workload.kind in DECODES):
        return found
    anatomy = spec_anatomy(model.spec)
    if abs(anatomy.parameters - model.parameters) > COUNT_TOLERANCE * anatomy.parameters:
        return found  # the file holds something else than the configuration says
    known = record_estimates(anatomy, group.level, lengths, ceilings)
    by_metric = {
        name: {**found.by_metric.get(name, {}), **_of_structure(values)}
        for name, values in known.by_metric.items()
    }
    return RecordEstimates({**found.by_metric, **by_metric}, known.explanation, known.best)


def _of_structure(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Estimates that the parameters alone do not give."""
    return {name: value for name, value in values.items() if name in ("structure", "calibrated")}


def shares_of(
    artifact: ExportedArtifact,
    workload: Workload,
    batch: int,
    metrics: Mapping[str, Metric],
    ceilings: Ceilings,
) -> dict[str, Metric]:
    """The share of the bandwidth that decode steps reached, by the bytes in the file."""
    step, constants = metrics.get("tpot_ms"), ceilings.measured
    if step is None or constants is None or not artifact.weights_bytes:
        return {}
    depth = workload.depth_tokens + workload.prompt_tokens + workload.gen_tokens // 2
    cache_bytes = float(batch * depth * artifact.kv_bytes_per_token)
    bandwidth = constants.bytes_per_s(artifact.weights_bytes + cache_bytes)

    def share(seconds: float) -> float:
        return mbu_file(artifact.weights_bytes, cache_bytes, seconds, bandwidth)

    return {"mbu_file": share_metric(step, share)}
