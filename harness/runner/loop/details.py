"""What `-v` says of a run besides its progress: versions, the plan, what each process took."""

from collections.abc import Iterator

from harness.core.units import NS_PER_MS
from harness.core.version import DISTRIBUTION, installed_version
from harness.results.entries import (
    Entry,
    NoBandwidthEntry,
    NoCalibrationEntry,
    NoQualityEntry,
    SamplesEntry,
)
from harness.results.environment import MachineFacts
from harness.results.losses import FailureEntry, LostEntry, NoMemoryEntry
from harness.runner.plan import Plan


def first_details(plan: Plan, machine: MachineFacts) -> Iterator[str]:
    """Yield what is measured, where, and with which versions."""
    known = (machine.packages or {}).items()
    packages = " ".join(f"{name} {version}" for name, version in known if name != DISTRIBUTION)
    yield f"bench {installed_version()}, {packages}"
    yield f"machine: {machine.cpu_model or machine.architecture}, {machine.usable_cores} cores"
    settings = plan.settings
    yield (
        f"plan: {len(plan.groups)} sessions, {plan.cell_count} cells, {settings.rounds} rounds of"
        f" {settings.sample_seconds:g} s a test, seed {settings.seed}"
    )
    for group in plan.groups:
        yield f"session {group.key}: {', '.join(test.name for test in group.workloads)}"


def detail_of(entry: Entry) -> str:
    """What a journal entry says in a line; empty: nothing that is not told elsewhere."""
    if isinstance(entry, SamplesEntry):
        return _sampled(entry)
    if isinstance(entry, FailureEntry | LostEntry | NoMemoryEntry):
        return f"{entry.status}: {entry.group} {entry.workload or ''}: {entry.reason}"
    if isinstance(entry, NoQualityEntry):
        return f"no quality of {entry.model} {entry.level}: {entry.reason}"
    if isinstance(entry, NoCalibrationEntry):
        return f"not calibrated: {entry.device}, {entry.threads} threads: {entry.reason}"
    if isinstance(entry, NoBandwidthEntry):
        return f"memory was not read with {entry.threads} threads: {entry.reason}"
    return ""


def _sampled(entry: SamplesEntry) -> str:
    """What a process took for one test, and who was busy beside it."""
    loaded = entry.open.load_ns
    parts = [
        "" if loaded is None else f"loaded in {loaded / NS_PER_MS:.0f} ms",
        _warmed(entry),
        f"{entry.sample.passes} passes timed",
    ]
    others = None if entry.watch is None else entry.watch.background_cpu_share
    parts.append("" if others is None else f"others used {others:.0%} of the CPU")
    told = ", ".join(filter(None, parts))
    return f"round {entry.round + 1}: {entry.group} {entry.workload}: {told}"


def _warmed(entry: SamplesEntry) -> str:
    """How long the warm-up took; empty: there was none."""
    warm = entry.warm
    if warm is None:
        return ""
    unsteady = "" if warm.steady else " and not steady"
    return f"warm after {warm.seconds:.1f} s, {warm.calls} runs{unsteady}"
