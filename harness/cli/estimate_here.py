"""What `bench estimate --on cpu` needs of this machine: measured peaks and its memory."""

from dataclasses import dataclass

from harness.core.errors import DeviceError
from harness.results.calibration import Constants
from harness.results.environment import MachineFacts

HERE = "cpu"  # as the device table calls this machine's processor


@dataclass(frozen=True, slots=True)
class ThisMachine:
    """The machine we run on.

    Attributes:
        constants: measured by `bench calibrate` with all usable cores.
        memory_bytes: of the machine, or of the container around us.
    """

    constants: Constants
    memory_bytes: int


def this_machine() -> ThisMachine:
    """Return this machine's stored hardware peaks and its memory; measures nothing.

    Raises:
        DeviceError: nothing usable is stored, or the system does not tell its memory.
        StorageError: the store cannot be read.
    """
    from harness.estimator.calibration.store import calibration_key, find_constants
    from harness.store.cache import default_cache

    facts, memory_bytes = machine_memory()
    key = calibration_key(facts, HERE, facts.usable_cores or 1)
    found = find_constants(default_cache(), key, to_replace=False)
    if found.stored is None:
        raise DeviceError(
            f"the calibration of this machine cannot be used: {found.note}"
            if found.note
            else "no hardware peaks of this machine are stored",
            fix="bench calibrate, then again; or --on with a device of the catalog",
        )
    if memory_bytes is None:
        raise DeviceError("the system does not tell its memory", fix="--on with a catalog device")
    return ThisMachine(found.stored.constants, memory_bytes)


def machine_memory() -> tuple[MachineFacts, int | None]:
    """Return the facts of this machine, and its memory or the container's: the smaller."""
    from harness.machine.watch.facts import machine_facts

    facts = machine_facts()
    known = [size for size in (facts.memory_bytes, facts.container_memory_bytes) if size]
    return facts, min(known, default=None)
