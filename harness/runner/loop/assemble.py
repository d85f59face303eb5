"""Journal entries -> the results document: a record per cell, merged of what each feature says.

A feature is a function of CellFacts: what was measured, what the estimator says, the device. The
grade is that of the samples and of the watch over them, less what the features take away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from msgspec import UNSET, structs

from harness.estimator.cell import CellLengths
from harness.estimator.record import RecordEstimates
from harness.estimator.static import StaticLengths
from harness.estimator.utilisation import utilisation
from harness.machine.watch.evidence import gather_evidence
from harness.machine.watch.trust import grade
from harness.results.enums import Grade, Kind, ReasonCode, Status, worst_grade
from harness.results.environment import MachineFacts
from harness.results.losses import FailureEntry, LostEntry
from harness.results.plan import Progress
from harness.results.replies import (
    Agreement,
    Compiled,
    Hardware,
    Placement,
    ProcessSamples,
    StepsCheck,
    Sustained,
)
from harness.results.schema import SERVER, Cell, Document, Metric, Reason, Record, Trust
from harness.results.size_effect import judge_sizes
from harness.results.summarize import (
    compile_metric,
    energy_of,
    exact_metrics,
    judged_half_width_share,
    share_metric,
    summarize,
    summarize_memory,
    without_doubtful,
)
from harness.results.sustained import slowed, sustained_metrics
from harness.runner.loop.builds import Builds
from harness.runner.loop.calibration import measured_environment, peaks_of
from harness.runner.loop.device_calibration import has_own_peaks, without_host_memory
from harness.runner.loop.effort import effort_of
from harness.runner.loop.entries import Entries
from harness.runner.loop.losses import losses_part
from harness.runner.loop.memory_limit import bound_bytes
from harness.runner.loop.parts import CellFacts, Doubt, Feature, Part
from harness.runner.loop.quality import quality_part, text_part
from harness.runner.plan import Plan, SessionGroup

# Of a device that was emulated or did not do all of the work, or of steps that differ.
BEST_GRADE = Grade.C


def assemble(
    plan: Plan,
    builds: Builds,
    entries: Entries,
    changed: frozenset[str],
    progress: Progress | None = None,
) -> Document:
    """Draw up the document from everything that was journalled.

    Args:
        plan: what was asked for; decides which records there are.
        builds: the artifacts behind the groups.
        entries: what was measured, or failed.
        changed: keys of groups whose model files changed during the run.
        progress: how far the run came; see effort.progress_of.
    """
    header, effort = entries.header, effort_of(plan, builds, entries)
    return Document(
        run_id=header.run_id,
        created_utc=header.created_utc,
        environment=measured_environment(entries),
        plan=structs.replace(
            header.plan,
            rounds_done=entries.rounds_done(plan),
            effort=effort or UNSET,
            progress=progress or UNSET,
            spent_s=entries.spent_s or UNSET,
        ),
        records=judge_sizes(
            [
                record_of(CellFacts(group, workload, builds, entries, group.key in changed))
                for group in plan.groups
                for workload in group.workloads
            ]
        ),
    )


def record_of(facts: CellFacts) -> Record:
    """Merge what every feature says of one cell."""
    fields: dict[str, Any] = {}
    metrics: dict[str, Metric] = {}
    doubts: tuple[Doubt, ...] = ()
    for feature in FEATURES:
        part = feature(facts, metrics)
        fields |= part.fields
        metrics |= part.metrics
        doubts = part.doubts + doubts
    trust = _trust(facts, metrics, doubts) if fields["status"] is Status.OK else None
    return Record(cell=facts.cell, metrics=metrics, trust=trust, **fields)


def _trust(facts: CellFacts, metrics: dict[str, Metric], doubts: tuple[Doubt, ...]) -> Trust:
    """The grade that the samples deserve, less what the features take away."""
    machine = facts.entries.header.environment
    return doubt(judge(facts.cell, metrics, facts.processes, facts.changed, machine), doubts)


def doubt(trust: Trust, doubts: tuple[Doubt, ...]) -> Trust:
    """A grade less what doubts take away; their reasons come first."""
    reasons = tuple(Reason(code=one.code, detail=one.detail) for one in doubts)
    grade = worst_grade(trust.grade, *(one.best for one in doubts))
    return Trust(grade=grade, reasons=(*reasons, *trust.reasons))


def judge(
    cell: Cell,
    metrics: dict[str, Metric],
    processes: Sequence[ProcessSamples],
    file_changed: bool,
    machine: MachineFacts,
) -> Trust:
    """Grade one record from what its processes, the watch over them and the machine said."""
    evidence = gather_evidence(
        processes,
        judged_half_width_share(cell, metrics),
        file_changed,
        machine,
    )
    found = grade(evidence)
    reasons = tuple(Reason(code=code, detail=detail) for code, detail in found.reasons)
    return Trust(grade=found.grade, reasons=reasons)


def status_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """How it ended, and what to do about it."""
    failure = facts.entries.failure_of(facts.group, facts.workload)
    return Part(fields=status_fields(failure, len(facts.processes)))


def status_fields(failure: FailureEntry | LostEntry | None, rounds: int) -> dict[str, Any]:
    """Status and reason of a record that was measured in so many rounds."""
    if failure is not None:
        kept = f"; samples of {rounds} earlier rounds are kept" if rounds else ""
        return {"status": failure.status, "reason": failure.reason + kept}
    if not rounds:
        reason = "the run ended before this cell was measured; use --resume"
        return {"status": Status.SKIPPED, "reason": reason}
    return {"status": Status.OK, "reason": None}


def kept_samples(entry: ProcessSamples) -> ProcessSamples:
    """The samples without what the journal files them under."""
    fields = structs.fields(ProcessSamples)
    return ProcessSamples(**{field.name: getattr(entry, field.name) for field in fields})


def samples_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """Raw samples, every timed metric, and the energy where it is one measured quantity."""
    energy = energy_of(facts.processes)
    looks = facts.entries.header.plan.looks
    found = summarize(facts.cell, facts.processes, looks) if facts.processes else {}
    return Part(
        fields={"samples": tuple(map(kept_samples, facts.processes)), "energy": energy},
        metrics=without_doubtful(found, energy),
    )


def memory_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """The memory of the process that timed nothing."""
    found = tuple(facts.entries.memory_of(facts.group, facts.workload))
    return Part(fields={"memory": found}, metrics=summarize_memory(found) if found else {})


def size_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """What is counted in the built model, and the shapes that a static one was built for."""
    group, artifact = facts.group, facts.artifact
    shapes = None if group.has_one_shape or group.shapes is None else asdict(group.shapes)
    if artifact is None or not artifact.files:  # nothing of it lies here
        return Part(fields={"shapes": shapes})
    counted = exact_metrics(
        artifact.weights_bytes,
        artifact.bits_per_weight,
        artifact.kv_bytes_per_token,
        artifact.state_bytes,
        bound_bytes(group, artifact, group.bound_tokens(facts.workload)),
        artifact.prepacked_bytes,
        group.model.read_parameters,
    )
    return Part(fields={"shapes": shapes}, metrics=counted)


def compiled_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """The cold load of the process that compiled the model."""
    return Part(metrics=compile_metric(facts.entries.compiled.get(facts.group.key)))


def estimates_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """Every estimate of what the record measures, and MBU and MFU where their peaks are known."""
    found = _estimates(facts)
    return Part(
        fields={
            "estimates": {name: dict(values) for name, values in found.by_metric.items()},
            "explanation": found.explanation,
        },
        metrics=_utilisation(facts, found, metrics),
    )


def _estimates(facts: CellFacts) -> RecordEstimates:
    """Every estimate; none where the device is no real one.

    Static encoders have none: only the operators of fused ones are counted.
    """
    group, test = facts.group, facts.workload
    if group.device.simulate or group.has_one_shape:
        return RecordEstimates({}, None, None)
    lengths = CellLengths(
        test.prompt_tokens,
        test.gen_tokens,
        test.depth_tokens,
        group.batch * test.sequences,
        group.cache,
        _static_lengths(group),
        test.chunk_tokens,
        group.prepack,
        capacity_tokens=group.capacity,
        rereads=test.kind is Kind.TURN,
        threads=group.threads,
    )
    peaks = peaks_of(facts.entries, group.device, group.threads)
    found = group.model.estimates(group.level, test, lengths, peaks)
    return without_host_memory(found) if has_own_peaks(group.device) else found


def _static_lengths(group: SessionGroup) -> StaticLengths | None:
    """The shapes of a static decoder; None: the model is another one."""
    if group.shapes is None or group.has_one_shape:
        return None
    return StaticLengths(**asdict(group.shapes))


def _utilisation(
    facts: CellFacts, found: RecordEstimates, metrics: Mapping[str, Metric]
) -> dict[str, Metric]:
    """The share of the measured peaks that was reached, where they are known."""
    group, weights = facts.group, metrics.get("weights_bytes")
    if weights is None or weights.value is None:
        return {}
    peaks = peaks_of(facts.entries, group.device, group.threads)
    shares = utilisation(found, group.level, peaks, weights.value)
    return {
        name: share_metric(metrics[metric], share)
        for name, (metric, share) in shares.items()
        if metric in metrics
    }


def device_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """The device, where the nodes ran, and whether both were what was asked for."""
    entries, group = facts.entries, facts.group
    hardware = hardware_of(facts.processes, entries.agreements.get(group.key))
    placement = placement_of(facts.processes, entries.compiled.get(group.key))
    simulated = is_simulated(group, hardware)
    return Part(
        fields={"hardware": hardware, "placement": placement, "simulated": simulated},
        doubts=device_doubts(placement, simulated, facts.cell.device),
    )


def hardware_of(
    processes: Sequence[ProcessSamples], agreement: Agreement | None
) -> Hardware | None:
    """The device as the last process found it, and how close it comes to the CPU's logits.

    Args:
        processes: of one cell; without any nothing is known.
        agreement: None: it was not asked, as of fused decoders on the CPU itself.
    """
    found = processes[-1].open.hardware if processes else None
    if found is None or agreement is None:
        return found
    return structs.replace(
        found,
        least_cosine=agreement.least_cosine,
        fused_cosine=agreement.fused_cosine,
        plain_cosine=agreement.plain_cosine,
    )


def placement_of(
    processes: Sequence[ProcessSamples], compiled: Compiled | None
) -> Placement | None:
    """Where the model's nodes are; of a compiled graph where they went when it was compiled."""
    if not processes:
        return None
    opened = processes[-1].open
    return compiled.placement if compiled is not None and opened.compiled else opened.placement


