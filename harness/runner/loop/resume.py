"""A run's journal: a new one, or the newest unfinished one of the same plan."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from msgspec import to_builtins

from harness.core.errors import HarnessError, UsageError
from harness.core.findings import Log
from harness.machine.watch.facts import machine_facts
from harness.results.entries import ResumedEntry, RunEntry
from harness.results.journal import SUFFIX, Journal, read_sound, sound_journals
from harness.results.schema import METHOD_VERSION
from harness.results.unknown import spread
from harness.runner.loop.builds import Builds, build_key
from harness.runner.loop.entries import Entries
from harness.runner.plan import Plan


def open_journal(
    plan: Plan,
    builds: Builds,
    results: Path,
    resume: bool,
    run_id: str,
    created_utc: str,
    purpose: str = "",
    log: Log = lambda line: None,
) -> tuple[Journal, Entries]:
    """Return the journal to append to and the entries it already holds.

    Args:
        plan: what is measured.
        builds: the models behind it, as far as they are known before anything is measured.
        results: folder of the journal.
        resume: go on with the newest unfinished one of the same.
        run_id: of a new one.
        created_utc: of this sitting.
        purpose: what is done with the plan besides measuring it; empty: nothing.
        log: is told which lines of the journal are damaged: what they held counts as missing.

    Raises:
        UsageError: `resume` without an unfinished run of the same plan.
        StorageError: that run is still going on in another process.
    """
    environment = machine_facts()
    if resume:
        journal = Journal(_unfinished(plan, builds, environment.packages, results, purpose))
        _begin(journal, ResumedEntry(created_utc=created_utc))
        sound = read_sound(journal.path)
        for problem in sound.damaged:
            log(problem)
        return journal, Entries(sound.entries)
    header = RunEntry(
        run_id=run_id,
        created_utc=created_utc,
        run_digest=run_digest(plan, builds, environment.packages, purpose),
        plan=plan.as_asked(),
        environment=environment,
    )
    journal = Journal(results / f"{run_id}{SUFFIX}")
    _begin(journal, header)
    return journal, Entries([header])


def _begin(journal: Journal, entry: RunEntry | ResumedEntry) -> None:
    """Write the first line of a sitting; a journal that does not take it is closed again."""
    try:
        journal.append(entry)
    except BaseException:
        journal.close()
        raise


def run_digest(plan: Plan, builds: Builds, packages: object, purpose: str = "") -> str:
    """SHA-256 of everything that decides what is measured; a run resumes nothing else.

    Args:
        plan: what was asked for.
        builds: their content hashes stand for weights, level and builder: a checkpoint that was
            trained on since the interruption is another model.
        packages: versions of what runs the models.
        purpose: of open_journal.
    """
    table = {
        "settings": spread(to_builtins(plan.as_asked())),
        "groups": [group.key for group in plan.groups],
        "models": sorted(artifact.content_hash for artifact in builds.artifacts.values()),
        "packages": packages,
        "method": METHOD_VERSION,
    }
    if purpose:
        table["purpose"] = purpose
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()


def _unfinished(plan: Plan, builds: Builds, packages: object, results: Path, purpose: str) -> Path:
    """The newest journal of this plan; those that do not say whose they are are passed over."""
    damaged = []
    for sound in sound_journals(results, suffix=SUFFIX):
        try:
            found = Entries(sound.entries)
            if found.header.run_digest in _digests(plan, builds, packages, found, purpose):
                return sound.path
        except HarnessError:  # its first line is damaged: of a run that may be another one
            damaged.append(sound.path.name)
    passed = f"; damaged and passed over: {', '.join(damaged)}" * bool(damaged)
    raise UsageError(
        f"no unfinished {purpose or 'run'} of this plan under {results.name or results}{passed}",
        fix="leave --resume out, or give the flags, models, versions and --results of that run",
    )


def _digests(
    plan: Plan, builds: Builds, packages: object, found: Entries, purpose: str
) -> tuple[str, str]:
    """Digests of a run of this plan: of all models, and of those whose builds did not fail then."""
    failed = {build_key(group) for group in plan.groups if (group.key, None) in found.failures}
    built = {key: one for key, one in builds.artifacts.items() if key not in failed}
    return (
        run_digest(plan, builds, packages, purpose),
        run_digest(plan, replace(builds, artifacts=built), packages, purpose),
    )
