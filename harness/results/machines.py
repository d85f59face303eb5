"""Which machine a run was on, without a name of it: a hash of what it is. Pure."""

import hashlib
import json
from collections.abc import Mapping

from harness.results.environment import MachineFacts
from harness.results.merged import is_measured, joined, runs_of
from harness.results.schema import Document

# What tells machines apart, besides the word that an operator gives one.
MACHINE_FACTS = ("cpu_model", "architecture", "physical_cores", "memory_bytes", "os")
DIGITS = 16


def machine_id(facts: MachineFacts, label: str) -> str:
    """16 hexadecimal digits over what tells this machine from others; it names no person.

    Args:
        facts: of the machine.
        label: that its operator gives it; without one, two of a kind are one.
    """
    told = {name: getattr(facts, name) for name in MACHINE_FACTS}
    return digest({**told, "label": label})


def machine_of(run: Document) -> str:
    """The machine of a run: as its cell says it, else by the facts of it."""
    cell = run.plan.cell
    return cell.machine if cell else machine_id(run.environment, "")


def machines_of(document: Document) -> dict[str, Document]:
    """What each machine has measured of a document, in its order: one document a machine.

    Of a document of one run that document. What no machine has measured is left out.
    """
    runs: dict[str, list[Document]] = {}
    for run in runs_of(document):
        if is_measured(run):
            runs.setdefault(machine_of(run), []).append(run)
    return {
        machine: joined(found, document.run_id) if document.sources else document
        for machine, found in runs.items()
    }


def digest(table: Mapping[str, object]) -> str:
    """16 hexadecimal digits over values, whatever their order."""
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()[:DIGITS]
