"""Journal entries -> the results document: one record per cell, measured beside estimated."""

from dataclasses import asdict
from typing import Any

from harness.engine.workload import Workload
from harness.estimator.cells import CellLengths
from harness.estimator.record import RecordEstimates, utilisation
from harness.estimator.static import StaticLengths
from harness.results.energy import energy_of, without_doubtful
from harness.results.enums import Grade, ReasonCode, Status
from harness.results.samples import ProcessSamples, samples_of
from harness.results.schema import (
    Cell,
    Document,
    Metric,
    Placement,
    Reason,
    Record,
    Trust,
)
from harness.results.summarize import (
    compile_metric,
    exact_metrics,
    quality_metrics,
    share_metric,
    summarize,
    summarize_memory,
    text_rates,
)
from harness.runner.loop.builds import Builds, build_key
from harness.runner.loop.calibration import measured_environment, peaks_of
from harness.runner.loop.device import doubt_device, hardware_of, is_simulated
from harness.runner.loop.effort import effort_of
from harness.runner.loop.entries import Entries
from harness.runner.loop.exported import doubt_steps
from harness.runner.loop.identity import cell_of
from harness.runner.loop.judge import judge
from harness.runner.loop.quality import quality_of
from harness.runner.plan import Plan, SessionGroup
from harness.store.exported_artifact import AnyArtifact

Json = dict[str, Any]


def assemble(plan: Plan, builds: Builds, entries: Entries, changed: frozenset[str]) -> Document:
    """Draw up the document from everything that was journalled.

    Args:
        plan: what was asked for; decides which records there are.
        builds: the artifacts behind the groups.
        entries: what was measured, or failed.
        changed: keys of groups whose model files changed during the run.
    """
    header, effort = entries.header, effort_of(plan, builds, entries)
    return Document(
        run_id=header["run_id"],
        created_utc=header["created_utc"],
        environment=header["environment"] | measured_environment(entries),
        plan={
            **header["plan"],
            "rounds_done": entries.rounds_done(plan),
            **({} if effort is None else {"effort": effort}),
        },
        records=tuple(
            _record(group, workload, builds, entries, group.key in changed)
            for group in plan.groups
            for workload in group.workloads
        ),
    )


def _record(
    group: SessionGroup, workload: Workload, builds: Builds, entries: Entries, changed: bool
) -> Record:
    artifact = builds.artifacts.get(build_key(group))
    processes = [samples_of(entry) for entry in entries.tests_of(group, workload)]
    failure = entries.failure_of(group, workload)
    memory = entries.memory_of(group, workload)
    cell = cell_of(group, workload, artifact)
    compiled = entries.compiled.get(group.key)
    placement, hardware = (
        _placement(processes, compiled),
        hardware_of(processes, entries.agreements.get(group.key)),
    )
    simulated = is_simulated(group, hardware)
    energy = energy_of(processes)
    metrics = without_doubtful(_metrics(cell, artifact, processes, memory), energy)
    metrics |= compile_metric(compiled)
    estimates = _estimates(group, workload, entries)
    metrics |= _utilisation(group, estimates, metrics, entries)
    check = entries.step_checks.get(build_key(group))
    peaks = peaks_of(entries, group.device, group.threads)
    metrics |= group.model.shares(artifact, workload, group.batch, metrics, peaks)
    quality = quality_of(entries, group)
    metrics |= quality_metrics(cell, quality or {})
    tokenizer = entries.tokenizers.get(group.source.argument)
    if tokenizer is not None and "decode_tok_s" in metrics:
        metrics |= text_rates(metrics["decode_tok_s"], tokenizer)
    status, reason = _status(processes, failure)
    machine = entries.header["environment"]
    trust = (
        _trust(cell, metrics, processes, changed, quality, machine) if status == Status.OK else None
    )
    return Record(
        cell=cell,
        status=status,
        reason=reason,
        metrics=metrics,
        estimates={name: dict(values) for name, values in estimates.by_metric.items()},
        explanation=estimates.explanation or None,
        simulated=simulated,
        hardware=hardware,
        shapes=None if group.has_one_shape or group.shapes is None else asdict(group.shapes),
        profile=entries.profiles.get((group.key, workload.name)),
        quality=quality,
        recognition=group.model.recognition(artifact, check),
        energy=energy,
        sustain=entries.sustained.get((group.key, workload.name)),
        placement=placement,
        trust=trust and doubt_steps(doubt_device(trust, placement, simulated), check),
        samples=tuple(process.to_json() for process in processes),
        memory=tuple(memory),
    )


