"""A cell that cannot fit is a row that says so, instead of a machine without memory."""

from harness.core.errors import WorkerError
from harness.core.units import MIB
from harness.machine.watch.free_memory import free_memory_bytes
from harness.results.enums import Status
from harness.runner.plan import SessionGroup
from harness.store.exported import AnyArtifact


def least_bytes(group: SessionGroup, artifact: AnyArtifact) -> int:
    """Memory that a session of the group needs at the very least: its weights and its cache."""
    cache_bytes = bound_bytes(group, artifact, group.capacity_tokens)
    return artifact.weights_bytes + cache_bytes + group.batch * artifact.state_bytes


def bound_bytes(group: SessionGroup, artifact: AnyArtifact, capacity_tokens: int) -> int:
    """Bytes of the keys and values that a session of the group binds for so many positions."""
    if group.takes_windows:
        artifact = artifact.for_capacity(capacity_tokens)
    return group.batch * artifact.cache_bytes(capacity_tokens)


def refuse_without_room(group: SessionGroup, artifact: AnyArtifact) -> None:
    """Refuse a group whose least memory is more than there is now.

    Raises:
        WorkerError: status `out_of_memory`, with both numbers.
    """
    needed, free = least_bytes(group, artifact), free_memory_bytes()
    if free is not None and needed > free:
        raise WorkerError(
            f"weights and cache need {needed / MIB:,.0f} MiB, {free / MIB:,.0f} MiB are free",
            fix="a smaller model, level, --batch, --depth or --prompt, or close other programs",
            status=Status.OUT_OF_MEMORY,
        )
