"""A cell that cannot fit is a row that says so and what would, not a machine without memory."""

from collections.abc import Iterator

from harness.builder.graph.geometry import geometry_of
from harness.builder.quantize.levels import LEVELS, QuantLevel
from harness.core.errors import HarnessError, WorkerError
from harness.core.units import MIB
from harness.estimator.memory import ORT_CPU, held_copy_bytes
from harness.machine.watch.free_memory import free_memory_bytes
from harness.models.catalog.catalog import load_spec, spec_names
from harness.models.specs.dissect import spec_structure
from harness.models.specs.model import AnySpec
from harness.models.specs.structure import Role
from harness.results.enums import Status
from harness.runner.plan import SessionGroup
from harness.runner.plan.runtimes import LLAMA
from harness.store.exported import AnyArtifact

BESIDES = "a smaller {}, or close other programs"
LENGTHS = ("--batch", "--depth or --prompt")


def least_bytes(group: SessionGroup, artifact: AnyArtifact) -> int:
    """Memory that a session of the group needs at the very least: its weights and its cache."""
    cache_bytes = bound_bytes(group, artifact, group.capacity_tokens)
    weights_bytes = max(artifact.weights_bytes, _held_by(group))
    return weights_bytes + cache_bytes + group.batch * artifact.state_bytes


def bound_bytes(group: SessionGroup, artifact: AnyArtifact, capacity_tokens: int) -> int:
    """Bytes of the keys and values that a session of the group binds for so many positions."""
    if group.takes_windows:
        artifact = artifact.for_capacity(capacity_tokens)
    return group.batch * artifact.cache_bytes(capacity_tokens)


def refuse_without_room(group: SessionGroup, artifact: AnyArtifact) -> None:
    """Refuse a group whose least memory is more than there is now.

    Raises:
        WorkerError: status `out_of_memory`, with both numbers and what would fit.
    """
    _refuse(group, least_bytes(group, artifact), "weights and cache")


def refuse_unbuilt(group: SessionGroup) -> None:
    """The same before a model is built: minutes and gigabytes are spent on no row.

    Raises:
        WorkerError: its weights alone need more than there is.
    """
    _refuse(group, _held_by(group), "weights alone")


def held_bytes(spec: AnySpec, level: QuantLevel) -> int:
    """Bytes of all weights as kernels of the CPU hold them; of tables rows are looked up only."""
    groups = spec_structure(spec).groups
    return sum(
        held_copy_bytes(group, level, ORT_CPU) * group.copies
        for group in groups
        if group.role is not Role.TABLE
    )


def _held_by(group: SessionGroup) -> int:
    """The same of a group; 0 where weights are mapped, held by others, or those of an export."""
    if group.is_prepacked or group.model.is_own_plan or not group.device.row.is_host:
        return 0
    if group.runtime == LLAMA:  # which has files and kernels of its own
        return 0
    return held_bytes(group.built.spec, group.level)


def _refuse(group: SessionGroup, needed_bytes: int, what: str) -> None:
    free_bytes = free_memory_bytes()
    if free_bytes is None or needed_bytes <= free_bytes:
        return
    lengths = ("--capacity", *LENGTHS) if group.capacity else LENGTHS
    fix = "; ".join((*_that_fit(group, free_bytes), BESIDES.format(", ".join(lengths))))
    raise WorkerError(
        f"{what} need {needed_bytes / MIB:,.0f} MiB, {free_bytes / MIB:,.0f} MiB are free",
        fix=fix,
        status=Status.OUT_OF_MEMORY,
    )


def _that_fit(group: SessionGroup, free_bytes: int) -> Iterator[str]:
    """Yield the level with the most bits, and the largest model, whose weights take most of it."""
    if group.model.is_own_plan or not group.device.row.is_host:
        yield "a smaller model or level"
        return
    spec, room_bytes = group.built.spec, free_bytes * 0.9  # cache and activations take the rest
    levels = {level.name: _held_if_built(spec, level) for level in LEVELS.values()}
    fitting = {name: held for name, held in levels.items() if held and held <= room_bytes}
    if fitting:
        name = max(fitting, key=lambda one: fitting[one])
        yield f"--quant {name}, whose weights need {fitting[name] / MIB:,.0f} MiB"
    others = [other for name in spec_names() if isinstance(other := load_spec(name), type(spec))]
    sizes = {other.name: _held_if_built(other, group.level) for other in others}
    fitting = {name: held for name, held in sizes.items() if held and held <= room_bytes}
    if fitting:
        name = max(fitting, key=lambda one: fitting[one])
        yield f"--model {name}, {fitting[name] / MIB:,.0f} MiB at {group.level.name}"


def _held_if_built(spec: AnySpec, level: QuantLevel) -> int | None:
    """Bytes as held; None: the model is not built at this level."""
    try:
        geometry_of(spec, level)
    except HarnessError:
        return None
    return held_bytes(spec, level)
