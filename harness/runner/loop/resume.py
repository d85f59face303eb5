"""A run's journal: a new one, or the newest unfinished one of the same plan."""

import hashlib
import json
from pathlib import Path

from msgspec import to_builtins

from harness.core.errors import UsageError
from harness.machine.watch.facts import machine_facts
from harness.results.entries import ResumedEntry, RunEntry
from harness.results.journal import SUFFIX, Journal, read_journal
from harness.results.schema import METHOD_VERSION
from harness.results.unknown import spread
from harness.runner.loop.builds import Builds
from harness.runner.loop.entries import Entries
from harness.runner.plan import Plan


def open_journal(
    plan: Plan, builds: Builds, results: Path, resume: bool, run_id: str, created_utc: str
) -> tuple[Journal, Entries]:
    """Return the journal to append to and the entries it already holds.

    Raises:
        UsageError: `resume` without an unfinished run of the same plan.
        StorageError: that run is still going on in another process.
    """
    environment = machine_facts()
    digest = run_digest(plan, builds, environment.packages)
    if resume:
        journal = Journal(_unfinished(digest, results))
        journal.append(ResumedEntry(created_utc=created_utc))
        return journal, Entries(read_journal(journal.path))
    header = RunEntry(
        run_id=run_id,
        created_utc=created_utc,
        run_digest=digest,
        plan=plan.as_asked(),
        environment=environment,
    )
    journal = Journal(results / f"{run_id}{SUFFIX}")
    journal.append(header)
    return journal, Entries([header])


def run_digest(plan: Plan, builds: Builds, packages: object) -> str:
    """SHA-256 of everything that decides what is measured; a run resumes nothing else.

    Args:
        plan: what was asked for.
        builds: their content hashes stand for weights, level and builder: a checkpoint that was
            trained on since the interruption is another model.
        packages: versions of what runs the models.
    """
    table = {
        "settings": spread(to_builtins(plan.as_asked())),
        "groups": [group.key for group in plan.groups],
        "models": sorted(artifact.content_hash for artifact in builds.artifacts.values()),
        "packages": packages,
        "method": METHOD_VERSION,
    }
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()


def _unfinished(digest: str, results: Path) -> Path:
    for path in sorted(filter(Path.is_file, results.glob(f"*{SUFFIX}")), reverse=True):
        if Entries(read_journal(path)).header.run_digest == digest:
            return path
    raise UsageError(
        f"no unfinished run of this plan under {results.name or results}",
        fix="leave --resume out, or give the flags, models, versions and --results of that run",
    )