def is_simulated(group: SessionGroup, hardware: Hardware | None) -> bool:
    """Whether the device is emulated, or would have been if it had worked."""
    return group.device.simulate or (hardware is not None and hardware.simulated)


def device_doubts(
    placement: Placement | None, simulated: bool, device: str = ""
) -> tuple[Doubt, ...]:
    """What the device takes away from a grade.

    Args:
        placement: of the session; None: it is not known.
        simulated: the device was emulated.
        device: of the cell; a server's row claims no other.
    """
    doubts = []
    if simulated:
        doubts.append(Doubt(BEST_GRADE, ReasonCode.SIMULATED, "the device is emulated"))
    if placement is not None and not placement.proven and device != SERVER:
        left = ", ".join(f"{count} {name}" for name, count in placement.fell_off.items())
        detail = f"{placement.verdict}: nodes left to others: {left or 'not known'}"
        doubts.append(Doubt(BEST_GRADE, ReasonCode.PLACEMENT, detail))
    return tuple(doubts)


def exported_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """What was recognised of an exported model, its share of the bandwidth, and its steps."""
    group, check = facts.group, facts.entries.step_checks.get(facts.build)
    peaks = peaks_of(facts.entries, group.device, group.threads)
    return Part(
        fields={"recognition": group.model.recognition(facts.artifact, check)},
        metrics=group.model.shares(facts.artifact, facts.workload, group.batch, metrics, peaks),
        doubts=steps_doubts(check),
    )


