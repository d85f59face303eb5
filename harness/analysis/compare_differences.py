"""Whether the runs of two sides may be compared, and what they differ in besides. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import UNSET

from harness.core.errors import UsageError
from harness.results.schema import Document

# What makes another machine, or the same one in another state: numbers are not comparable.
MACHINE = (
    *("cpu_model", "cpu_vector_extensions", "architecture", "physical_cores", "logical_cores"),
    *("usable_cores", "memory_bytes", "container_cpu_cores", "container_memory_bytes"),
    *("governor", "turbo", "on_battery", "virtual_machine"),
)
# Of these a share may differ: a kernel keeps some memory for itself, and how much varies by boot.
NEARLY = {"memory_bytes": 0.02, "container_memory_bytes": 0.02}
# What may be the very thing that is compared: told, not refused.
SOFTWARE = ("os", "kernel", "python_version", "onnxruntime_telemetry")
OPTIONS = ("session_option", "ep_option")  # a file that says nothing had none
SETTINGS = ("warm_seconds", "sample_seconds", "min_passes", "seed", "text")


def check_sides(base: Sequence[Document], new: Sequence[Document], force: bool) -> tuple[str, ...]:
    """Refuse what cannot be compared, and say what differs besides.

    Args:
        base: runs of the base, at least one.
        new: runs of the new side, at least one.
        force: compare other machines and methods nevertheless; they are told.

    Raises:
        UsageError: a run that is given twice, or another machine or method without `force`.
    """
    _check_distinct([*base, *new])
    unlike = list(dict.fromkeys(_unlike(base[0], [*base[1:], *new])))
    if unlike and not force:
        raise UsageError(
            f"not comparable: {'; '.join(unlike)}",
            fix="measure both on one machine in one state with one version, or --force",
        )
    told = [f"FORCED: {line}" for line in unlike]
    return (*told, *dict.fromkeys(_told(base[0], [*base[1:], *new])))


def _check_distinct(documents: Sequence[Document]) -> None:
    """Refuse a run that is there twice: it would agree with itself."""
    counts = Counter(document.run_id for document in documents)
    for run_id, count in counts.items():
        if count > 1:
            raise UsageError(
                f"{run_id} is given {count} times: a run agrees with itself",
                fix="two different runs, or --axis with one file",
            )


def _unlike(first: Document, others: Sequence[Document]) -> Iterator[str]:
    """Yield what forbids a comparison."""
    for other in others:
        if first.method_version != other.method_version:
            yield f"method version {first.method_version} and {other.method_version}"
        for name in MACHINE:
            yield from _differs(
                name, getattr(first.environment, name), getattr(other.environment, name)
            )


def told_differences(first: Document, second: Document) -> Iterator[str]:
    """Yield what two machines, their software and the settings of two runs differ in."""
    for name in MACHINE:
        yield from _differs(
            name, getattr(first.environment, name), getattr(second.environment, name)
        )
    yield from _told(first, [second])


def _told(first: Document, others: Sequence[Document]) -> Iterator[str]:
    """Yield differences that a reader must know."""
    for other in others:
        for name in SOFTWARE:
            yield from _differs(
                name, getattr(first.environment, name), getattr(other.environment, name)
            )
        mine, theirs = _packages(first), _packages(other)
        for name in sorted(mine.keys() & theirs.keys()):
            yield from _differs(name, mine[name], theirs[name])
        for name in SETTINGS:
            yield from _differs(name, getattr(first.plan, name), getattr(other.plan, name))
        for name in OPTIONS:
            yield from _differs(
                name, *(", ".join(getattr(one.plan, name) or ("none",)) for one in (first, other))
            )


def _packages(document: Document) -> dict[str, str]:
    """Versions of the packages that measure."""
    return document.environment.packages or {}


def _differs(name: str, first: Any, second: Any) -> Iterator[str]:
    """Yield a difference of two known values; what one side does not know says nothing."""
    if first in (None, UNSET) or second in (None, UNSET) or first == second:
        return
    share = NEARLY.get(name)
    if share is None or abs(first - second) > share * max(first, second):
        yield f"{name} {_short(first)} and {_short(second)}"


def _short(value: Any) -> str:
    """A value in a sentence."""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
