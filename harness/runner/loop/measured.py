"""What a record keeps of what was measured: samples, memory, energy, sizes, how it ended."""

from collections.abc import Mapping
from dataclasses import asdict

from msgspec import structs

from harness.results.energy import energy_of, without_doubtful
from harness.results.enums import Status
from harness.results.replies import ProcessSamples
from harness.results.schema import Metric
from harness.results.summarize import (
    compile_metric,
    exact_metrics,
    summarize,
    summarize_memory,
)
from harness.runner.loop.parts import CellFacts, Part


def samples_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """Raw samples, every timed metric, and the energy where it is one measured quantity."""
    energy = energy_of(facts.processes)
    found = summarize(facts.cell, facts.processes) if facts.processes else {}
    return Part(
        fields={"samples": tuple(map(_kept, facts.processes)), "energy": energy},
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
    if artifact is None:
        return Part(fields={"shapes": shapes})
    counted = exact_metrics(
        artifact.weights_bytes, artifact.bits_per_weight, artifact.kv_bytes_per_token
    )
    return Part(fields={"shapes": shapes}, metrics=counted)


def compiled_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """The cold load of the process that compiled the model."""
    return Part(metrics=compile_metric(facts.entries.compiled.get(facts.group.key)))


def profile_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """Where the time goes."""
    return Part(fields={"profile": facts.entries.profiles.get(facts.key)})


def sustain_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """The speed over minutes without a rest."""
    return Part(fields={"sustain": facts.entries.sustained.get(facts.key)})


def status_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """How it ended, and what to do about it."""
    failure = facts.entries.failure_of(facts.group, facts.workload)
    rounds = len(facts.processes)
    if failure is not None:
        kept = f"; samples of {rounds} earlier rounds are kept" if rounds else ""
        return Part(fields={"status": failure.status, "reason": failure.reason + kept})
    if not rounds:
        reason = "the run ended before this cell was measured; use --resume"
        return Part(fields={"status": Status.SKIPPED, "reason": reason})
    return Part(fields={"status": Status.OK})


def _kept(entry: ProcessSamples) -> ProcessSamples:
    """The samples without what the journal files them under."""
    fields = structs.fields(ProcessSamples)
    return ProcessSamples(**{field.name: getattr(entry, field.name) for field in fields})