def steps_doubts(found: StepsCheck | None) -> tuple[Doubt, ...]:
    """What a failed check of its steps takes away from a grade.

    Args:
        found: None: nothing was there to check.
    """
    if found is None or found.agrees is not False:
        return ()
    detail = (
        f"logits of prompt and steps differ from those of one pass by {found.difference:.3g} of"
        f" the largest; {found.bound:g} is the most"
    )
    return (Doubt(BEST_GRADE, ReasonCode.STEPS_DIFFER, detail),)


def profile_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """Where the time goes."""
    return Part(fields={"profile": facts.entries.profiles.get(facts.key)})


def sustain_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """The speed over minutes without a rest, and what slowed it."""
    found = facts.entries.sustained.get(facts.key)
    return Part(
        fields={"sustain": found},
        metrics=sustained_metrics(found, metrics),
        doubts=sustain_doubts(found),
    )


def sustain_doubts(found: Sustained | None) -> tuple[Doubt, ...]:
    """What a speed that does not last takes away from a grade.

    Args:
        found: of the test without a rest; None: none was asked for.
    """
    told = slowed(found)
    return () if told is None else (Doubt(Grade.B, ReasonCode.SLOWED, told),)


def start_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """Whether its processes began as cool as was asked for."""
    return Part(doubts=start_doubts(facts.processes, facts.entries.sustained.get(facts.key)))


def start_doubts(processes: Sequence[ProcessSamples], found: Sustained | None) -> tuple[Doubt, ...]:
    """What warm beginnings take away from a grade.

    Args:
        processes: of one cell.
        found: of the test without a rest; None: none was asked for.
    """
    starts = [one.start for one in (*processes, *([found] if found else ())) if one.start]
    warm = [start for start in starts if not start.reached]
    if not warm:
        return ()
    most = max(warm, key=lambda start: start.celsius)
    detail = (
        f"{len(warm)} of {len(starts)} processes began warmer than --start-below allows, at"
        f" {most.celsius:.0f} °C ({most.sensor}) after {most.waited_s:.0f} s at the most"
    )
    return (Doubt(Grade.B, ReasonCode.WARM_START, detail),)


# In the order of the metrics of a record; a feature sees the metrics of those above it. Doubts of
# a later one come first.
FEATURES: tuple[Feature, ...] = (
    status_part,
    losses_part,
    samples_part,
    memory_part,
    size_part,
    compiled_part,
    estimates_part,
    quality_part,
    text_part,
    device_part,
    exported_part,
    profile_part,
    sustain_part,
    start_part,
)
