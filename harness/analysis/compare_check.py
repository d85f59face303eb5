"""Whether two sides may be compared at all: machine, method, and not the same run twice. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from harness.core.errors import UsageError
from harness.results.schema import Document

# What makes another machine, or the same one in another state: numbers are not comparable.
MACHINE = (
    *("cpu_model", "cpu_vector_extensions", "architecture", "physical_cores", "logical_cores"),
    *("usable_cores", "memory_bytes", "container_cpu_cores", "container_memory_bytes"),
    *("governor", "turbo", "on_battery", "virtual_machine"),
)
# What may be the very thing that is compared: told, not refused.
SOFTWARE = ("os", "kernel", "python_version")
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
            yield from _differs(name, first.environment.get(name), other.environment.get(name))


def _told(first: Document, others: Sequence[Document]) -> Iterator[str]:
    """Yield differences that a reader must know."""
    for other in others:
        for name in SOFTWARE:
            yield from _differs(name, first.environment.get(name), other.environment.get(name))
        mine, theirs = _packages(first), _packages(other)
        for name in sorted(mine.keys() & theirs.keys()):
            yield from _differs(name, mine[name], theirs[name])
        for name in SETTINGS:
            yield from _differs(name, first.plan.get(name), other.plan.get(name))


def _packages(document: Document) -> dict[str, Any]:
    """Versions of the packages that measure."""
    found = document.environment.get("packages")
    return found if isinstance(found, dict) else {}


def _differs(name: str, first: Any, second: Any) -> Iterator[str]:
    """Yield a difference of two known values; what one side does not know says nothing."""
    if first is not None and second is not None and first != second:
        yield f"{name} {_short(first)} and {_short(second)}"


def _short(value: Any) -> str:
    """A value in a sentence."""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
