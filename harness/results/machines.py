"""Which machine a run was on, without a name of it: a hash of what it is. Pure."""

import hashlib
import json
import math
from collections.abc import Mapping

from harness.core.units import GIB
from harness.results.environment import MachineFacts
from harness.results.merged import is_measured, joined, runs_of
from harness.results.schema import Document

# What makes another machine, besides the word that an operator gives one. Its state (governor,
# battery) and its system may be why a value changed, so they are facts of a run. Memory counts by
# the GiB: how much of it the system keeps for itself varies by boot.
MACHINE_FACTS = (
    *("cpu_model", "architecture", "physical_cores", "logical_cores", "usable_cores"),
    "container_cpu_cores",
)
DIGITS = 16


def machine_id(facts: MachineFacts, label: str) -> str:
    """16 hexadecimal digits over what tells this machine from others; it names no person.

    Args:
        facts: of the machine.
        label: that its operator gives it; without one, two of a kind are one.
    """
    told = {name: getattr(facts, name) for name in MACHINE_FACTS}
    told["memory_bytes"] = memory_gib(facts)
    return digest(told | ({"label": label} if label else {}))


def memory_gib(facts: MachineFacts) -> int | None:
    """Memory in whole GiB, as it is sold."""
    return None if facts.memory_bytes is None else math.ceil(facts.memory_bytes / GIB)


def machine_of(run: Document) -> str:
    """The machine of a run: as its cell says it, else by the facts of it."""
    cell = run.plan.cell
    return cell.machine if cell else machine_id(run.environment, "")


def machine_label(run: Document) -> str:
    """What its operator calls the machine of a run; empty: nothing."""
    return run.plan.cell.label if run.plan.cell else ""


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