def _trust(
    cell: Cell,
    metrics: dict[str, Metric],
    processes: list[ProcessSamples],
    changed: bool,
    quality: Json | None,
    machine: Json,
) -> Trust:
    """Grade a record; logits that are no numbers make a level worthless, however fast it is."""
    found = judge(cell, metrics, processes, changed, machine)
    broken = (quality or {}).get("invalid")
    if broken is None:
        return found
    reason = Reason(code=ReasonCode.NON_FINITE, detail=broken)
    return Trust(grade=Grade.INVALID, reasons=(reason, *found.reasons))


def _metrics(
    cell: Cell, artifact: AnyArtifact | None, processes: list[ProcessSamples], memory: list[Json]
) -> dict[str, Metric]:
    metrics = summarize(cell, processes) if processes else {}
    if memory:
        metrics |= summarize_memory(memory)
    if artifact is not None:
        metrics |= exact_metrics(
            artifact.weights_bytes, artifact.bits_per_weight, artifact.kv_bytes_per_token
        )
    return metrics


def _status(processes: list[ProcessSamples], failure: Json | None) -> tuple[Status, str | None]:
    if failure is not None:
        kept = f"; samples of {len(processes)} earlier rounds are kept" if processes else ""
        return Status(failure["status"]), failure["reason"] + kept
    if not processes:
        return Status.SKIPPED, "the run ended before this cell was measured; use --resume"
    return Status.OK, None


def _estimates(group: SessionGroup, workload: Workload, entries: Entries) -> RecordEstimates:
    """Every estimate of what the record measures; none where the device is no real one.

    Static encoders have none: only the operators of fused ones are counted.
    """
    if group.device.simulate or group.has_one_shape:
        return RecordEstimates({}, {}, None)
    lengths = CellLengths(
        workload.prompt_tokens,
        workload.gen_tokens,
        workload.depth_tokens,
        group.batch * workload.sequences,
        group.cache,
        _static_lengths(group),
    )
    peaks = peaks_of(entries, group.device, group.threads)
    return group.model.estimates(group.level, workload, lengths, peaks)


def _static_lengths(group: SessionGroup) -> StaticLengths | None:
    """The shapes of a static decoder; None: the model is another one."""
    if group.shapes is None or group.has_one_shape:
        return None
    return StaticLengths(**asdict(group.shapes))


def _utilisation(
    group: SessionGroup, found: RecordEstimates, metrics: dict[str, Metric], entries: Entries
) -> dict[str, Metric]:
    """MBU and MFU: the share of the hardware peaks that was reached, where they are known."""
    weights, peaks = (
        metrics.get("weights_bytes"),
        peaks_of(entries, group.device, group.threads),
    )
    if weights is None or weights.value is None:
        return {}
    shares = utilisation(found, group.level, peaks, weights.value)
    return {
        name: share_metric(metrics[metric], share)
        for name, (metric, share) in shares.items()
        if metric in metrics
    }


def _placement(processes: list[ProcessSamples], compiled: Json | None) -> Placement | None:
    """Where the model's nodes are; of a compiled graph where they went when it was compiled."""
    if not processes:
        return None
    opened = processes[-1].open
    return Placement(**(compiled if compiled and opened.get("compiled") else opened)["placement"])
