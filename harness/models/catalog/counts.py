"""Models of which only a parameter count was published, read from `configs/catalog/counts.toml`."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.core.errors import ModelError
from harness.core.records import data_folder, read_record, read_table
from harness.models.catalog.catalog import alias_names, catalog_names


@dataclass(frozen=True, slots=True)
class PublishedCount:
    """A model whose makers told how large it is, and not how it is built.

    Attributes:
        name: the word the user types.
        parameters: the count, as precise as it was published.
        stated: the count as it was printed.
        hf_id: `organisation/name` on the Hugging Face hub, or empty.
        license: of the published weights, or `closed`.
        source: where the count was read.
        notes: what is doubtful about it.
    """

    name: str
    parameters: int
    stated: str
    hf_id: str
    license: str
    source: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _File:
    """The whole file."""

    count: tuple[PublishedCount, ...]


@cache
def published_counts() -> dict[str, PublishedCount]:
    """Return the shipped counts by name."""
    return read_counts(data_folder("configs") / "catalog" / "counts.toml")


def read_counts(path: Path) -> dict[str, PublishedCount]:
    """Read a file of counts.

    Raises:
        ModelError: not TOML, an unknown or missing key, a wrong type, a name that stands twice or
            is one of the catalog, or a count that is not positive.
    """
    found: dict[str, PublishedCount] = {}
    for row in read_record(_File, read_table(path), path.name).count:
        if row.name in found or row.name in (*catalog_names(), *alias_names()):
            raise ModelError(f"{path.name}: {row.name!r} names two models", fix="rename one")
        if row.parameters <= 0:
            raise ModelError(
                f"{path.name}: {row.name} has {row.parameters} parameters", fix="the published one"
            )
        found[row.name] = row
    return found
