"""A run's journal: a new one, or the newest unfinished one of the same plan."""

import hashlib
import json
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.plan import Plan
from harness.results.journal import Journal, read_journal
from harness.runner.entries import Entries
from harness.watch.facts import machine_facts

Json = dict[str, Any]
SUFFIX = ".journal.jsonl"


def open_journal(
    plan: Plan, results: Path, resume: bool, run_id: str, created_utc: str
) -> tuple[Journal, Entries]:
    """Return the journal to append to and the entries it already holds.

    Raises:
        UsageError: `resume` without an unfinished run of the same plan.
    """
    if resume:
        path, old = _unfinished(plan, results)
        return Journal(path), old
    header = {
        "kind": "run",
        "run_id": run_id,
        "created_utc": created_utc,
        "plan_digest": plan_digest(plan),
        "plan": plan.to_json(),
        "environment": machine_facts(),
    }
    journal = Journal(results / f"{run_id}{SUFFIX}")
    journal.append(header)
    return journal, Entries([header])


def plan_digest(plan: Plan) -> str:
    """SHA-256 of everything that decides what is measured; runs resume only their own plan."""
    table: Json = {"settings": plan.to_json(), "groups": [group.key for group in plan.groups]}
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()


def _unfinished(plan: Plan, results: Path) -> tuple[Path, Entries]:
    for path in sorted(results.glob(f"*{SUFFIX}"), reverse=True):
        entries = Entries(read_journal(path))
        if entries.header.get("plan_digest") == plan_digest(plan):
            return path, entries
    raise UsageError(
        f"no unfinished run of this plan under {results.name or results}",
        fix="leave --resume out, or give the same flags and --results as the interrupted run",
    )
